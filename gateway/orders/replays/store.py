"""SQL of remembered requests: which order, or which saved reply, a key stands for."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from gateway.db.engine import Transaction
from gateway.errors import InProgress
from gateway.orders.replays.model import Replay

LOCK_TIMEOUT = "600ms"

Owner = tuple[UUID, str]
"""A user and a key of his."""


class Kept(msgspec.Struct, frozen=True):
    """What a key of the native API stands for; without a reply, an order that it placed."""

    fields_hash: bytes
    reply_status: int | None
    reply: str | None


async def claim(tx: Transaction, new: Mapping[Owner, tuple[Replay, UUID | None]]) -> set[Owner]:
    """Write that each key stands for this order, or for a reply to come; which keys were free or had expired.

    In sorted order, and before any wallet is locked. Waits for another transaction that is at the same
    key, so shortly that a batch which is halved down to it is answered within five seconds; what the transaction
    locks afterwards it waits for as long as any.

    Raises:
        InProgress: that one took longer.
    """
    try:
        return await _claim(tx, new)
    except asyncpg.LockNotAvailableError as error:
        raise InProgress from error


async def _claim(tx: Transaction, new: Mapping[Owner, tuple[Replay, UUID | None]]) -> set[Owner]:
    await tx.execute("SELECT set_config('lock_timeout', $1, true)", LOCK_TIMEOUT)
    rows = await tx.fetch(
        """
        INSERT INTO idempotency_keys AS k (user_id, key, fields_hash, order_id, expires_at)
        SELECT n.user_id, n.key, n.fields_hash, n.order_id, now() + make_interval(secs => n.lifetime_s)
          FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::float8[])
               AS n(user_id, key, fields_hash, order_id, lifetime_s)
         ORDER BY n.user_id, n.key COLLATE "C"
        ON CONFLICT (user_id, key) DO UPDATE
           SET fields_hash = excluded.fields_hash, order_id = excluded.order_id, created_at = now(),
               expires_at = excluded.expires_at, reply_status = NULL, reply = NULL
         WHERE k.expires_at <= now()
        RETURNING user_id, key
        """,
        [user_id for user_id, _ in new],
        [key for _, key in new],
        [replay.fields_hash for replay, _ in new.values()],
        [order_id for _, order_id in new.values()],
        [float(replay.lifetime_s) for replay, _ in new.values()],
    )
    await tx.execute("SET LOCAL lock_timeout = DEFAULT")
    return {(row["user_id"], row["key"]) for row in rows}


async def find(tx: Transaction, owners: Sequence[Owner]) -> dict[Owner, tuple[bytes, UUID | None]]:
    """What each key that has not expired stands for: the hash of its request, and the order if it placed one."""
    rows = await tx.fetch(
        """
        SELECT user_id, key, fields_hash, order_id FROM idempotency_keys
         WHERE (user_id, key) IN (SELECT * FROM unnest($1::uuid[], $2::text[])) AND expires_at > now()
        """,
        [user_id for user_id, _ in owners],
        [key for _, key in owners],
    )
    return {(row["user_id"], row["key"]): (bytes(row["fields_hash"]), row["order_id"]) for row in rows}


async def find_kept(tx: Transaction, owner: Owner) -> Kept | None:
    """What a key that has not expired stands for, where it is a request of the native API."""
    row = await tx.fetchrow(
        """
        SELECT fields_hash, reply_status, reply FROM idempotency_keys
         WHERE user_id = $1 AND key = $2 AND expires_at > now()
        """,
        *owner,
    )
    return Kept(bytes(row["fields_hash"]), row["reply_status"], row["reply"]) if row else None


async def keep(tx: Transaction, owner: Owner, status: int, reply: str) -> None:
    """Save the reply, sealed, to a key that this transaction claimed."""
    await tx.execute(
        "UPDATE idempotency_keys SET reply_status = $3, reply = $4 WHERE user_id = $1 AND key = $2",
        *owner,
        status,
        reply,
    )


async def forget(tx: Transaction, owners: Sequence[Owner]) -> None:
    """Free the keys claimed in this transaction for orders that were refused after all."""
    await tx.execute(
        """
        DELETE FROM idempotency_keys k USING unnest($1::uuid[], $2::text[]) AS n(user_id, key)
         WHERE k.user_id = n.user_id AND k.key = n.key AND k.created_at = now()
        """,
        [user_id for user_id, _ in owners],
        [key for _, key in owners],
    )


async def purge(tx: Transaction, most: int) -> int:
    """Delete keys that have expired; how many."""
    rows = await tx.fetch(
        """
        DELETE FROM idempotency_keys WHERE (user_id, key) IN (
          SELECT user_id, key FROM idempotency_keys WHERE expires_at < now() - interval '1 hour'
           LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING 1
        """,
        most,
    )
    return len(rows)
