"""Which orders are due to be asked about, and when they are next."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.store import start_tracking
from gateway.orders.model import Order
from gateway.orders.store import lock
from gateway.tracking import store
from tests.support.factories import Shop, add_provider, add_shop, begin_attempt, place_order

SHORTEST, LONGEST = timedelta(seconds=5), timedelta(seconds=900)


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


async def accepted_order(db: Database, shop: Shop, upstream_id: str, *, first_check: timedelta = timedelta()) -> Order:
    order = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, order), Accepted(upstream_id), first_check)
    return order


async def make_older(db: Database, order: Order, *, age_s: float, ended_s: float | None = None) -> None:
    """As if the order had been placed, and had ended, that long ago."""
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE orders SET created_at = now() - make_interval(secs => $2), "
            "completed_at = now() - make_interval(secs => $3) WHERE id = $1",
            order.id,
            age_s,
            ended_s,
        )


async def claim(db: Database, provider_id: UUID) -> dict[str, UUID]:
    async with db.transaction() as tx:
        due = await store.claim_due(tx, provider_id, SHORTEST, LONGEST)
    return {upstream_id: order.id for upstream_id, order in due.items()}


async def next_check_s(db: Database, order: Order) -> float | None:
    """How long a claim of now puts the order's next check off; None where it is not asked about any more."""
    async with db.transaction() as tx:
        await store.claim_due(tx, order.provider_id or order.id, SHORTEST, LONGEST)
        seconds: float | None = await tx.fetchval(
            "SELECT extract(epoch FROM next_check_at - now())::float8 FROM order_checks WHERE order_id = $1", order.id
        )
    return seconds


async def test_what_is_due_is_claimed_once_under_the_upstreams_id(db: Database, shop: Shop) -> None:
    first, second = await accepted_order(db, shop, "a1"), await accepted_order(db, shop, "b2")
    assert await claim(db, shop.provider_id) == {"a1": first.id, "b2": second.id}
    assert await claim(db, shop.provider_id) == {}


async def test_what_is_not_due_or_not_sent_is_left_alone(db: Database, shop: Shop) -> None:
    await accepted_order(db, shop, "a1", first_check=timedelta(hours=1))
    await place_order(db, shop)
    async with db.transaction() as tx:
        assert await store.providers_due(tx) == []
    assert await claim(db, shop.provider_id) == {}


async def test_only_providers_with_something_due_are_asked(db: Database, shop: Shop) -> None:
    await add_provider(db)
    await accepted_order(db, shop, "a1")
    async with db.transaction() as tx:
        assert await store.providers_due(tx) == [shop.provider_id]


async def test_orders_of_another_provider_are_not_claimed(db: Database, shop: Shop) -> None:
    await accepted_order(db, shop, "a1")
    assert await claim(db, await add_provider(db)) == {}


async def test_no_more_are_claimed_than_one_call_may_ask_about(db: Database, shop: Shop) -> None:
    order = await accepted_order(db, shop, "a1")
    async with db.transaction() as tx:
        await tx.execute(
            "WITH added AS (INSERT INTO orders (user_id, service_id, provider_id, external_order_id, link, quantity, "
            "price, dispatch, status) SELECT user_id, service_id, provider_id, n::text, link, quantity, price, "
            "dispatch, status FROM orders, generate_series(1, 150) n WHERE id = $1 RETURNING id, provider_id) "
            "INSERT INTO order_checks SELECT id, provider_id, now() FROM added",
            order.id,
        )
    assert len(await claim(db, shop.provider_id)) == store.BATCH_MAX == 100
    assert len(await claim(db, shop.provider_id)) == 51


async def test_what_another_poller_holds_is_passed_over(db: Database, shop: Shop) -> None:
    await accepted_order(db, shop, "a1")
    async with db.transaction() as tx:
        await store.claim_due(tx, shop.provider_id, SHORTEST, LONGEST)
        assert await claim(db, shop.provider_id) == {}


async def test_a_claim_waits_for_no_order_and_writes_none(db: Database, shop: Shop) -> None:
    order = await accepted_order(db, shop, "a1")
    async with db.transaction() as tx:
        version = "SELECT xmin::text || ctid::text FROM orders WHERE id = $1"
        before = await tx.fetchval(version, order.id)
        await lock(tx, [order.id])
        assert await claim(db, shop.provider_id) == {"a1": order.id}
        assert await tx.fetchval(version, order.id) == before


async def test_an_order_that_is_gone_is_not_asked_about_and_keeps_none_from_being_so(
    db: Database, shop: Shop, database_url: str
) -> None:
    gone, kept = await accepted_order(db, shop, "a1"), await accepted_order(db, shop, "b2")
    root = await asyncpg.connect(database_url)
    await root.execute("DELETE FROM orders WHERE id = $1", gone.id)
    assert await claim(db, shop.provider_id) == {"b2": kept.id}
    assert await root.fetch("SELECT order_id FROM order_checks") == [(kept.id,)]
    await root.close()


async def test_an_order_that_is_tracked_anew_is_due_once(db: Database, shop: Shop) -> None:
    order = await accepted_order(db, shop, "a1", first_check=timedelta(hours=1))
    async with db.transaction() as tx:
        await start_tracking(tx, order.id, timedelta())
    assert await claim(db, shop.provider_id) == {"a1": order.id}
    assert await claim(db, shop.provider_id) == {}


@pytest.mark.parametrize(
    ("age_s", "wait_s"),
    [(0, 5), (20, 5), (1000, 100), (8000, 800), (9000, 900), (10**7, 900)],
)
async def test_an_open_order_is_asked_about_at_a_tenth_of_its_age_within_bounds(
    db: Database, shop: Shop, age_s: float, wait_s: float
) -> None:
    order = await accepted_order(db, shop, "a1")
    await make_older(db, order, age_s=age_s)
    assert await next_check_s(db, order) == pytest.approx(wait_s, abs=3)


@pytest.mark.parametrize(
    ("ended_s", "wait_s"),
    [(1, 600), (500, 600), (3600, 3600), (86_400, 86_400), (3 * 86_400 + 60, None)],
)
async def test_an_ended_order_is_asked_about_for_three_days_less_and_less(
    db: Database, shop: Shop, ended_s: float, wait_s: float | None
) -> None:
    order = await accepted_order(db, shop, "a1")
    await make_older(db, order, age_s=ended_s + 60, ended_s=ended_s)
    expected = None if wait_s is None else pytest.approx(wait_s, abs=3)
    assert await next_check_s(db, order) == expected
