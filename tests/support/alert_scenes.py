"""What brings each condition of the sweep about, and what ends it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import pytest

from gateway.alerts.conditions.store import CONDITIONS
from gateway.alerts.conditions.sweep import sweep
from gateway.alerts.pulse import store as pulses
from gateway.db.engine import Database
from gateway.db.partitions import month_floor
from gateway.dispatch.unknowns.pausing import CAUSE
from gateway.settings import Settings
from tests.support.factories import Shop, add_shop, begin_attempt, place_order

SETTINGS = Settings()
AT_ONCE_S = 0.0
HELD_BY_THE_SWEEP = [condition.kind for condition in CONDITIONS if condition.holding is not None]


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
