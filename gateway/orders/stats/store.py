"""SQL of the gateway at a glance: each count by an index, over what is open or new."""

from datetime import datetime

import msgspec

from gateway.db.engine import Transaction
from gateway.db.partitions import id_at


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Orders placed since a moment, by status, and what waits now."""

    since: datetime
    placed: dict[str, int]
    queued: int
    sending: int
    unknown: int
    alerts_open: int
    critical_alerts_open: int
    events_waiting: int
    deliveries_waiting: int
    routes_paused: int


async def look(tx: Transaction, since: datetime) -> Stats:
    """How things stand."""
    placed = await tx.fetch(
        "SELECT status, count(*) AS count FROM orders WHERE id >= $1 AND created_at >= $2 GROUP BY status",
        id_at(since),
        since,
    )
    row = await tx.fetchrow(
        """
        SELECT (SELECT count(*) FROM orders WHERE dispatch = 'queued') AS queued,
               (SELECT count(*) FROM dispatch_attempts WHERE state = 'sending') AS sending,
               (SELECT count(*) FROM orders WHERE dispatch = 'unknown') AS unknown,
               (SELECT count(*) FROM alerts WHERE cleared_at IS NULL) AS alerts_open,
               (SELECT count(*) FROM alerts WHERE cleared_at IS NULL AND severity = 'critical') AS critical_alerts_open,
               (SELECT count(*) FROM event_outbox) AS events_waiting,
               (SELECT count(*) FROM webhook_queue) AS deliveries_waiting,
               (SELECT count(*) FROM service_routes WHERE paused_until > now()) AS routes_paused
        """
    )
    assert row is not None, "counts have a row"
    return Stats(since=since, placed={each["status"]: each["count"] for each in placed}, **row)
