"""Probes beside late answers, operators, sends under way and providers that hang: the order is bound once."""

import contextlib
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from compat.simulator import Simulator
from compat.wire import Accepted
from gateway.dispatch.outcomes import AttemptMoved, record
from gateway.dispatch.resolve import Refund, resolve
from gateway.dispatch.unknowns.probing import probe_unknown
from gateway.providers.lanes import Lanes
from tests.support.factories import begin_attempt, event_types, open_alerts, place_order
from tests.support.faults import eventually, together
from tests.support.unknowns import KEY, Counter, add_panel_shop, counter

__all__ = ["counter"]


@pytest.mark.parametrize("probe_first", [True, False])
async def test_a_probe_and_a_late_answer_bind_the_order_once(
    counter: Counter, owner: asyncpg.Connection, probe_first: bool
) -> None:
    await counter.send()
    lost = await counter.send("html")
    upstream_id = await counter.placed_as(lost)
    attempt_id: UUID = (await counter.attempt(lost))["id"]

    async def answer() -> None:
        await record(counter.db, attempt_id, Accepted(upstream_id), timedelta())

    acts = (counter.probe, answer) if probe_first else (answer, counter.probe)
    await together(owner, lost, *acts)
    assert await counter.look(lost) == ("accepted", upstream_id)
    assert await event_types(counter.db, lost.id) == ["order.created", "order.processing"]
    bound = await owner.fetchval("SELECT count(*) FROM upstream_orders WHERE order_id = $1", lost.id)
    assert bound == 1
    assert await open_alerts(counter.db) == []


async def test_a_probe_and_an_operators_refund_settle_the_order_once(
    counter: Counter, owner: asyncpg.Connection
) -> None:
    await counter.send()
    lost = await counter.send("html")

    async def refund() -> None:
        with contextlib.suppress(AttemptMoved):
            await resolve(counter.db, lost.number, Refund(), "ops")

    await together(owner, lost, counter.probe, refund)
    dispatch, upstream_id = await counter.look(lost)
    attempt = await counter.attempt(lost)
    assert (dispatch, upstream_id is None) in (("accepted", False), ("written_off", True))
    assert attempt["state"] == dispatch


async def test_a_late_answer_with_another_id_than_the_one_that_was_found_is_told(counter: Counter) -> None:
    await counter.send()
    lost = await counter.send("html")
    assert await counter.probe() == 1
    attempt_id = (await counter.attempt(lost))["id"]
    await record(counter.db, attempt_id, Accepted(await counter.placed_as(lost)), timedelta())
    assert await open_alerts(counter.db) == []
    await record(counter.db, attempt_id, Accepted("999"), timedelta())
    assert await open_alerts(counter.db) == ["orphaned_upstream_order"]
    assert await counter.look(lost) == ("accepted", await counter.placed_as(lost))


async def test_a_send_under_way_of_the_same_cost_may_be_the_one_that_is_there(counter: Counter) -> None:
    await counter.send()
    never = await counter.send("http-500")
    order = await place_order(counter.db, counter.shop)
    await begin_attempt(counter.db, counter.shop, order)
    counter.order_elsewhere(1000)
    assert await counter.probe() == 0
    assert "may also be attempt" in (await counter.attempt(never))["evidence"]["probe"]


async def test_a_provider_that_hangs_delays_no_other(counter: Counter) -> None:
    hanging = Simulator(key=KEY)
    url = await hanging.start()
    hanging.faults.set("status:timeout-before", 1)
    try:
        other = Counter(counter.db, await add_panel_shop(counter.db, url), hanging, counter.upstreams)
        await counter.sql("UPDATE providers SET probes = true")
        await counter.upstreams.refresh()
        for each in (other, counter):
            await each.send()
        stuck, lost = [await each.send("html") for each in (other, counter)]

        async def is_found() -> bool:
            return (await counter.look(lost))[0] == "accepted"

        lanes = Lanes()
        assert await probe_unknown(counter.db, counter.upstreams, lanes) == 2
        await eventually(is_found)
        await counter.send("html", quantity=2000)
        assert await probe_unknown(counter.db, counter.upstreams, lanes) == 1
        await lanes.stop(0.01)
        assert (await counter.look(stuck))[0] == "unknown"
    finally:
        await hanging.stop()
