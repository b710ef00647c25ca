"""A dispatcher among faults: what fails alone stops nothing else, and nothing goes out that must not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.dispatch.claims import Claimed, Ready, claim
from gateway.dispatch.sender import Dispatcher
from gateway.egress import open_session
from gateway.orders.model import Dispatch, Order
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.support.dispatch_faults import DAY_S, attempts, dispatch_of, order, panel, shop
from tests.support.factories import Shop, add_provider, add_route, add_shop, open_alerts, place_order, read_order
from tests.support.faults import KEYRING, NumberingPanel, eventually, refuse_writes
from tests.support.proxy import Break, wire_to

__all__ = ["order", "panel", "shop"]

GRACE_S = 15


@pytest.fixture
async def upstreams(db: Database, shop: Shop) -> AsyncIterator[Upstreams]:
    async with open_session(allow_private=True, limit=10) as session:
        upstreams = Upstreams(db, KEYRING, session, Settings())
        await upstreams.refresh()
        yield upstreams


@asynccontextmanager
async def dispatching(db: Database, upstreams: Upstreams, lease_s: float = 60) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(db, upstreams, lease_s=lease_s, first_check_s=5)
    running = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        await dispatcher.stop(GRACE_S)
        await running


def reach(db: Database, dispatch: Dispatch, *orders: Order) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return set(await dispatch_of(db, *orders)) == {dispatch}

    return reached


async def rests(db: Database, order: Order) -> bool:
    async with db.connection() as connection:
        resting: bool = await connection.fetchval("SELECT next_attempt_at > now() FROM orders WHERE id = $1", order.id)
    return resting


def at_rest(db: Database, *orders: Order) -> Callable[[], Awaitable[bool]]:
    async def resting() -> bool:
        return all([await rests(db, order) for order in orders])

    return resting


# A dispatcher at work ------------------------------------------------------------------------


async def test_an_attempt_whose_lease_is_over_does_not_leave(
    db: Database, order: Order, upstreams: Upstreams, panel: NumberingPanel
) -> None:
    async def attempted() -> bool:
        return [state for state, *_ in await attempts(db, order)][:1] == ["not_sent"]

    async with dispatching(db, upstreams, lease_s=0):
        await eventually(attempted)
    state, reason, _, _ = (await attempts(db, order))[0]
    assert (state, reason) == ("not_sent", "too late: the lease would end before the answer")
    assert await dispatch_of(db, order) == [Dispatch.QUEUED]
    assert panel.links == []


async def test_a_claim_whose_answer_is_lost_is_taken_back_before_its_lease_ends(
    db: Database, database_url: str, order: Order, upstreams: Upstreams, panel: NumberingPanel
) -> None:
    async with wire_to(database_url) as (wire, url):
        far = await Database.open(url, size=4)
        wire.broken = Break.AFTER_COMMIT

        async def lost() -> bool:
            return wire.commits > 0

        async with dispatching(far, upstreams, lease_s=DAY_S):
            await eventually(lost)
        await far.close()
    assert [attempt[:2] for attempt in await attempts(db, order)] == [("not_sent", "the claim was not confirmed")]
    assert await dispatch_of(db, order) == [Dispatch.QUEUED]
    assert panel.links == []


async def test_a_claim_that_is_committed_after_its_connection_was_lost_is_taken_back(
    db: Database,
    database_url: str,
    order: Order,
    upstreams: Upstreams,
    panel: NumberingPanel,
    owner: asyncpg.Connection,
) -> None:
    await owner.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'"
    )
    await owner.execute(
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON dispatch_attempts DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    await owner.execute("SELECT pg_advisory_lock(1)")
    async with wire_to(database_url) as (wire, url):
        far = await Database.open(url, size=4)
        wire.broken = Break.DURING_COMMIT

        async def looked() -> bool:
            return wire.commits > 1

        async with dispatching(far, upstreams, lease_s=DAY_S):
            await eventually(looked)
            await owner.execute("SELECT pg_advisory_unlock(1)")
            await eventually(reach(db, Dispatch.ACCEPTED, order))
        await far.close()
    assert [attempt[0] for attempt in await attempts(db, order)] == ["not_sent", "accepted"]
    assert panel.links == [order.link]


async def test_stopping_waits_for_the_claim_under_way_and_sends_what_it_claimed(
    db: Database, order: Order, upstreams: Upstreams, panel: NumberingPanel, owner: asyncpg.Connection
) -> None:
    async def claim_waits() -> bool:
        return bool(await owner.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    dispatcher = Dispatcher(db, upstreams, lease_s=60, first_check_s=5)
    async with owner.transaction():
        await owner.execute("LOCK TABLE dispatch_attempts IN SHARE MODE")
        running = asyncio.create_task(dispatcher.run())
        await eventually(claim_waits)
        stopping = asyncio.create_task(dispatcher.stop(GRACE_S))
        await asyncio.sleep(0)
    await stopping
    assert await dispatch_of(db, order) == [Dispatch.ACCEPTED]
    assert panel.links == [order.link]
    await running


async def test_a_cost_that_no_row_can_hold_stops_no_dispatcher(
    db: Database, shop: Shop, upstreams: Upstreams, owner: asyncpg.Connection
) -> None:
    neighbour_shop = await add_shop(db)
    await owner.execute("UPDATE service_routes SET provider_id = $1", shop.provider_id)
    await owner.execute("UPDATE service_routes SET cost_per_1000 = 999999999999 WHERE id = $1", shop.route.id)
    dear = await place_order(db, shop, quantity=100_000)
    neighbour = await place_order(db, neighbour_shop)
    await owner.execute("UPDATE orders SET provider_id = $1", shop.provider_id)
    async with dispatching(db, upstreams):
        await eventually(reach(db, Dispatch.ACCEPTED, dear, neighbour))
    assert [(await attempts(db, each))[0][2] for each in (dear, neighbour)] == [None, Decimal(1)]
    assert await open_alerts(db) == []


async def test_an_order_that_cannot_be_claimed_is_put_aside_and_its_neighbours_go_out(
    db: Database, shop: Shop, upstreams: Upstreams, owner: asyncpg.Connection
) -> None:
    first, bad, *others = [await place_order(db, shop) for _ in range(5)]
    await refuse_writes(owner, "INSERT", "dispatch_attempts", f"NEW.order_id = '{bad.id}'")
    async with dispatching(db, upstreams):
        await eventually(reach(db, Dispatch.ACCEPTED, first, *others))
        await eventually(at_rest(db, bad))
    assert await dispatch_of(db, bad) == [Dispatch.QUEUED]
    assert await open_alerts(db) == ["unsendable_order"]


async def test_orders_that_no_provider_takes_do_not_hide_the_one_that_cannot_be_claimed(
    db: Database, shop: Shop, upstreams: Upstreams, owner: asyncpg.Connection
) -> None:
    nowhere = await add_shop(db)
    stranded = [await place_order(db, nowhere) for _ in range(2)]
    bad = await place_order(db, shop)
    healthy = await place_order(db, shop)
    await refuse_writes(owner, "INSERT", "dispatch_attempts", f"NEW.order_id = '{bad.id}'")
    async with dispatching(db, upstreams):
        await eventually(reach(db, Dispatch.ACCEPTED, healthy))
        await eventually(at_rest(db, bad, *stranded))
    assert await open_alerts(db) == ["unsendable_order"]


# Claims --------------------------------------------------------------------------------------


async def claim_with(db: Database, ready: Ready) -> Claimed:
    claimed = Claimed()
    async with db.transaction() as tx:
        await claim(tx, ready, claimed, lease=timedelta(seconds=60), stranded=True)
    return claimed


async def test_what_is_queued_for_a_broken_provider_is_left_to_other_workers(
    db: Database, shop: Shop, order: Order
) -> None:
    assert not (await claim_with(db, Ready({}, broken=[shop.provider_id]))).orders
    assert not await rests(db, order)
    elsewhere = await claim_with(db, Ready({shop.provider_id: 1}))
    assert [attempt.order.id for attempt in elsewhere.attempts] == [order.id]


async def test_what_is_queued_for_a_broken_provider_takes_another_route_that_is_ready(
    db: Database, shop: Shop, order: Order
) -> None:
    other = await add_provider(db)
    await add_route(db, shop.service.id, other)
    assert (await claim_with(db, Ready({other: 1}, [shop.provider_id]))).planned
    assert (await read_order(db, order.number)).provider_id == other
