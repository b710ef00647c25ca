"""SQL of what was told to whom."""

from collections.abc import Sequence
from datetime import timedelta

from gateway.alerts.delivery.digest import News
from gateway.db.engine import Transaction

UNDELIVERED = "alert_undelivered"
"""The kind of the alert that a channel fails; its subject is the channel, its count the failures in a row."""

AT_ONCE = 1000
CLEARED_FOR = timedelta(days=1)
"""A clearing that could not be told within this is not told any more."""
RETRY_FIRST = timedelta(seconds=15)
RETRY_MAX = timedelta(minutes=15)


async def claim(
    tx: Transaction, channel: str, repeat: timedelta, gap: timedelta, lease: timedelta, most: int = AT_ONCE
) -> list[News]:
    """What is to be told through a channel now, the gravest first, and not by others while the lease lasts.

    That is: open alerts that it was not told of within `repeat`, and those cleared since it was told,
    or before it could be. Nothing within `gap` of the last message, nor while a channel that failed
    rests, longer with each failure. How a channel fails is never told through itself.
    """
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('alerts_tell_' || $1))", channel):
        return []
    rows = await tx.fetch(
        """
        WITH due AS (
          SELECT a.* FROM alerts a LEFT JOIN alert_tellings t ON t.alert_id = a.id AND t.channel = $1
           WHERE CASE WHEN a.cleared_at IS NULL THEN coalesce(t.told_at <= now() - $2::interval, true)
                      ELSE a.cleared_at > now() - $3::interval AND t.clearing_told_at IS NULL END
             AND (a.cleared_at IS NULL OR a.cleared_at > now() - $3::interval)
             AND coalesce(t.claimed_until < now(), true) AND NOT (a.kind = $4 AND a.subject = $1)
             AND NOT EXISTS (SELECT FROM alert_tellings l WHERE l.channel = $1
                                AND greatest(l.told_at, l.clearing_told_at) > now() - $5::interval)
             AND NOT EXISTS (SELECT FROM alerts f WHERE f.kind = $4 AND f.subject = $1 AND f.cleared_at IS NULL
                                AND f.last_at + least($6::interval * power(2, least(f.count, 20) - 1), $7) > now())
           ORDER BY array_position(ARRAY['critical', 'warning', 'info'], a.severity::text), a.id LIMIT $8
        ), claimed AS (
          INSERT INTO alert_tellings (alert_id, channel, claimed_until) SELECT id, $1, now() + $9::interval FROM due
          ON CONFLICT (alert_id, channel) DO UPDATE SET claimed_until = excluded.claimed_until
        )
        SELECT id, kind, severity, subject, message, count, raised_at, last_at, cleared_at FROM due
        """,
        channel,
        repeat,
        CLEARED_FOR,
        UNDELIVERED,
        gap,
        RETRY_FIRST,
        RETRY_MAX,
        most,
        lease,
    )
    return [News(*row) for row in rows]


async def mark_told(tx: Transaction, channel: str, news: Sequence[News]) -> None:
    """The receiver took it. An alert that was cleared meanwhile is told of again, as cleared."""
    await tx.execute(
        """
        UPDATE alert_tellings t
           SET claimed_until = NULL, told_at = CASE WHEN n.cleared THEN t.told_at ELSE now() END,
               clearing_told_at = CASE WHEN n.cleared THEN now() END
          FROM unnest($2::uuid[], $3::bool[]) AS n(id, cleared) WHERE t.alert_id = n.id AND t.channel = $1
        """,
        channel,
        [one.id for one in news],
        [one.cleared_at is not None for one in news],
    )


async def release(tx: Transaction, channel: str, news: Sequence[News]) -> None:
    """It was not told; the next that has a turn may."""
    await tx.execute(
        "UPDATE alert_tellings SET claimed_until = NULL WHERE channel = $1 AND alert_id = ANY($2)",
        channel,
        [one.id for one in news],
    )


async def purge(tx: Transaction) -> None:
    """Forget who was told of what is long over."""
    await tx.execute(
        """
        DELETE FROM alert_tellings t USING alerts a
         WHERE a.id = t.alert_id AND a.cleared_at < now() - 2 * $1::interval
        """,
        CLEARED_FOR,
    )
