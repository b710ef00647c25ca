"""Each condition that alerts are about: raised once, counted while it lasts, cleared by itself."""

import asyncio

import asyncpg
import pytest

from gateway.alerts import store as alerts
from gateway.alerts.conditions.store import CONDITIONS, SAID_NO_MORE, claim_sweep
from gateway.alerts.conditions.sweep import sweep
from gateway.alerts.store import Alert
from gateway.api.redis_alert import RedisAlert
from gateway.db.engine import Database
from tests.support.alert_scenes import (
    HELD_BY_THE_SWEEP,
    SCENES,
    SETTINGS,
    open_ones,
    shop,
    swept,
)
from tests.support.factories import Shop, begin_attempt, place_order

__all__ = ["shop"]


def test_every_condition_of_the_sweep_has_a_scene() -> None:
    assert {name.partition(",")[0] for name in SCENES} == set(HELD_BY_THE_SWEEP)


@pytest.mark.parametrize("name", SCENES)
async def test_a_condition_is_raised_once_counted_and_cleared_by_itself(
    db: Database, root: asyncpg.Connection, shop: Shop, name: str
) -> None:
    assert await swept(db) == {}
    kind, scene = name.partition(",")[0], SCENES[name]
    subject = await scene.begin(db, root, shop)
    assert await swept(db) == {(kind, subject): 1}
    assert await swept(db) == {(kind, subject): 2}
    await scene.end(db, root, shop)
    assert await swept(db) == {}
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM alerts") == 1
        severity = await connection.fetchval("SELECT severity FROM alerts")
    assert severity == next(condition.severity for condition in CONDITIONS if condition.kind == kind)


async def test_redis_is_down_until_no_process_says_so_any_more(db: Database, root: asyncpg.Connection) -> None:
    """One that recovers first, one that died, and one that still cannot reach it."""
    first, dead, last = RedisAlert(db), RedisAlert(db), RedisAlert(db)
    for one in (first, dead, last):
        one.tell(healthy=False)
        await one.write()
    first.tell(healthy=True)
    await first.write()
    await sweep(db, SETTINGS)
    assert list(await open_ones(db)) == [("redis_down", "redis")]
    last.tell(healthy=True)
    await last.write()
    await root.execute("UPDATE alerts SET last_at = now() - interval '61 seconds'")
    await sweep(db, SETTINGS)
    assert await open_ones(db) == {}


ENDS: dict[str, tuple[str, str, str]] = {
    "unsendable_order": (
        "order {order}",
        "UPDATE orders SET dispatch = 'queued'",
        "UPDATE orders SET dispatch = 'accepted'",
    ),
    "unreadable_status": (
        "order {number}",
        "UPDATE orders SET dispatch = 'accepted', status = 'processing', check_failures = 5",
        "UPDATE orders SET check_failures = 0",
    ),
    "route_paused": (
        "route {route}",
        "UPDATE service_routes SET paused_until = now() - interval '9 minutes'",
        "UPDATE service_routes SET paused_until = now() - interval '11 minutes'",
    ),
    "provider_funds": (
        "provider {provider}",
        "UPDATE service_routes SET paused_until = now() + interval '5 minutes', pause_cause = 'funds'",
        "UPDATE service_routes SET paused_until = NULL, pause_cause = NULL",
    ),
    "webhook_off": (
        "webhook {order}",
        "INSERT INTO webhooks (id, user_id, url, events, secret, is_active)"
        " SELECT o.id, o.user_id, 'https://example.com/', '{*}', 'sealed', false FROM orders o",
        "UPDATE webhooks SET is_active = true",
    ),
    "provider_key_refused": (
        "provider {provider}",
        "UPDATE providers SET is_active = true",
        "UPDATE providers SET is_active = false",
    ),
    "provider_currency": (
        "provider {provider}",
        "UPDATE providers SET is_active = true",
        "UPDATE providers SET is_active = false",
    ),
    "unreadable_refill": (
        "order {number}",
        "INSERT INTO refills (order_id, user_id, provider_id, external_order_id, state) "
        "SELECT id, user_id, provider_id, '7', 'accepted' FROM orders",
        "UPDATE refills SET state = 'completed'",
    ),
    "unknown_refill": (
        "order {number}",
        "INSERT INTO refills (order_id, user_id, provider_id, external_order_id, state) "
        "SELECT id, user_id, provider_id, '7', 'unknown' FROM orders",
        "UPDATE refills SET state = 'accepted'",
    ),
    "cancel_unanswered": (
        "order {number}",
        "INSERT INTO cancellations (order_id, state) SELECT id, 'failed' FROM orders",
        "UPDATE orders SET status = 'cancelled'",
    ),
    "subscription_unpaid": (
        "order {number}",
        "INSERT INTO order_parents (order_id, mode, run_quantity, run_price, held, state) "
        "SELECT id, 'subscription', 10, 1, 1, 'paused' FROM orders",
        "UPDATE order_parents SET state = 'active'",
    ),
}


