"""Cancelling what an upstream has: forwarded to it once, and money waits for what it reports."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from compat.wire import Accepted, Unknown
from gateway.dispatch.cancels import act_on_cancels
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import Refund, resolve
from gateway.errors import CannotCancel
from gateway.orders.cancels.model import TRIES_MAX
from gateway.orders.model import Dispatch, Order, Status
from tests.integration.scripted_panel import open_panel
from tests.support.aftercare import Desk, desk, lead_to
from tests.support.cancelling import CANCELED, COMPLETED, HELD, RELEASED, standing
from tests.support.factories import add_provider, begin_attempt, ledger_rows, open_alerts, place_order

__all__ = ["desk"]

# After it is sent ----------------------------------------------------------------------------


async def test_a_sent_order_is_cancelled_upstream_and_money_waits_for_its_status(desk: Desk) -> None:
    order = await desk.accepted()
    assert [await desk.cancel(order), await desk.cancel(order)] == [[None], [None]]
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    await desk.act()
    assert desk.panel.called("cancel") == 1
    assert "77" in str(desk.panel.calls[-1])
    assert await desk.wish(order) == ("forwarded", None, 0)
    assert await standing(desk, order) == (Dispatch.ACCEPTED, Status.PROCESSING)
    assert await ledger_rows(desk.db, order.id) == [HELD]
    assert await desk.history(order) == ["CancelWanted", "CancelAnswered"]
    await desk.report(order, CANCELED)
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    assert await desk.cancel(order) == [None]
    assert await desk.act() == 0
    await desk.assert_books_are_clean()


async def test_a_refusal_of_the_upstream_is_kept_and_the_wish_may_be_said_again(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": {"error": "Incorrect order ID"}}]
    await desk.act()
    assert await desk.wish(order) == ("refused", "Incorrect order ID", 0)
    assert await standing(desk, order) == (Dispatch.ACCEPTED, Status.PROCESSING)
    assert await desk.act() == 0
    assert await desk.cancel(order) == [None]
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    await desk.act()
    assert await desk.wish(order) == ("forwarded", None, 0)


@pytest.mark.parametrize("status", [500, 200], ids=["broken", "unreadable"])
async def test_a_cancel_without_an_answer_is_asked_again_and_given_up_with_an_alert(desk: Desk, status: int) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.status = status
    desk.panel.answers["cancel"] = {"done": 77}
    await desk.act()
    state, reason, tries = await desk.wish(order) or ("", None, 0)
    assert (state, tries) == ("wanted", 1)
    assert reason
    assert await open_alerts(desk.db) == []
    await desk.sql("UPDATE cancellations SET tries = $1", TRIES_MAX - 1)
    await desk.act()
    assert (await desk.wish(order) or ("",))[0] == "failed"
    assert await open_alerts(desk.db) == ["cancel_unanswered"]
    assert await standing(desk, order) == (Dispatch.ACCEPTED, Status.PROCESSING)


async def test_a_cancel_that_was_not_answered_rests_before_it_is_asked_again(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.status = 500
    await desk.sql("UPDATE cancellations SET tries = 5")
    await desk.act()
    rest = await desk.row("SELECT extract(epoch FROM next_try_at - updated_at)::float8 AS s FROM cancellations")
    assert rest["s"] == 32


async def test_a_wish_for_an_order_that_ended_meanwhile_is_void(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    await desk.report(order, COMPLETED)
    await desk.act()
    assert await desk.wish(order) == ("void", "the order is completed", 0)
    assert desk.panel.called("cancel") == 0
    [refusal] = await desk.cancel(order)
    assert isinstance(refusal, CannotCancel)


async def test_two_workers_ask_for_a_cancel_once(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    assert sorted(await asyncio.gather(*(act_on_cancels(desk.db, desk.upstreams) for _ in range(2)))) == [0, 1]
    assert desk.panel.called("cancel") == 1


async def test_many_wishes_go_in_one_call_and_only_to_their_own_provider(desk: Desk) -> None:
    orders = [await desk.accepted(str(upstream_id)) for upstream_id in range(1, 101)]
    await desk.cancel(*orders)
    async with open_panel() as other:
        await lead_to(desk, await add_provider(desk.db), other)
        desk.panel.answers["cancel"] = [{"order": number, "cancel": 1} for number in range(1, 101)]
        await desk.act()
        assert (desk.panel.called("cancel"), other.called("cancel")) == (1, 0)
    assert [await desk.wish(order) for order in orders] == [("forwarded", None, 0)] * 100


# Orphans -------------------------------------------------------------------------------------


async def written_off(desk: Desk) -> tuple[Order, UUID]:
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    await record(desk.db, attempt, Unknown("no answer"), timedelta())
    await resolve(desk.db, order.number, Refund(), "test")
    return order, attempt


async def test_what_turns_up_for_a_written_off_order_is_cancelled_upstream(desk: Desk) -> None:
    order, attempt = await written_off(desk)
    await record(desk.db, attempt, Accepted("88"), timedelta())
    assert await desk.wish(order) == ("wanted", None, 0)
    desk.panel.answers["cancel"] = [{"order": 88, "cancel": 1}]
    await desk.act()
    assert await desk.wish(order) == ("forwarded", None, 0)
    assert await standing(desk, order) == (Dispatch.WRITTEN_OFF, Status.CANCELLED)
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    assert await open_alerts(desk.db) == ["orphaned_upstream_order"]
    await desk.assert_books_are_clean()


async def test_an_orphans_id_that_is_another_orders_is_not_cancelled(desk: Desk) -> None:
    living = await desk.accepted("88")
    order, attempt = await written_off(desk)
    await record(desk.db, attempt, Accepted("88"), timedelta())
    await desk.act()
    assert await desk.wish(order) is None
    await desk.sql("INSERT INTO cancellations (order_id) VALUES ($1)", order.id)
    await desk.act()
    assert (await desk.wish(order) or ("",))[0] == "void"
    assert desk.panel.called("cancel") == 0
    assert await standing(desk, living) == (Dispatch.ACCEPTED, Status.PROCESSING)


async def test_a_wish_for_an_unknown_order_that_is_written_off_waits_for_an_orphan_no_longer(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    await record(desk.db, attempt, Unknown("no answer"), timedelta())
    await desk.cancel(order)
    await resolve(desk.db, order.number, Refund(), "test")
    await desk.act()
    assert (await desk.wish(order) or ("",))[0] == "void"
    await record(desk.db, attempt, Accepted("88"), timedelta())
    assert await desk.wish(order) == ("wanted", None, 0)
