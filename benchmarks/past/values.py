"""Values for what lists are asked for: of the asker, of what is there, or of all that may be given."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

from benchmarks.past.askers import Asker
from benchmarks.past.model import PLATFORMS, TYPES, WORDS
from gateway.orders.model import Dispatch, Status
from gateway.orders.refills.model import Shown

Ids: TypeAlias = dict[str, list[Any]]
Make: TypeAlias = Callable[[Asker, random.Random, Ids], Any]


def _some_time(asker: Asker, chance: random.Random, ids: Ids) -> str:
    now = datetime.now(UTC)
    moment = asker.placed_at + (now - asker.placed_at) * chance.random() if chance.random() < 0.5 else asker.placed_at
    return moment.isoformat()


def _begin(asker: Asker) -> datetime:
    """Of a statement that goes on until now, which is a year at most: of heavy users, the last month."""
    return max(asker.placed_at, datetime.now(UTC) - timedelta(days=30))


def _some_day(asker: Asker, chance: random.Random, ids: Ids) -> str:
    return (datetime.now(UTC) - timedelta(days=chance.randrange(1, 30))).date().isoformat()


def _one_of(*values: object) -> Make:
    return lambda asker, chance, ids: chance.choice(values)


def _row_of(name: str) -> Make:
    return lambda asker, chance, ids: chance.choice(ids[name])


def _his(name: str) -> Make:
    return lambda asker, chance, ids: getattr(asker, name)


PATHS: dict[str, Make] = {
    "order": _his("number"),
    "refill": _his("refill"),
    "service": _his("service"),
    "webhook": _his("webhook"),
    "delivery": _his("delivery"),
    "key": _his("key_id"),
    "user": _his("user_id"),
    "wallet": _his("wallet_id"),
    "tier": _one_of("basic", "pro", "enterprise"),
    "provider": _row_of("providers"),
    "route": _row_of("service_routes"),
    "markup": _row_of("markups"),
    "price": _row_of("custom_prices"),
}
"""Of paths, by name."""
VALUES: dict[tuple[str, str], Make] = {
    ("", "limit"): _one_of(100),
    ("", "after"): _his("order_id"),
    ("list_ledger", "after"): _his("line_id"),
    ("admin_list_ledger", "after"): _his("line_id"),
    ("admin_list_audit", "after"): _row_of("audit_log"),
    ("admin_list_alerts", "after"): _row_of("alerts"),
    ("list_services", "after"): _his("service"),
    ("", "status"): _one_of(*(status.value for status in Status)),
    ("list_refills", "status"): _one_of(*(shown.value for shown in Shown)),
    ("admin_list_users", "status"): _one_of("active", "suspended", "banned"),
    ("", "service"): lambda asker, chance, ids: (
        asker.service if chance.random() < 0.5 else chance.choice(ids["numbers"])
    ),
    ("", "link"): _his("link"),
    ("", "since"): _some_time,
    ("", "until"): _some_time,
    ("", "at"): _some_time,
    ("get_statement", "since"): lambda asker, chance, ids: _begin(asker).isoformat(),
    ("get_statement", "until"): lambda asker, chance, ids: (_begin(asker) + timedelta(days=7)).isoformat(),
    ("admin_list_provider_days", "since"): _some_day,
    ("admin_list_provider_charges", "since"): _some_day,
    ("admin_get_margin", "since"): _some_day,
    ("admin_get_margin", "until"): _one_of(datetime.now(UTC).date().isoformat()),
    ("", "by"): _one_of("service", "provider", "day"),
    ("list_changes", "since"): _row_of("changes"),
    ("", "type"): _one_of(*TYPES),
    ("list_ledger", "type"): _one_of("deposit", "withdraw", "hold", "release", "refund", "fee"),
    ("admin_list_ledger", "type"): _one_of("deposit", "withdraw", "hold", "release", "refund", "fee"),
    ("", "order"): _his("number"),
    ("", "user"): _his("user_id"),
    ("", "provider"): _row_of("providers"),
    ("", "dispatch"): _one_of(*(dispatch.value for dispatch in Dispatch)),
    ("", "q"): _one_of(*PLATFORMS, *WORDS, *(f"{platform} {kind}" for platform in PLATFORMS for kind in TYPES)),
    ("", "platform"): _one_of(*PLATFORMS),
    ("", "category"): _one_of(*(f"{platform} {kind}" for platform in PLATFORMS for kind in TYPES)),
    ("", "kind"): _one_of("Default", "Package"),
    ("", "min_price"): _one_of("0.5", "3", "8"),
    ("", "max_price"): _one_of("0.5", "3", "8"),
    **{
        ("", name): _one_of("true", "false")
        for name in ("refill", "cancel", "dripfeed", "on_sale", "offered", "waiting", "cleared")
    },
    ("", "object_type"): _one_of("services", "providers", "tiers", "webhooks"),
    ("", "object_id"): _row_of("audited"),
    ("", "actor_user_id"): lambda asker, chance, ids: chance.choice((*ids["admins"], asker.user_id)),
    ("", "role"): _one_of("user", "reseller", "admin"),
    ("", "email"): lambda asker, chance, ids: f"user{chance.randrange(1000)}",
    ("", "currency"): _one_of("USD", "EUR", "GBP"),
    ("", "hours"): _one_of(1, 24, 168),
    ("", "days"): _one_of(7, 30),
    ("", "state"): _one_of("pending", "delivered", "failed", "dropped"),
}
"""Of queries, by operation and field, or by field alone."""

_IDS = {
    "providers": "SELECT id FROM providers",
    "service_routes": "SELECT id FROM service_routes",
    "markups": "SELECT id FROM markups",
    "custom_prices": "SELECT id FROM custom_prices LIMIT 1000",
    "audit_log": "SELECT id FROM audit_log ORDER BY id LIMIT 1000",
    "audited": "SELECT DISTINCT object_id FROM audit_log LIMIT 1000",
    "alerts": "SELECT id FROM alerts LIMIT 1000",
    "admins": "SELECT id FROM users WHERE role = 'admin'",
    "numbers": "SELECT number FROM services",
}


async def find_ids(connection: asyncpg.Connection) -> dict[str, list[Any]]:
    found = {name: [row[0] for row in await connection.fetch(query)] for name, query in _IDS.items()}
    return found | {"changes": [""]}