def test_every_kind_that_ends_by_itself_has_its_end() -> None:
    assert {condition.kind for condition in CONDITIONS if condition.over not in (None, SAID_NO_MORE)} == ENDS.keys()


@pytest.mark.parametrize("kind", ENDS)
async def test_what_other_code_raised_is_cleared_once_it_is_over(
    db: Database, root: asyncpg.Connection, shop: Shop, kind: str
) -> None:
    form, begin, end = ENDS[kind]
    order = await place_order(db, shop)
    await begin_attempt(db, shop, order)
    await root.execute(begin)
    subject = form.format(number=order.number, order=order.id, route=shop.route.id, provider=shop.provider_id)
    async with db.transaction() as tx:
        await alerts.raise_(tx, [Alert(kind, subject, "said by its own code")])
    assert (await swept(db))[kind, subject] == 1
    await root.execute(end)
    assert (kind, subject) not in await swept(db)


@pytest.mark.parametrize("kind", [kind.kind for kind in CONDITIONS if kind.holding is None and kind.over is None])
async def test_a_fact_stays_until_an_operator_clears_it(db: Database, kind: str) -> None:
    async with db.transaction() as tx:
        await alerts.raise_(tx, [Alert(kind, "order 100001", "it happened"), Alert(kind, "nonsense", "it happened")])
    assert len(await swept(db)) == 2
    async with db.transaction() as tx:
        assert await alerts.clear_by_hand(tx, kind=kind) == 2
        assert await alerts.clear_by_hand(tx, kind=kind) == 0
    assert await open_ones(db) == {}


async def test_what_flickers_is_one_alert(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    for balance in ("1", "9", "1", "9"):
        await root.execute(f"UPDATE providers SET balance = {balance}, low_balance = 5")
        await sweep(db, SETTINGS)
    assert await open_ones(db) == {("provider_low", f"provider {shop.provider_id}"): 2}
    await root.execute("UPDATE alerts SET last_at = now() - interval '61 seconds'")
    await sweep(db, SETTINGS)
    assert await open_ones(db) == {}


async def test_two_processes_that_sweep_at_once_raise_an_alert_once(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    await root.execute("UPDATE providers SET balance = 1, low_balance = 5")
    async with db.transaction() as other:
        assert await claim_sweep(other)
        assert not await sweep(db, SETTINGS)
        assert await open_ones(db) == {}
    await asyncio.gather(*(sweep(db, SETTINGS) for _ in range(8)))
    assert list(await open_ones(db)) == [("provider_low", f"provider {shop.provider_id}")]


async def test_a_condition_that_cannot_be_looked_at_stops_no_other(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    await root.execute("UPDATE wallets SET low_balance = 1000")
    await root.execute("REVOKE SELECT ON providers FROM gateway_service")
    assert list(await swept(db)) == [("reseller_low", f"wallet {shop.account.wallet_id}")]


async def test_a_row_of_alerts_that_somebody_holds_stops_no_other_condition(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    await root.execute("UPDATE providers SET balance = 1, low_balance = 5")
    await swept(db)
    await root.execute("UPDATE wallets SET low_balance = 1000")
    async with root.transaction():
        await root.execute("SELECT FROM alerts FOR UPDATE")
        await swept(db)
    assert (await open_ones(db)).keys() == {
        ("provider_low", f"provider {shop.provider_id}"),
        ("reseller_low", f"wallet {shop.account.wallet_id}"),
    }
