"""SQL that puts deliveries into the queue: of events, of a test message, and of what ended again."""

from uuid import UUID

from gateway.db.engine import Transaction, read_by_index
from gateway.db.partitions import LAST_ID

RELAYED_AT_ONCE = 500
FANNED_OUT_AT_ONCE = 10_000
"""Deliveries of events for everybody in one transaction; of one event there may be more."""

# The one before is locked against its end, so that what ends it finds the next. One that is locked is about to end:
# then the next counts as due, and a claim makes sure of the order. NOT IN is hashed: a join of the two would look at
# every pair, since their sizes cannot be told ahead.
_QUEUED = """
  in_turn AS (
    SELECT *, row_number() OVER (PARTITION BY webhook_id, object_id ORDER BY sequence) AS turn FROM wanted
  ), before AS (
    SELECT q.webhook_id, q.object_id FROM webhook_queue q
     WHERE q.delivery_id = ANY(ARRAY(
       SELECT (SELECT e.delivery_id FROM webhook_queue e
                WHERE e.webhook_id = i.webhook_id AND e.object_id = i.object_id AND e.sequence < i.sequence
                ORDER BY e.sequence DESC LIMIT 1)
         FROM in_turn i WHERE i.turn = 1))
       FOR KEY SHARE SKIP LOCKED
  ), queued AS (
    INSERT INTO webhook_queue (delivery_id, webhook_id, event_id, object_id, sequence, next_attempt_at)
    SELECT id, webhook_id, event_id, object_id, sequence,
           CASE WHEN turn = 1 AND (webhook_id, object_id) NOT IN (SELECT b.webhook_id, b.object_id FROM before b)
                THEN now() END
      FROM in_turn
    ON CONFLICT DO NOTHING RETURNING delivery_id
  )
"""


async def relay(tx: Transaction) -> int | None:
    """Make deliveries of the oldest events that have none yet; how many events, None where another is at it.

    One relay at a time goes by position: an event of an object is never relayed before an earlier one. Where the event
    itself is gone, there is nothing to deliver.
    """
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('relay_events'))"):
        return None
    await read_by_index(tx)
    count: int = await tx.fetchval(
        f"""
        WITH oldest AS (
          SELECT o.position, e.*, count(*) FILTER (WHERE user_id IS NULL) OVER (ORDER BY o.position) AS shared
            FROM (SELECT position, event_id FROM event_outbox ORDER BY position LIMIT $1) o
            LEFT JOIN LATERAL (SELECT id, type, user_id, object_id, sequence FROM events
                                WHERE id = o.event_id LIMIT 1) e ON true
        ), batch AS (
          SELECT * FROM oldest
           WHERE CASE WHEN shared > 1 THEN shared * (SELECT count(*) FROM webhooks WHERE is_active) <= $2 ELSE true END
        ), out AS (
          DELETE FROM event_outbox o USING batch b WHERE o.position = b.position
        ), wanted AS (
          SELECT uuid7() AS id, w.id AS webhook_id, b.id AS event_id, b.type, b.object_id,
                 coalesce(b.sequence, 0) AS sequence
            FROM batch b JOIN webhooks w ON w.is_active AND (b.user_id IS NULL OR w.user_id = b.user_id)
             AND b.id IS NOT NULL AND w.events && ARRAY['*', b.type, split_part(b.type, '.', 1) || '.*']::text[]
           ORDER BY b.position
        ), logged AS (
          INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type)
          SELECT id, webhook_id, event_id, type FROM wanted
        ), {_QUEUED}
        SELECT count(*) FROM batch
        """,
        RELAYED_AT_ONCE,
        FANNED_OUT_AT_ONCE,
    )
    return count


async def enqueue(tx: Transaction, webhook_id: UUID, event_id: UUID) -> UUID:
    """Make a delivery of one event; its id."""
    await read_by_index(tx)
    delivery_id: UUID = await tx.fetchval(
        f"""
        WITH wanted AS (
          SELECT uuid7() AS id, $1::uuid AS webhook_id, id AS event_id, type, object_id,
                 coalesce(sequence, 0) AS sequence
            FROM events WHERE id = $2
        ), logged AS (
          INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type)
          SELECT id, webhook_id, $2, type FROM wanted
        ), {_QUEUED}
        SELECT id FROM wanted
        """,
        webhook_id,
        event_id,
    )
    return delivery_id


async def replay(
    tx: Transaction, webhook_id: UUID, *, since: UUID, until: UUID = LAST_ID, only_failed: bool = False, most: int = 1
) -> int:
    """Queue ended deliveries again, those with ids from `since` to below `until`, the oldest first; how many."""
    await read_by_index(tx)
    queued: int = await tx.fetchval(
        f"""
        WITH wanted AS (
          SELECT d.id, d.webhook_id, d.event_id, e.object_id, coalesce(e.sequence, 0) AS sequence
            FROM webhook_deliveries d JOIN events e ON e.id = d.event_id
           WHERE d.webhook_id = $1 AND d.state <> 'pending' AND d.id >= $2 AND d.id < $3
             AND (NOT $4 OR d.state IN ('failed', 'dropped'))
           ORDER BY d.id LIMIT $5
        ), {_QUEUED}, reopened AS (
          UPDATE webhook_deliveries d SET state = 'pending', ended_at = NULL
           WHERE d.id = ANY(ARRAY(SELECT delivery_id FROM queued)) AND d.id >= $2 AND d.id < $3
        )
        SELECT count(*) FROM queued
        """,
        webhook_id,
        since,
        until,
        only_failed,
        most,
    )
    return queued
