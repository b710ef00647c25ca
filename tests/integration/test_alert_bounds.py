"""What is no alert, what is one alert of many, and what a sweep does not stop at."""

from datetime import timedelta

import asyncpg

from compat.status import UpstreamStatus
from compat.wire import Accepted
from gateway.alerts import store as alerts
from gateway.alerts.conditions.sweep import sweep
from gateway.alerts.store import Alert
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.unknowns.pausing import CAUSE
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from gateway.providers import actions
from gateway.settings import Settings
from tests.support.alert_scenes import AT_ONCE_S, message_of, open_ones, shop, someone_watches, swept
from tests.support.factories import Shop, add_route, add_shop, begin_attempt, place_order

__all__ = ["shop"]


async def test_a_pause_by_an_operator_is_no_alert(db: Database, shop: Shop) -> None:
    async with db.transaction() as tx:
        await actions.pause(tx, shop.provider_id, "their maintenance", 3600)
    assert await swept(db) == {}


async def test_an_operator_who_takes_a_pause_over_ends_its_alert(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    await root.execute(f"UPDATE providers SET paused_until = now() + interval '1 minute', paused_reason = '{CAUSE}: 6'")
    assert list(await swept(db)) == [("provider_paused", f"provider {shop.provider_id}")]
    async with db.transaction() as tx:
        await actions.pause(tx, shop.provider_id, "asked them", 3600)
    assert await swept(db) == {}


async def test_a_route_that_an_operator_lets_rest_has_no_alert(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    async with db.transaction() as tx:
        await alerts.raise_(tx, [Alert("route_paused", f"route {shop.route.id}", "the provider refused an order")])
    await root.execute("UPDATE service_routes SET paused_until = now() + interval '2 days', pause_cause = 'operator'")
    assert await swept(db) == {}


async def test_an_unknown_order_that_is_cleared_by_hand_comes_back(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    order = await place_order(db, shop)
    await root.execute("UPDATE orders SET dispatch = 'unknown'")
    await swept(db)
    async with db.transaction() as tx:
        assert await alerts.clear_by_hand(tx, kind="unknown_order") == 1
    assert await swept(db) == {("unknown_order", f"order {order.number}"): 1}


async def test_a_balance_is_missed_after_four_readings_where_they_are_seldom(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    hourly = Settings(balance_interval_s=3600.0)
    await root.execute(
        "INSERT INTO processes (id, kind, host, pid, started_at) VALUES (uuid7(), 'work', 'h', 1, now() - "
        "interval '1 day')"
    )
    await root.execute("UPDATE providers SET balance_at = now() - interval '3 hours'")
    await sweep(db, hourly, quiet_s=AT_ONCE_S)
    assert await open_ones(db) == {}
    await root.execute("UPDATE providers SET balance_at = now() - interval '5 hours'")
    await sweep(db, hourly, quiet_s=AT_ONCE_S)
    assert list(await open_ones(db)) == [("provider_down", f"provider {shop.provider_id}")]
    assert "it has not told our balance since 20" in await message_of(db, "provider_down")


async def test_orders_that_wait_too_long_are_one_alert_a_provider(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    numbers = [(await place_order(db, shop)).number for _ in range(7)]
    await root.execute("UPDATE orders SET queued_at = now() - interval '1 hour'")
    await root.execute("INSERT INTO processes (id, kind, host, pid) VALUES (uuid7(), 'work', 'h', 1)")
    assert list(await swept(db)) == [("stuck_orders", f"queued at provider {shop.provider_id}")]
    message = await message_of(db, "stuck_orders")
    assert "7 orders wait in the queue" in message
    assert message.endswith(", ".join(map(str, numbers[:5])))


async def test_an_order_that_is_delivered_slowly_is_not_stuck(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    order = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, order), Accepted("up-1"), timedelta())

    async def told(remains: int) -> None:
        async with db.transaction() as tx:
            report = Reported(word="In progress", status=UpstreamStatus.IN_PROGRESS, remains=remains)
            await settle(tx, [Change(order.id, report)])

    await told(950)
    await root.execute(
        "UPDATE orders SET created_at = now() - interval '4 days'; "
        "UPDATE order_events SET created_at = now() - interval '4 days'"
    )
    await told(949)
    assert list(await swept(db)) == [("stuck_orders", f"accepted at provider {shop.provider_id}")]
    before = await root.fetchval("SELECT count(*) FROM order_events")
    for remains in range(948, 790, -1):
        await told(remains)
    assert await swept(db) == {}
    assert await root.fetchval("SELECT count(*) FROM order_events") - before == 2


async def test_orders_wait_and_no_worker_was_ever_started(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    await place_order(db, shop)
    await someone_watches(root)
    assert await swept(db) == {}
    await root.execute("UPDATE orders SET queued_at = now() - interval '2 minutes'")
    assert list(await swept(db)) == [("worker_silent", "worker")]


async def test_a_service_that_one_of_two_providers_sells_dearer_than_it_is_sold_is_told_of_that_one(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    dear = await add_shop(db)
    await add_route(db, shop.service.id, dear.provider_id, provider_service_id="9", cost="2.5")
    assert list(await swept(db)) == [("sold_at_a_loss", f"provider {dear.provider_id}")]
    assert f"{shop.service.number} (price 2, cost 2.5)" in await message_of(db, "sold_at_a_loss")
    await root.execute("UPDATE service_routes SET is_active = false WHERE provider_service_id = '9'")
    assert await swept(db) == {}


async def test_the_dearer_of_a_providers_two_routes_is_told_of(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    await add_route(db, shop.service.id, shop.provider_id, provider_service_id="9", cost="2.5")
    assert list(await swept(db)) == [("sold_at_a_loss", f"provider {shop.provider_id}")]
    assert f"{shop.service.number} (price 2, cost 2.5)" in await message_of(db, "sold_at_a_loss")


async def test_more_than_a_thousand_of_a_kind_are_bounded_and_none_is_cleared_for_it(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    await root.execute(
        "WITH u AS (INSERT INTO users (email, password_hash) SELECT i || '@example.com', '!' "
        "FROM generate_series(1, 1100) i RETURNING id) INSERT INTO wallets (user_id, low_balance) SELECT id, 1 FROM u"
    )
    first = await swept(db)
    assert len(first) == 1000
    again = await swept(db)
    assert first.keys() <= again.keys()
    await root.execute("UPDATE wallets SET low_balance = NULL")
    assert await swept(db) == {}


async def test_what_an_upstream_said_is_cut(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    await root.execute("UPDATE providers SET sync_error = $1", "x" * 100_000)
    await swept(db)
    assert len(await message_of(db, "provider_down")) < 500
