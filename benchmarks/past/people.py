"""What is there besides orders: users with wallets and keys, the catalogue, endpoints, and what operators keep."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.past.model import CURRENCIES, PLATFORMS, TYPES, Past
from gateway.accounts.model import new_key
from gateway.db.partitions import month_floor
from gateway.keyring import Keyring

ADMIN = "admin"
BY_DAY = ("webhook_deliveries", "webhook_attempts")


async def add(connection: asyncpg.Connection, keyring: Keyring, past: Past) -> tuple[list[str], str]:
    """The keys of the wallets, in their order, and an operator's key."""
    users, since = past.size.users, datetime.fromtimestamp(past.first_ms / 1000, UTC)
    ids = [past.id_of("user", at) for at in range(users + 1)]
    await _copy(
        connection, "users", ("id", "email", "password_hash", "role", "created_at"),
        [(each, f"{_name(at, users)}@example.com", "!", _role(at, users), since) for at, each in enumerate(ids)],
    )  # fmt: skip
    await _copy(
        connection, "wallets", ("id", "user_id", "currency", "created_at"),
        [(past.id_of("wallet", at), ids[at // 2], CURRENCIES[at % 2], since) for at in range(2 * users + 1)],
    )  # fmt: skip
    keys = [new_key() for _ in range(2 * users + 1)]
    rows = []
    for at, key in enumerate(keys):
        secret_id, key_hash = keyring.hash_api_key(key)
        rows.append(
            (past.id_of("key", at), ids[at // 2], key_hash, secret_id, f"key {at}", "enterprise", CURRENCIES[at % 2],
             since)
        )  # fmt: skip
    columns = ("id", "user_id", "key_hash", "secret_id", "name", "rate_limit_tier", "currency", "created_at")
    await _copy(connection, "api_keys", columns, rows)
    await _add_catalogue(connection, keyring, past)
    await _copy(
        connection, "webhooks", ("id", "user_id", "url", "events", "secret", "created_at"),
        [
            (past.id_of("webhook", at), ids[at], f"https://hooks.example.com/{at}", ["order.*"], "v1.sealed", since)
            for at in range(past.size.webhooks)
        ],
    )  # fmt: skip
    for statement in _KEPT:
        await connection.execute(statement.format(audited=past.size.audited))
    return keys[:-1], keys[-1]


async def make_days(connection: asyncpg.Connection, past: Past) -> None:
    """The days of deliveries that are kept, besides those that are there."""
    today = datetime.fromtimestamp(past.last_ms / 1000, UTC).date()
    for back in range(past.size.delivered_days, -1, -1):
        day = today - timedelta(days=back)
        for parent in BY_DAY:
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {parent}_{day:%Y_%m_%d} PARTITION OF {parent} "
                f"FOR VALUES FROM ('{month_floor(day)}') TO ('{month_floor(day + timedelta(days=1))}')"
            )


async def _add_catalogue(connection: asyncpg.Connection, keyring: Keyring, past: Past) -> None:
    providers = [past.id_of("provider", at) for at in range(past.size.providers)]
    await _copy(
        connection, "providers", ("id", "name", "api_endpoint", "api_key_encrypted", "balance", "balance_at"),
        [
            (each, f"provider {at}", f"https://panel{at}.example.com/api/v2",
             keyring.seal(f"upstream {at}", "providers", "api_key_encrypted", UUID(each)), 1000, datetime.now(UTC))
            for at, each in enumerate(providers)
        ],
    )  # fmt: skip
    services = past.services()
    columns = (
        "id", "number", "name", "description", "platform", "type", "category", "price_per_1000", "currency",
        "min_quantity", "max_quantity", "refill", "cancel",
    )  # fmt: skip
    rows = [
        (each.id, each.number, each.name, "Starts within the hour. " * 5, PLATFORMS[each.number % 10],
         TYPES[each.number % 6], f"{PLATFORMS[each.number % 10]} {TYPES[each.number % 6]}", f"{each.rate}e-5",
         each.currency, 10, 100_000, True, each.number % 2 == 0)
        for each in services
    ]  # fmt: skip
    await _copy(connection, "services", columns, rows)
    columns = ("id", "service_id", "provider_id", "provider_service_id", "cost_per_1000", "is_source", "refill")
    rows = [
        (each.route_id, each.id, providers[each.provider], each.upstream, f"{each.cost}e-5", True, True)
        for each in services
    ]
    await _copy(connection, "service_routes", columns, rows)
    await connection.execute("DELETE FROM event_outbox")


async def _copy(
    connection: asyncpg.Connection, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    """In COPY's text, whose backslashes and tabs none of the values has."""
    await connection.copy_to_table(table, source=_Lines(rows), columns=columns)


class _Lines:
    """Rows as bytes, some at a time."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    async def __aiter__(self) -> Any:
        for at in range(0, len(self._rows), 1000):
            yield "".join("\t".join(map(_text, row)) + "\n" for row in self._rows[at : at + 1000]).encode()


def _text(value: object) -> str:
    if isinstance(value, list):
        return "{" + ",".join(value) + "}"
    return "t" if value is True else "f" if value is False else str(value)


def _name(at: int, users: int) -> str:
    return ADMIN if at == users else f"user{at}"


def _role(at: int, users: int) -> str:
    return ADMIN if at == users else "reseller"


_KEPT = (
    "INSERT INTO balance_readings (provider_id, read_at, balance) SELECT id, now() - make_interval(hours => n), 1000 "
    "FROM providers, generate_series(0, 90 * 24 - 1) n",
    "INSERT INTO provider_deposits (provider_id, amount, reference, created_at) "
    "SELECT id, 500, 'transfer ' || n, now() - make_interval(days => n) FROM providers, generate_series(1, 100) n",
    "INSERT INTO provider_days (provider_id, day, opening, closing, deposits, charged, returned, difference) "
    "SELECT id, current_date - n, 1000, 1000, 500, 510, 10, 0 FROM providers, generate_series(1, 700) n",
    "INSERT INTO quality_days (route_id, service_id, day, completed, partial, cancelled, starts, finishes) "
    "SELECT id, service_id, current_date - n, 90, 5, 5, array_fill(1, ARRAY[100]), array_fill(1, ARRAY[100]) "
    "FROM service_routes, generate_series(0, 29) n",
    "INSERT INTO alerts (kind, subject, message, raised_at, last_at, cleared_at) "
    "SELECT 'unknown_order', 'order ' || n, 'it is not known whether the upstream took the order', t, t, "
    "CASE WHEN n > 50 THEN t END "
    "FROM (SELECT n, now() - make_interval(hours => n) AS t FROM generate_series(1, 5000) n) g",
    "INSERT INTO custom_prices (user_id, service_id, percent) SELECT u.id, s.id, 90 "
    "FROM (SELECT id FROM users ORDER BY id LIMIT 200) u, (SELECT id FROM services ORDER BY id LIMIT 10) s",
    "INSERT INTO markups (category, percent) SELECT DISTINCT category, 30 FROM services",
    "INSERT INTO audit_log (actor, actor_name, actor_user_id, address, action, object_type, object_id, before, after) "
    "SELECT 'key', 'operator', u.id, '127.0.0.1', 'admin_change_service', "
    "(ARRAY['services', 'service_routes', 'providers', 'users', 'api_keys', 'wallets'])[n % 6 + 1], "
    '(md5((n % 3000)::text)::uuid)::text, \'{{"price_per_1000": "1.5"}}\', \'{{"price_per_1000": "1.6"}}\' '
    "FROM generate_series(1, {audited}) n, (SELECT id FROM users WHERE role = 'admin') u",
)
