"""Every table, a file a feature, in one `metadata` that Alembic compares with the database."""

from gateway.db.tables import (
    accounts,
    aftercare,
    alerts,
    audit,
    catalog,
    dispatch,
    events,
    families,
    ledger,
    margin,
    orders,
    providers,
    quality,
    replays,
    webhooks,
)
from gateway.db.tables.meta import metadata

__all__ = [
    "accounts",
    "aftercare",
    "alerts",
    "audit",
    "catalog",
    "dispatch",
    "events",
    "families",
    "ledger",
    "margin",
    "metadata",
    "orders",
    "providers",
    "quality",
    "replays",
    "webhooks",
]
