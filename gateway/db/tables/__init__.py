"""Every table, a file a feature, in one `metadata` that Alembic compares with the database."""

from gateway.db.tables import accounts, alerts, catalog, dispatch, events, ledger, orders, providers, webhooks
from gateway.db.tables.meta import metadata

__all__ = [
    "accounts",
    "alerts",
    "catalog",
    "dispatch",
    "events",
    "ledger",
    "metadata",
    "orders",
    "providers",
    "webhooks",
]
