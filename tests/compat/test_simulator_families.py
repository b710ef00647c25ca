"""The simulator's drip-feeds, subscriptions, refills, cancels and idempotency keys, through the client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from compat.client import PanelClient
from compat.failures import BadAnswer
from compat.simulator import Simulator
from compat.status import UpstreamStatus
from compat.wire import CancelAnswer, RefillStatus, Unknown, UpstreamReport
from tests.support.simulated import KEY, ORDER, Clock, accepted_id, clock, panel, simulator

__all__ = ["clock", "panel", "simulator"]

DRIP = {**ORDER, "runs": "3", "interval": "1"}
SUBSCRIPTION = {"username": "ann", "min": "10", "max": "30", "delay": "0", "posts": "3"}


@pytest.fixture
def patience_s() -> float:
    return 5.0


async def add(panel: PanelClient, service: str, fields: dict[str, str]) -> str:
    return accepted_id(await panel.add(service, fields))


async def status(panel: PanelClient, order: str) -> UpstreamReport:
    return (await panel.statuses([order]))[order]


@asynccontextmanager
async def restarted(log: Path, clock: Clock) -> AsyncIterator[PanelClient]:
    """A panel that goes on from that log."""
    simulator = Simulator(seed=7, key=KEY, accept_log=log, clock=clock, idempotency=True)
    async with PanelClient(await simulator.start(), KEY) as panel:
        yield panel
    await simulator.stop()


async def test_a_drip_feed_begins_its_runs_at_their_time(panel: PanelClient, clock: Clock) -> None:
    order = await add(panel, "1", DRIP)
    first = await status(panel, order)
    assert (first.status, len(first.orders)) == (UpstreamStatus.IN_PROGRESS, 1)
    clock.now += 61
    assert len((await status(panel, order)).orders) == 2
    clock.now += 61
    assert len((await status(panel, order)).orders) == 3
    clock.now += 61
    last = await status(panel, order)
    assert (last.status, last.remains, last.charge) == (UpstreamStatus.COMPLETED, 0, Decimal("0.27"))
    runs = await panel.statuses(last.orders)
    assert [run.status for run in runs.values()] == [UpstreamStatus.COMPLETED] * 3


async def test_a_cancelled_drip_feed_begins_no_more_runs(panel: PanelClient, clock: Clock) -> None:
    order = await add(panel, "1", DRIP)
    clock.now += 30
    await status(panel, order)
    assert await panel.cancel([order]) == {order: CancelAnswer()}
    clock.now += 600
    after = await status(panel, order)
    assert (after.status, len(after.orders), after.remains) == (UpstreamStatus.PARTIAL, 1, 200)


async def test_a_subscription_makes_a_post_now_and_then_until_it_has_all(panel: PanelClient, clock: Clock) -> None:
    order = await add(panel, "24", SUBSCRIPTION)
    assert (await status(panel, order)).status is UpstreamStatus.ACTIVE
    clock.now += 60
    after = await status(panel, order)
    assert (after.status, len(after.orders)) == (UpstreamStatus.COMPLETED, 3)
    for post in (await panel.statuses(after.orders)).values():
        assert 10 <= (post.quantity or 0) <= 30
        assert post.status is UpstreamStatus.COMPLETED


async def test_a_subscription_expires_or_is_cancelled(panel: PanelClient, clock: Clock) -> None:
    expired = await add(panel, "24", SUBSCRIPTION | {"expiry": "1/1/2020"})
    assert (await status(panel, expired)).status is UpstreamStatus.EXPIRED
    cancelled = await add(panel, "24", SUBSCRIPTION)
    assert await panel.cancel([cancelled]) == {cancelled: CancelAnswer()}
    clock.now += 60
    assert (await status(panel, cancelled)).orders == ()


async def test_a_subscription_expires_after_its_last_day(panel: PanelClient, clock: Clock) -> None:
    order = await add(panel, "24", {**SUBSCRIPTION, "posts": "", "expiry": "14/11/2023"})
    clock.now = 1_700_006_399.0  # 23:59:59 of that day in UTC
    assert (await status(panel, order)).status is UpstreamStatus.ACTIVE
    clock.now += 1
    assert (await status(panel, order)).status is UpstreamStatus.EXPIRED


@pytest.mark.parametrize(("service", "fields"), [("1", DRIP), ("24", SUBSCRIPTION)])
async def test_a_cancelled_parent_pays_back_exactly_what_was_not_delivered(
    panel: PanelClient, clock: Clock, service: str, fields: dict[str, str]
) -> None:
    before = (await panel.balance()).balance
    order = await add(panel, service, fields)
    clock.now += 3
    assert await panel.cancel([order]) == {order: CancelAnswer()}
    runs = (await status(panel, order)).orders
    assert len(runs) == 1
    assert (await status(panel, runs[0])).status in (UpstreamStatus.PENDING, UpstreamStatus.IN_PROGRESS)
    clock.now += 60
    ended = await status(panel, runs[0])
    assert ended.status is UpstreamStatus.COMPLETED, "a run under way goes on to its end"
    assert (await panel.balance()).balance == before - (ended.charge or 0)


async def test_a_completed_drip_feed_may_be_refilled_and_not_cancelled(panel: PanelClient, clock: Clock) -> None:
    order = await add(panel, "1", DRIP)
    assert (await panel.refill(order)).error == "The order is not completed"
    clock.now += 600
    assert await panel.cancel([order]) == {order: CancelAnswer(error="Incorrect request")}
    assert (await panel.refill(order)).refill is not None


async def test_cancels_and_refills_live_on_after_a_restart(
    simulator: Simulator, panel: PanelClient, clock: Clock, tmp_path: Path
) -> None:
    drip = await add(panel, "1", DRIP)
    stopped = await add(panel, "2", ORDER)
    done = await add(panel, "1", ORDER)
    clock.now += 1.9
    await panel.cancel([drip, stopped])
    clock.now += 60
    refill = (await panel.refill(done)).refill or ""
    clock.now += 60
    before = await panel.statuses([drip, stopped])
    async with restarted(tmp_path / "accepted.jsonl", clock) as after:
        assert await after.statuses([drip, stopped]) == before
        assert (await after.refill_statuses([refill]))[refill].status is RefillStatus.COMPLETED
        assert (await after.refill(done)).refill not in ("", refill)
        assert (await after.balance()).balance == (await panel.balance()).balance


async def test_a_run_is_found_by_its_id_first_after_a_restart(
    simulator: Simulator, panel: PanelClient, clock: Clock, tmp_path: Path
) -> None:
    order = await add(panel, "1", DRIP)
    clock.now += 61
    first, second = (await status(panel, order)).orders
    log = tmp_path / "accepted.jsonl"
    async with restarted(log, clock) as after:
        assert (await after.refill(first)).refill is not None
    async with restarted(log, clock) as after:
        assert await after.cancel([second]) == {second: CancelAnswer()}


async def test_a_fault_after_a_refused_answer_is_played(panel: PanelClient, simulator: Simulator) -> None:
    simulator.faults.next("refill_status:html")
    with pytest.raises(BadAnswer):
        await panel.refill_statuses(["99999"])


async def test_children_are_the_same_after_a_restart(
    simulator: Simulator, panel: PanelClient, clock: Clock, tmp_path: Path
) -> None:
    order = await add(panel, "24", SUBSCRIPTION)
    clock.now += 60
    before = (await status(panel, order)).orders
    async with restarted(tmp_path / "accepted.jsonl", clock) as after:
        assert (await status(after, order)).orders == before
        assert await add(after, "1", ORDER) not in before


async def test_a_cancelled_order_ends_where_it_was(panel: PanelClient, clock: Clock) -> None:
    order = await add(panel, "1", ORDER)
    assert await panel.cancel([order, "7"]) == {order: CancelAnswer(), "7": CancelAnswer(error="Incorrect order ID")}
    assert (await status(panel, order)).status is UpstreamStatus.CANCELED
    done = await add(panel, "1", ORDER)
    clock.now += 60
    await status(panel, done)
    assert await panel.cancel([done]) == {done: CancelAnswer(error="Incorrect request")}


async def test_a_refill_is_asked_for_once_and_ends(panel: PanelClient, simulator: Simulator, clock: Clock) -> None:
    order = await add(panel, "1", ORDER)
    assert (await panel.refill(order)).error == "The order is not completed"
    clock.now += 60
    first = await panel.refill(order)
    assert await panel.refill(order) == first
    assert (await panel.refill("9")).error == "Incorrect order ID"
    assert first.refill is not None
    assert (await panel.refill_statuses([first.refill]))[first.refill].status is RefillStatus.PENDING
    clock.now += 60
    assert (await panel.refill_statuses([first.refill]))[first.refill].status is RefillStatus.COMPLETED
    simulator.faults.next("refill-rejected")
    again = (await panel.refill(order)).refill or ""
    clock.now += 60
    reports = await panel.refill_statuses([first.refill, again, "99999"])
    assert reports[again].status is RefillStatus.REJECTED
    assert reports["99999"].error == "Refill not found"


async def test_an_idempotency_key_places_one_order(panel: PanelClient, simulator: Simulator) -> None:
    assert (await panel.balance()).idempotency
    fields = {**ORDER, "idempotency_key": "k1"}
    order = await add(panel, "1", fields)
    assert await add(panel, "1", fields) == order
    assert len(simulator.panel.accepted) == 1
    other = await panel.add("1", fields | {"quantity": "101"})
    assert isinstance(other, Unknown), "it must not count as evidence that nothing was placed"
    assert "Idempotency key was used with other fields" in other.evidence
