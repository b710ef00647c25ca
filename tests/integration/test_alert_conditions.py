"""Each condition that alerts are about: raised once, counted while it lasts, cleared by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from compat.status import UpstreamStatus
from compat.wire import Accepted
from gateway.alerts import store as alerts
from gateway.alerts.conditions.store import CONDITIONS, SAID_NO_MORE, claim_sweep
from gateway.alerts.conditions.sweep import sweep
from gateway.alerts.pulse import store as pulses
from gateway.alerts.store import Alert
from gateway.api.redis_alert import RedisAlert
from gateway.db.engine import Database
from gateway.db.partitions import month_floor
from gateway.dispatch.outcomes import record
from gateway.dispatch.unknowns.pausing import CAUSE
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from gateway.providers import actions
from gateway.settings import Settings
from tests.support.factories import Shop, add_route, add_shop, begin_attempt, place_order

SETTINGS = Settings()
AT_ONCE_S = 0.0
HELD_BY_THE_SWEEP = [condition.kind for condition in CONDITIONS if condition.holding is not None]


@pytest.fixture
async def root(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser that goes round every trigger and foreign key."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


async def open_ones(db: Database) -> dict[tuple[str, str], int]:
    """How often each open alert was seen, by kind and subject."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT kind, subject, count FROM alerts WHERE cleared_at IS NULL")
    return {(row["kind"], row["subject"]): row["count"] for row in rows}


async def message_of(db: Database, kind: str) -> str:
    async with db.connection() as connection:
        message: str = await connection.fetchval("SELECT message FROM alerts WHERE kind = $1", kind)
    return message


async def swept(db: Database) -> dict[tuple[str, str], int]:
    assert await sweep(db, SETTINGS, quiet_s=AT_ONCE_S)
    return await open_ones(db)


@dataclass(frozen=True)
class Scene:
    """What brings a condition about and what ends it, as SQL or as rows of the factories."""

    begin: Callable[[Database, asyncpg.Connection, Shop], Awaitable[str]]
    end: Callable[[Database, asyncpg.Connection, Shop], Awaitable[object]]


