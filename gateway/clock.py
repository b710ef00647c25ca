"""The process's own clock; leases and due times use the database's instead."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
