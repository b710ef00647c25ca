"""Which orders a dispatcher takes, and where those go whose provider cannot take them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from compat.wire import NotSent
from gateway.catalog.editing.providers import set_active
from gateway.db.engine import Database, Transaction
from gateway.dispatch import store
from gateway.dispatch.model import Attempt
from gateway.dispatch.outcomes import record
from gateway.dispatch.sender import Dispatcher
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.orders.model import Order
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from gateway.tracking import store as tracking
from tests.support.attempts import order, shop
from tests.support.factories import (
    Shop,
    add_provider,
    add_route,
    add_shop,
    begin_attempt,
    place_order,
    read_order,
)
from tests.support.reads import Measured

__all__ = ["order", "shop"]

SECRETS = ("a secret that is long enough to be one",)
WITHIN_S = 15
HOUR = timedelta(hours=1)


async def claimed(db: Database, slots: Mapping[UUID, int]) -> set[int]:
    async with db.transaction() as tx:
        return {order.number for order, _ in await store.claim_queued(tx, slots)}


async def test_as_many_orders_are_claimed_as_there_are_slots(db: Database, shop: Shop) -> None:
    orders = [await place_order(db, shop) for _ in range(3)]
    assert len(await claimed(db, {shop.provider_id: 2})) == 2
    assert await claimed(db, {shop.provider_id: 9}) == {order.number for order in orders}


async def test_orders_of_another_provider_are_not_claimed(db: Database, shop: Shop, order: Order) -> None:
    elsewhere = await add_shop(db)
    assert await claimed(db, {elsewhere.provider_id: 5}) == set()


async def test_orders_that_another_dispatcher_holds_are_passed_over(db: Database, shop: Shop) -> None:
    orders = [await place_order(db, shop) for _ in range(3)]
    async with db.transaction() as tx:
        held = {order.number for order, _ in await store.claim_queued(tx, {shop.provider_id: 2})}
        assert await claimed(db, {shop.provider_id: 9}) == {order.number for order in orders} - held


async def test_an_order_at_rest_is_not_claimed(db: Database, shop: Shop, order: Order) -> None:
    attempt = await begin_attempt(db, shop, order)
    await record(db, attempt, NotSent("connection refused"), timedelta())
    assert await claimed(db, {shop.provider_id: 9}) == set()


async def test_an_order_is_claimed_by_one_of_many_dispatchers(db: Database, shop: Shop, order: Order) -> None:
    gate = asyncio.Barrier(4)

    async def claim() -> int:
        async with db.transaction() as tx:
            found = await store.claim_queued(tx, {shop.provider_id: 5})
            await gate.wait()
            return len(found)

    assert sum(await asyncio.gather(*(claim() for _ in range(4)))) == 1


async def test_orders_of_a_provider_that_is_not_ready_are_stranded(db: Database, shop: Shop, order: Order) -> None:
    ready = await add_provider(db)
    async with db.transaction() as tx:
        assert [found.number for found, _ in await store.claim_stranded(tx, [ready], [], 10)] == [order.number]
        assert await store.claim_stranded(tx, [shop.provider_id], [], 10) == []


# A dispatcher at work ------------------------------------------------------------------------


@pytest.fixture
async def upstreams(db: Database) -> AsyncIterator[Upstreams]:
    """Its providers are at a local port where nothing listens."""
    async with open_session(allow_private=True, limit=10) as session:
        yield Upstreams(db, Keyring(SECRETS), session, Settings(secret_key=SECRETS))


async def make_callable(db: Database, provider_id: UUID) -> None:
    async with db.transaction() as tx:
        await actions.set_api_key(tx, Keyring(SECRETS), provider_id, "a-key")


async def dispatch_until_attempted(db: Database, upstreams: Upstreams, order: Order) -> UUID:
    """Run a dispatcher until the order has an attempt; its provider."""
    await upstreams.refresh()
    dispatcher = Dispatcher(db, upstreams, lease_s=60, first_check_s=5)
    running = asyncio.create_task(dispatcher.run())
    provider_id: UUID | None = None
    try:
        async with asyncio.timeout(WITHIN_S):
            while provider_id is None:
                async with db.connection() as connection:
                    provider_id = await connection.fetchval(
                        "SELECT provider_id FROM dispatch_attempts WHERE order_id = $1 AND state = 'not_sent'", order.id
                    )
                await asyncio.sleep(0.02)
    finally:
        await dispatcher.stop(WITHIN_S)
        await running
    return provider_id


async def test_an_order_goes_to_its_own_provider_while_that_is_ready(
    db: Database, shop: Shop, order: Order, upstreams: Upstreams
) -> None:
    await make_callable(db, shop.provider_id)
    assert await dispatch_until_attempted(db, upstreams, order) == shop.provider_id


@pytest.mark.parametrize("trouble", ["paused", "off", "key unreadable"])
async def test_a_stranded_order_goes_to_another_provider_that_is_ready(
    db: Database, shop: Shop, order: Order, upstreams: Upstreams, trouble: str
) -> None:
    other = await add_provider(db)
    await add_route(db, shop.service.id, other)
    await make_callable(db, other)
    async with db.transaction() as tx:
        if trouble == "paused":
            await actions.pause(tx, shop.provider_id, "maintenance", 3600)
        if trouble == "off":
            await set_active(tx, shop.provider_id, False)
    assert await dispatch_until_attempted(db, upstreams, order) == other
    assert (await read_order(db, order.number)).provider_id == other


async def test_a_busy_provider_is_ready_with_no_slots_so_that_its_orders_wait_for_it(
    db: Database, shop: Shop, order: Order, upstreams: Upstreams
) -> None:
    called, finish = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await finish.wait()
        writer.close()

    panel = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = panel.sockets[0].getsockname()[1]
    await make_callable(db, shop.provider_id)
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET max_in_flight = 1, api_endpoint = $1", f"http://127.0.0.1:{port}/")
    await upstreams.refresh()
    sending = asyncio.create_task(upstreams.add(shop.provider_id, "1", {}))
    async with asyncio.timeout(WITHIN_S):
        await called.wait()
    assert upstreams.ready() == {shop.provider_id: 0}
    finish.set()
    await sending
    panel.close()


async def test_a_long_queue_is_not_read_for_the_few_that_are_claimed(db: Database, shop: Shop, order: Order) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO orders (user_id, service_id, provider_id, link, quantity, price) SELECT user_id, service_id, "
            "provider_id, link || n, quantity, price FROM orders, generate_series(1, 2000) AS n WHERE id = $1",
            order.id,
        )
    async with db.transaction() as tx:
        claims = await store.claim_queued(tx, {shop.provider_id: 10})
        attempts = [Attempt(uuid7(), claimed, kind, shop.route) for claimed, kind in claims]
        before = await rows_read(tx)
        assert len(await store.insert_attempts(tx, attempts, timedelta(seconds=60))) == 10
        assert await rows_read(tx) - before <= 20


async def rows_read(tx: Transaction) -> int:
    """Rows of orders that were looked at in the transaction."""
    await tx.execute("SELECT pg_stat_clear_snapshot()")
    count: int = await tx.fetchval(
        "SELECT sum(seq_tup_read + idx_tup_fetch)::int FROM pg_stat_xact_user_tables WHERE relname LIKE 'orders_2%'"
    )
    return count


@pytest.mark.parametrize("state", ["queued", "accepted"])
async def test_plans_of_an_empty_shop_serve_a_burst(
    db: Database, database_url: str, shop: Shop, order: Order, state: str
) -> None:
    """What is planned before there are orders, and never analyzed, reads no more than it takes of many."""
    root = await asyncpg.connect(database_url)
    own = await Database.open(database_url, size=1)
    plans: dict[str, str] = {}

    async def turn() -> int:
        async with own.transaction() as tx:
            measured = Measured(tx, generic=True, kept=plans)
            if state == "accepted":
                await tracking.claim_due(measured, shop.provider_id, HOUR, HOUR)  # type: ignore[arg-type]
            else:
                claims = await store.claim_queued(measured, {shop.provider_id: 50})  # type: ignore[arg-type]
                attempts = [Attempt(uuid7(), claimed, kind, shop.route) for claimed, kind in claims]
                await store.insert_attempts(measured, attempts, HOUR)  # type: ignore[arg-type]
            return measured.pages

    try:
        await root.execute("VACUUM ANALYZE orders, dispatch_attempts, order_checks")
        await turn()
        pages = []
        for count in (200, 20_000):
            await root.execute(
                """
                WITH added AS (
                  INSERT INTO orders (user_id, service_id, provider_id, link, quantity, price, dispatch,
                    external_order_id, status)
                  SELECT user_id, service_id, provider_id, link || n, quantity, price, $3::text,
                         CASE WHEN $3::text = 'accepted' THEN n::text END,
                         CASE WHEN $3::text = 'accepted' THEN 'processing' ELSE 'pending' END
                    FROM orders, generate_series(1, $2::int) AS n WHERE id = $1
                  RETURNING id, provider_id)
                INSERT INTO order_checks SELECT id, provider_id, now() FROM added WHERE $3::text = 'accepted'
                """,
                order.id,
                count,
                state,
            )
            pages.append(await turn())
    finally:
        await own.close()
        await root.close()
    assert pages[1] < 4 * pages[0], pages  # to read all of them would be a hundred times as much


async def test_knowing_that_nothing_is_due_does_not_read_what_is_followed(
    db: Database, database_url: str, shop: Shop
) -> None:
    """By a plan that was made when one order was followed."""
    root = await asyncpg.connect(database_url)
    own = await Database.open(database_url, size=1)
    plans: dict[str, str] = {}

    async def look_beside(more: int) -> int:
        await root.execute(
            "INSERT INTO order_checks SELECT uuid7(), $1, now() + interval '1 h' FROM generate_series(1, $2::int)",
            shop.provider_id,
            more,
        )
        async with own.transaction() as tx:
            measured = Measured(tx, generic=True, kept=plans)
            if not plans:
                await root.execute("VACUUM ANALYZE order_checks")
            assert await tracking.providers_due(measured) == []  # type: ignore[arg-type]
            return measured.pages

    try:
        few = await look_beside(1)
        assert await look_beside(20_000) <= few + 10
    finally:
        await own.close()
        await root.close()