def by_sql(subject: str, begin: str, end: str) -> Scene:
    async def begun(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
        await root.execute(begin)
        return subject.format(provider=shop.provider_id, wallet=shop.account.wallet_id)

    async def ended(db: Database, root: asyncpg.Connection, shop: Shop) -> object:
        return await root.execute(end)

    return Scene(begun, ended)


def by_order(subject: str, begin: str, end: str) -> Scene:
    async def begun(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
        order = await place_order(db, shop)
        await begin_attempt(db, shop, order)
        await root.execute(begin)
        return subject.format(provider=shop.provider_id, number=order.number)

    async def ended(db: Database, root: asyncpg.Connection, shop: Shop) -> object:
        return await root.execute(end)

    return Scene(begun, ended)


async def fail_five_sends(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
    for _ in range(5):
        await begin_attempt(db, shop, await place_order(db, shop))
    await root.execute("UPDATE dispatch_attempts SET state = 'not_sent', finished_at = now()")
    return f"provider {shop.provider_id}"


async def send_one(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    await begin_attempt(db, shop, await place_order(db, shop))
    await root.execute("UPDATE dispatch_attempts SET state = 'accepted' WHERE state = 'sending'")


async def use_the_default_partition(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
    order = await place_order(db, shop)
    third = await root.fetchval("SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months')::date")
    await root.execute(f"DROP TABLE orders_{third:%Y_%m}")
    await root.execute(
        "INSERT INTO orders (id, user_id, service_id, link, quantity, price) "
        "SELECT $2, user_id, service_id, link, quantity, price FROM orders WHERE id = $1",
        order.id,
        month_floor(third),
    )
    return "orders"


async def empty_the_default_partition(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    await root.execute("DELETE FROM orders_default")


async def someone_watches(root: asyncpg.Connection) -> None:
    """A process that was there all the last minute."""
    await root.execute(
        "INSERT INTO processes (id, kind, host, pid, started_at) VALUES (uuid7(), 'serve', 'h', 1, now() - "
        "interval '61 seconds')"
    )


async def a_worker_dies(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
    async with db.transaction() as tx:
        await pulses.beat(tx, pulses.pulse_of("work"))
    await root.execute("UPDATE processes SET seen_at = now() - interval '61 seconds'")
    await someone_watches(root)
    return "worker"


async def another_starts(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    async with db.transaction() as tx:
        await pulses.beat(tx, pulses.pulse_of("work"))


async def a_reseller_buys_below_cost(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
    await root.execute(
        "INSERT INTO custom_prices (user_id, service_id, price) VALUES ($1, $2, 0.5)",
        shop.account.user_id,
        shop.service.id,
    )
    return f"provider {shop.provider_id}"


async def a_reseller_has_too_much_off_all(db: Database, root: asyncpg.Connection, shop: Shop) -> str:
    await root.execute("INSERT INTO custom_prices (user_id, percent) VALUES ($1, -60)", shop.account.user_id)
    return f"provider {shop.provider_id}"


async def who_pays_a_price_of_their_own(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    await root.execute(
        "INSERT INTO custom_prices (user_id, service_id, price) VALUES ($1, $2, 1.5)",
        shop.account.user_id,
        shop.service.id,
    )


async def no_price_is_of_ones_own(db: Database, root: asyncpg.Connection, shop: Shop) -> None:
    await root.execute("DELETE FROM custom_prices")


SCENES = {
    "provider_low": by_sql(
        "provider {provider}",
        "UPDATE providers SET balance = 4.5, low_balance = 5",
        "UPDATE providers SET balance = 5",
    ),
    "provider_down, no catalogue": by_sql(
        "provider {provider}",
        "UPDATE providers SET sync_error = 'HTTP 500'",
        "UPDATE providers SET sync_error = NULL",
    ),
    "provider_paused": by_sql(
        "provider {provider}",
        f"UPDATE providers SET paused_until = now() + interval '1 hour', paused_reason = '{CAUSE}: 6 are'",
        "UPDATE providers SET paused_until = now()",
    ),
    "provider_down, balance": by_sql(
        "provider {provider}",
        "INSERT INTO processes (id, kind, host, pid, started_at) VALUES (uuid7(), 'work', 'h', 1, now() - interval "
        "'1 hour'); UPDATE providers SET balance_at = now() - interval '21 minutes'",
        "UPDATE providers SET balance_at = now()",
    ),
    "provider_down, sends": Scene(fail_five_sends, send_one),
    "quarantine": by_sql(
        "provider {provider}",
        "UPDATE service_routes SET offered_cost = 1.8, offered_at = now()",
        "UPDATE service_routes SET offered_cost = NULL",
    ),
    "unknown_order": by_order(
        "order {number}",
        "UPDATE orders SET dispatch = 'unknown'",
        "UPDATE orders SET dispatch = 'accepted'",
    ),
    "stuck_orders, queued": by_order(
        "queued at provider {provider}",
        "UPDATE orders SET dispatch = 'queued', queued_at = now() - interval '16 minutes'; "
        "INSERT INTO processes (id, kind, host, pid) VALUES (uuid7(), 'work', 'h', 1)",
        "UPDATE orders SET dispatch = 'sending'",
    ),
    "stuck_orders, sending": by_order(
        "sending at provider {provider}",
        "UPDATE dispatch_attempts SET lease_until = now() - interval '3 minutes'",
        "UPDATE dispatch_attempts SET state = 'unknown'",
    ),
    "stuck_orders, accepted": by_order(
        "accepted at provider {provider}",
        "UPDATE orders SET dispatch = 'accepted', status = 'processing', created_at = now() - interval '4 days'; "
        "UPDATE order_events SET created_at = now() - interval '4 days'",
        "UPDATE orders SET status = 'completed'",
    ),
    "worker_silent": Scene(a_worker_dies, another_starts),
    "default_partition": Scene(use_the_default_partition, empty_the_default_partition),
    "sold_at_a_loss": by_sql(
        "provider {provider}",
        "UPDATE providers SET exchange_rate = 2.1",
        "UPDATE providers SET exchange_rate = 2",
    ),
    "sold_at_a_loss, to one": Scene(a_reseller_buys_below_cost, no_price_is_of_ones_own),
    "sold_at_a_loss, by a percentage": Scene(a_reseller_has_too_much_off_all, who_pays_a_price_of_their_own),
    "reseller_low": by_sql(
        "wallet {wallet}", "UPDATE wallets SET low_balance = 100.01", "UPDATE wallets SET low_balance = 100"
    ),
}


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


# Pulse ---------------------------------------------------------------------------------------


async def test_the_oldest_worker_sweeps_for_all(db: Database, root: asyncpg.Connection) -> None:
    serving, first, second = pulses.pulse_of("serve"), pulses.pulse_of("work"), pulses.pulse_of("work")

    async def turns() -> list[bool]:
        async with db.connection() as connection:
            return [await pulses.has_turn(connection, pulse) for pulse in (serving, first, second)]

    async with db.transaction() as tx:
        for pulse in (second, serving, first):
            await pulses.beat(tx, pulse)
    assert await turns() == [False, True, False]
    await root.execute("UPDATE processes SET seen_at = now() - interval '31 seconds' WHERE id = $1", first.id)
    assert await turns() == [False, True, True]
    async with db.transaction() as tx:
        await pulses.leave(tx, second)
    assert (await turns())[0]


async def test_a_process_that_was_not_seen_for_a_day_is_forgotten(db: Database, root: asyncpg.Connection) -> None:
    old, new = pulses.pulse_of("work"), pulses.pulse_of("work")
    async with db.transaction() as tx:
        await pulses.beat(tx, old)
    await root.execute("UPDATE processes SET seen_at = now() - interval '25 hours'")
    async with db.transaction() as tx:
        await pulses.beat(tx, new)
    assert [row["id"] for row in await root.fetch("SELECT id FROM processes")] == [new.id]


async def test_the_last_worker_is_missed_however_long_ago_it_died(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    serving, silent = pulses.pulse_of("serve"), pulses.pulse_of("work")
    async with db.transaction() as tx:
        await pulses.beat(tx, silent)
    await root.execute("UPDATE processes SET seen_at = now() - interval '3 days'")
    await someone_watches(root)
    async with db.transaction() as tx:
        await pulses.beat(tx, serving)
    assert list(await swept(db)) == [("worker_silent", "worker")]


async def test_a_worker_is_not_missed_by_those_that_were_away_as_long(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    """The database was gone: who comes back first must not take the others for dead."""
    serving, working = pulses.pulse_of("serve"), pulses.pulse_of("work")
    async with db.transaction() as tx:
        await pulses.beat(tx, serving)
        await pulses.beat(tx, working)
    await root.execute(
        "UPDATE processes SET started_at = now() - interval '1 hour', seen_at = now() - interval '25 minutes'"
    )
    await root.execute("UPDATE providers SET balance_at = now() - interval '25 minutes'")
    assert await swept(db) == {}
    async with db.transaction() as tx:
        await pulses.beat(tx, serving)
    assert await swept(db) == {}
    async with db.transaction() as tx:
        await pulses.beat(tx, working)
    assert await swept(db) == {}


async def test_a_pulse_without_a_break_keeps_its_beginning(db: Database, root: asyncpg.Connection) -> None:
    pulse = pulses.pulse_of("work")
    for gap_s, kept in ((29, True), (31, False)):
        async with db.transaction() as tx:
            await pulses.beat(tx, pulse)
        await root.execute(
            "UPDATE processes SET started_at = now() - interval '1 hour', seen_at = now() - make_interval(secs => $1)",
            float(gap_s),
        )
        async with db.transaction() as tx:
            await pulses.beat(tx, pulse)
        assert await root.fetchval("SELECT started_at < now() - interval '1 minute' FROM processes") is kept
