"""Teaching what an error means resolves the unknown orders that it answered, and never sends one twice over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from compat.errors import Fault
from compat.wire import Accepted, Unknown
from gateway.dispatch.outcomes import record
from gateway.dispatch.sender import Dispatcher
from gateway.dispatch.unknowns.teaching import Resolved, apply_taught, teach
from gateway.errors import Conflict
from gateway.orders.model import Dispatch, Order
from gateway.providers.words import store as words
from tests.integration.scripted_panel import open_panel
from tests.support.aftercare import Desk, desk, lead_to
from tests.support.factories import add_provider, add_route, begin_attempt, ledger_rows, place_order, read_order
from tests.support.faults import eventually

__all__ = ["desk"]

WORDS = "This profile is private."
SPELT = "this  PROFILE is private"


async def answered(desk: Desk, answer: Any = None, status: int = 200) -> tuple[Order, UUID]:
    """An order whose send was answered so, as it stands now."""
    desk.panel.answers["add"], desk.panel.status = answer or {"error": WORDS}, status
    order = await place_order(desk.db, desk.shop)
    attempt_id = await begin_attempt(desk.db, desk.shop, order)
    outcome = await desk.upstreams.add(desk.shop.provider_id, "1", {"link": order.link, "quantity": "1000"})
    await record(desk.db, attempt_id, outcome, timedelta())
    return await read_order(desk.db, order.number), attempt_id


async def taught(desk: Desk, meaning: str = "refused", *, text: str = SPELT, dry_run: bool = False) -> list[int]:
    resolved = await teach(desk.db, desk.shop.provider_id, text, meaning, "ops", dry_run=dry_run)
    return [each.order for each in resolved]


async def state(desk: Desk, order: Order) -> tuple[Dispatch, str]:
    attempt = await desk.row("SELECT state FROM dispatch_attempts WHERE order_id = $1 ORDER BY id LIMIT 1", order.id)
    return (await read_order(desk.db, order.number)).dispatch, attempt["state"]


@asynccontextmanager
async def dispatching(desk: Desk) -> AsyncIterator[None]:
    dispatcher = Dispatcher(desk.db, desk.upstreams, lease_s=60, first_check_s=5)
    running = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        await dispatcher.stop(10)
        await running


async def reaches(desk: Desk, order: Order, dispatch: Dispatch) -> None:
    async def reached() -> bool:
        await desk.sql("UPDATE orders SET next_attempt_at = now() WHERE dispatch = 'queued'")
        return (await read_order(desk.db, order.number)).dispatch is dispatch

    await eventually(reached)


async def test_words_that_are_taught_resolve_what_they_answered(desk: Desk) -> None:
    order, _ = await answered(desk)
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")
    assert await teach(desk.db, desk.shop.provider_id, SPELT, "refused", "ops") == [
        Resolved(order.number, Fault.ORDER, WORDS)
    ]
    assert await state(desk, order) == (Dispatch.QUEUED, "not_placed")
    row = await desk.row("SELECT evidence FROM dispatch_attempts")
    assert row["evidence"]["words"] == f"{WORDS} (order, taught by ops)"
    assert "answer" in row["evidence"]
    assert await taught(desk) == []


async def test_a_dry_run_lists_them_and_changes_nothing(desk: Desk) -> None:
    order, _ = await answered(desk)
    assert await taught(desk, dry_run=True) == [order.number]
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")
    async with desk.db.connection() as connection:
        assert await words.load(connection) == {}
    assert await apply_taught(desk.db) == 0


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"error": WORDS, "order": 7}, 200),
        ({"error": WORDS}, 502),
        ({"error": WORDS + " It was placed all the same"}, 200),
        ({"error": [WORDS, "and more"]}, 200),
        ({"error": "Other words"}, 200),
        ({"error": WORDS, "padding": "x" * 5000}, 200),
    ],
)
async def test_any_other_answer_stays_unknown(desk: Desk, answer: Any, status: int) -> None:
    order, _ = await answered(desk, answer, status)
    assert await taught(desk) == []
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")


async def test_an_order_without_an_answer_stays_unknown(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    await record(desk.db, await begin_attempt(desk.db, desk.shop, order), Unknown("no answer in time"), timedelta())
    assert await taught(desk) == []
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")


async def test_an_order_of_which_a_copy_was_sent_stays_unknown(desk: Desk) -> None:
    order, _ = await answered(desk)
    await desk.sql("UPDATE dispatch_attempts SET resends = 1")
    assert await taught(desk) == []
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")


async def test_the_words_of_one_provider_mean_nothing_of_another(desk: Desk) -> None:
    order, _ = await answered(desk)
    assert await teach(desk.db, await add_provider(desk.db), WORDS, "refused", "ops") == []
    assert await apply_taught(desk.db) == 0
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")


async def test_a_refused_order_takes_the_next_route_and_is_placed_once(desk: Desk) -> None:
    async with open_panel() as other:
        provider_id = await add_provider(desk.db)
        await add_route(desk.db, desk.shop.service.id, provider_id, priority=-1)
        await lead_to(desk, provider_id, other)
        other.answers["add"] = {"order": 4711}
        order, _ = await answered(desk)
        assert await taught(desk) == [order.number]
        sent = desk.panel.called("add")
        async with dispatching(desk):
            await reaches(desk, order, Dispatch.ACCEPTED)
        assert (desk.panel.called("add"), other.called("add")) == (sent, 1)
    after = await read_order(desk.db, order.number)
    assert (after.provider_id, after.external_order_id) == (provider_id, "4711")


async def test_a_refused_order_without_another_route_fails_and_its_hold_is_released(desk: Desk) -> None:
    order, _ = await answered(desk)
    assert await taught(desk) == [order.number]
    await desk.upstreams.refresh()
    async with dispatching(desk):
        await reaches(desk, order, Dispatch.REFUSED)
    assert [kind for kind, _ in await ledger_rows(desk.db, order.id)] == ["hold", "release"]


async def test_words_for_the_providers_fault_let_the_route_rest(desk: Desk) -> None:
    order, _ = await answered(desk)
    assert await taught(desk, "provider") == [order.number]
    assert await state(desk, order) == (Dispatch.QUEUED, "not_placed")
    route = await desk.row("SELECT paused_until > now() AS rests, paused_reason FROM service_routes")
    assert route == {"rests": True, "paused_reason": WORDS}


async def test_words_that_speak_of_our_funds_let_the_route_rest_until_the_money_is_back(desk: Desk) -> None:
    order, _ = await answered(desk, {"error": "Insufficient balance"})
    assert await taught(desk, "provider", text="insufficient balance") == [order.number]
    assert (await desk.row("SELECT pause_cause FROM service_routes"))["pause_cause"] == "funds"


async def test_words_for_a_passing_fault_put_the_order_off(desk: Desk) -> None:
    order, _ = await answered(desk)
    assert await taught(desk, "passing") == [order.number]
    assert await state(desk, order) == (Dispatch.QUEUED, "not_placed")
    assert (await desk.row("SELECT not_sent_tries FROM orders"))["not_sent_tries"] == 1


async def test_a_worker_that_runs_learns_the_words_and_forgets_them(desk: Desk) -> None:
    await answered(desk)
    await taught(desk)
    await desk.upstreams.refresh()
    order, _ = await answered(desk)
    assert await state(desk, order) == (Dispatch.REFUSED, "refused")
    async with desk.db.transaction() as tx:
        assert await words.delete(tx, desk.shop.provider_id, "this profile is private")
    await desk.upstreams.refresh()
    again, _ = await answered(desk)
    assert await state(desk, again) == (Dispatch.UNKNOWN, "unknown")


async def test_what_a_worker_without_the_words_left_unknown_is_resolved_later(desk: Desk) -> None:
    await taught(desk)
    order, _ = await answered(desk)
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")
    assert await apply_taught(desk.db) == 1
    assert await state(desk, order) == (Dispatch.QUEUED, "not_placed")
    assert await apply_taught(desk.db) == 0


async def test_an_answer_that_came_after_the_lease_is_kept_and_can_be_taught(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    attempt_id = await begin_attempt(desk.db, desk.shop, order)
    await record(desk.db, attempt_id, Unknown("the worker ended before the answer came"), timedelta())
    desk.panel.answers["add"] = {"error": WORDS}
    late = await desk.upstreams.add(desk.shop.provider_id, "1", {"link": order.link})
    await record(desk.db, attempt_id, late, timedelta())
    assert await state(desk, order) == (Dispatch.UNKNOWN, "unknown")
    assert await taught(desk) == [order.number]


async def test_an_id_that_comes_after_all_is_kept_and_told_of(desk: Desk) -> None:
    order, attempt_id = await answered(desk)
    assert await taught(desk) == [order.number]
    await record(desk.db, attempt_id, Accepted("77"), timedelta())
    assert await state(desk, order) == (Dispatch.QUEUED, "not_placed")
    alert = await desk.row("SELECT kind FROM alerts WHERE cleared_at IS NULL")
    assert alert == {"kind": "orphaned_upstream_order"}


@pytest.mark.parametrize("text", ["", " . ", "x" * 501, "a\x00b"])
async def test_what_are_no_words_is_refused(desk: Desk, text: str) -> None:
    with pytest.raises(Conflict):
        await taught(desk, text=text)
