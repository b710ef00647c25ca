"""A provider with too many unknown orders rests until they are resolved or an operator says otherwise."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from compat.wire import Unknown
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import Refund, resolve
from gateway.dispatch.sender import Dispatcher
from gateway.dispatch.unknowns.pausing import pause_doubtful, resume
from gateway.errors import NotFound
from gateway.orders.model import Dispatch, Order
from gateway.providers import actions
from tests.integration.scripted_panel import open_panel
from tests.support.aftercare import Desk, desk, lead_to
from tests.support.factories import add_provider, add_route, begin_attempt, open_alerts, place_order, read_order
from tests.support.faults import eventually

__all__ = ["desk"]


async def unknown(desk: Desk, count: int) -> list[Order]:
    orders = [await place_order(desk.db, desk.shop) for _ in range(count)]
    for order in orders:
        await record(desk.db, await begin_attempt(desk.db, desk.shop, order), Unknown("no answer"), timedelta())
    return orders


async def sent(desk: Desk, state: str, count: int) -> None:
    """So many attempts of now, of no order that is looked at."""
    await desk.sql(
        "INSERT INTO dispatch_attempts (id, order_id, provider_id, provider_service_id, state, lease_until)"
        " SELECT uuid, uuid, $2, '1', $3, now() FROM unnest($1::uuid[]) AS uuid",
        [uuid7() for _ in range(count)],
        desk.shop.provider_id,
        state,
    )


async def look(desk: Desk) -> int:
    return await pause_doubtful(desk.db, 5, 0.5)


async def is_paused(desk: Desk, provider_id: UUID | None = None) -> bool:
    row = await desk.row(
        "SELECT paused_until > now() AS paused FROM providers WHERE id = $1", provider_id or desk.shop.provider_id
    )
    return bool(row["paused"])


async def alerts(desk: Desk) -> list[str]:
    return [kind for kind in await open_alerts(desk.db) if kind != "unknown_order"]


async def test_more_than_five_unknown_orders_pause_a_provider_until_they_are_resolved(desk: Desk) -> None:
    orders = await unknown(desk, 5)
    assert await look(desk) == 0
    assert not await is_paused(desk)
    orders += await unknown(desk, 1)
    assert await look(desk) == 1
    assert await is_paused(desk)
    assert await alerts(desk) == ["provider_paused"]
    reason = await desk.row("SELECT paused_reason FROM providers")
    assert reason == {"paused_reason": "too many unknown orders: 6 orders are unknown"}
    await desk.upstreams.refresh()
    assert desk.upstreams.ready() == {}
    await resolve(desk.db, orders[0].number, Refund(), "ops")
    assert await look(desk) == 0
    assert not await is_paused(desk)
    assert await alerts(desk) == []
    assert await desk.row("SELECT paused_until, paused_reason FROM providers") == {
        "paused_until": None,
        "paused_reason": None,
    }


async def test_a_pause_is_made_longer_while_it_lasts_and_told_once(desk: Desk) -> None:
    await unknown(desk, 6)
    await look(desk)
    await desk.sql("UPDATE providers SET paused_until = now() + interval '5 s'")
    await look(desk)
    row = await desk.row("SELECT paused_until > now() + interval '30 s' AS longer FROM providers")
    assert row == {"longer": True}
    await desk.sql("UPDATE providers SET paused_until = now() - interval '5 s'")
    await look(desk)
    assert await is_paused(desk)
    assert (await desk.row("SELECT count FROM alerts WHERE kind = 'provider_paused'")) == {"count": 1}


async def test_a_resumed_provider_is_paused_for_new_unknown_orders_alone(desk: Desk) -> None:
    await unknown(desk, 6)
    await look(desk)
    assert await resume(desk.db, desk.shop.provider_id, "ops") == 6
    assert not await is_paused(desk)
    assert await alerts(desk) == []
    assert await look(desk) == 0
    await unknown(desk, 5)
    assert await look(desk) == 0
    await unknown(desk, 1)
    assert await look(desk) == 1
    assert await is_paused(desk)


async def test_nobody_is_resumed_who_is_not_there(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await resume(desk.db, uuid7(), "ops")


async def test_a_longer_pause_of_another_cause_stays_and_is_not_lifted(desk: Desk) -> None:
    async with desk.db.transaction() as tx:
        await actions.pause(tx, desk.shop.provider_id, "holidays", 3600)
    orders = await unknown(desk, 6)
    assert await look(desk) == 1
    for order in orders:
        await resolve(desk.db, order.number, Refund(), "ops")
    await look(desk)
    assert await is_paused(desk)
    assert await desk.row("SELECT paused_reason FROM providers") == {"paused_reason": "holidays"}


async def test_an_operators_pause_in_the_same_words_is_not_lifted(desk: Desk) -> None:
    async with desk.db.transaction() as tx:
        await actions.pause(tx, desk.shop.provider_id, "too many unknown orders: 9 orders are unknown", 3600)
    await look(desk)
    assert await is_paused(desk)


async def test_a_pause_for_a_share_lasts_while_the_sends_before_it_grow_old(desk: Desk) -> None:
    orders = await unknown(desk, 2)
    await sent(desk, "accepted", 198)
    assert await look(desk) == 1
    await desk.sql(
        "UPDATE dispatch_attempts SET state = 'not_sent'"
        " WHERE id IN (SELECT id FROM dispatch_attempts WHERE state = 'accepted' LIMIT 9)"
    )
    assert await look(desk) == 1
    assert await is_paused(desk)
    await resolve(desk.db, orders[0].number, Refund(), "ops")
    assert await look(desk) == 0
    assert not await is_paused(desk)
    await unknown(desk, 1)
    assert await look(desk) == 0, "so few sends say nothing of a provider that does not rest"


@pytest.mark.parametrize(("sends", "in_doubt", "pauses"), [(198, 2, True), (197, 2, False), (199, 1, False)])
async def test_a_share_of_ten_minutes_sends_pauses_where_it_says_something(
    desk: Desk, sends: int, in_doubt: int, pauses: bool
) -> None:
    await unknown(desk, in_doubt)
    await sent(desk, "accepted", sends)
    await sent(desk, "not_sent", 500)
    assert await look(desk) == int(pauses)
    assert await is_paused(desk) is pauses


async def test_queued_orders_take_another_route_while_their_provider_rests(desk: Desk) -> None:
    async with open_panel() as other:
        provider_id = await add_provider(desk.db)
        await add_route(desk.db, desk.shop.service.id, provider_id, priority=-1)
        await lead_to(desk, provider_id, other)
        other.answers["add"] = {"order": 4711}
        await unknown(desk, 6)
        order = await place_order(desk.db, desk.shop)
        await look(desk)
        await desk.upstreams.refresh()
        dispatcher = Dispatcher(desk.db, desk.upstreams, lease_s=60, first_check_s=5)
        running = asyncio.create_task(dispatcher.run())

        async def is_accepted() -> bool:
            return (await read_order(desk.db, order.number)).dispatch is Dispatch.ACCEPTED

        await eventually(is_accepted)
        await dispatcher.stop(10)
        await running
        assert (desk.panel.called("add"), other.called("add")) == (0, 1)
        assert not await is_paused(desk, provider_id)
