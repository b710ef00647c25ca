"""SQL of refills."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from gateway.db.engine import Transaction
from gateway.orders.model import Order
from gateway.orders.refills.model import MOVING, STATES_OF, Refill, Shown, Standing, State

BATCH_MAX = 100
"""Ids in one `refill_status` call (protocol §1)."""

_OF_R = (
    "r.id, r.number, r.order_id, o.number AS order_number, r.user_id, r.provider_id, r.external_order_id, "
    "r.state, r.upstream_id, r.upstream_status, r.tries, extract(epoch FROM now() - r.created_at)::float8 AS age_s, "
    "o.status = 'completed' AS is_wanted"
)


def _to_refill(row: asyncpg.Record) -> Refill:
    return Refill(
        id=row["id"],
        number=row["number"],
        order_id=row["order_id"],
        order_number=row["order_number"],
        user_id=row["user_id"],
        provider_id=row["provider_id"],
        external_order_id=row["external_order_id"],
        state=State(row["state"]),
        upstream_id=row["upstream_id"],
        upstream_status=row["upstream_status"],
        tries=row["tries"],
        age_s=row["age_s"],
        is_wanted=row["is_wanted"],
    )


async def standings(tx: Transaction, order_ids: Sequence[UUID]) -> dict[UUID, Standing]:
    """What the rules need of each order; certain while the orders' rows are locked."""
    rows = await tx.fetch(
        """
        SELECT o.id, s.refill, extract(epoch FROM now() - o.completed_at)::float8 AS since_completed_s,
               r.since_asked_s, r.open_number, r.open_is_unknown
          FROM orders o JOIN services s ON s.id = o.service_id
         CROSS JOIN LATERAL (
           SELECT extract(epoch FROM now() - max(created_at))::float8 AS since_asked_s,
                  max(number) FILTER (WHERE state IN ('requested', 'accepted', 'unknown')) AS open_number,
                  count(*) FILTER (WHERE state = 'unknown') > 0 AS open_is_unknown
             FROM refills WHERE order_id = o.id) r
         WHERE o.id = ANY($1)
        """,
        order_ids,
    )
    return {row["id"]: Standing(*tuple(row)[1:]) for row in rows}


async def insert(tx: Transaction, orders: Sequence[Order]) -> list[Refill]:
    """Ask for a refill of each order; one that has an open one is passed over (`uq_refills_open`)."""
    rows = await tx.fetch(
        f"""
        WITH r AS (
          INSERT INTO refills (order_id, user_id, provider_id, external_order_id)
          SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])
          ON CONFLICT (order_id) WHERE state IN ('requested', 'accepted', 'unknown') DO NOTHING RETURNING *
        )
        SELECT {_OF_R} FROM r JOIN orders o ON o.id = r.order_id ORDER BY r.number
        """,
        [order.id for order in orders],
        [order.user_id for order in orders],
        [order.provider_id for order in orders],
        [order.external_order_id for order in orders],
    )
    return [_to_refill(row) for row in rows]


async def ask_anew(tx: Transaction, order_ids: Sequence[UUID]) -> None:
    """What nobody knows of is sent again, as if it were asked for now; it stays counted as sent before."""
    await tx.execute(
        """
        UPDATE refills SET state = 'requested', tries = 1, next_try_at = now(), created_at = now(), updated_at = now()
         WHERE order_id = ANY($1) AND state = 'unknown'
        """,
        order_ids,
    )


async def find(tx: Transaction, user_id: UUID, numbers: Sequence[int]) -> dict[int, Refill]:
    """The user's own refills among these numbers."""
    rows = await tx.fetch(
        f"""
        SELECT {_OF_R} FROM refills r JOIN orders o ON o.id = r.order_id
         WHERE r.number = ANY($2) AND r.user_id = $1
        """,
        user_id,
        numbers,
    )
    return {row["number"]: _to_refill(row) for row in rows}


async def claim_requested(tx: Transaction, each: int, lease: timedelta, busy: Sequence[UUID] = ()) -> list[Refill]:
    """Requested refills that are due, at most so many a provider, each counted as a call begun and put off.

    Those of `busy` providers are passed over.
    """
    rows = await tx.fetch(
        f"""
        WITH due AS (
          SELECT d.id FROM providers p CROSS JOIN LATERAL (
            SELECT id FROM refills WHERE provider_id = p.id AND state = 'requested' AND next_try_at <= now()
             ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED) d
           WHERE p.id <> ALL($3::uuid[])
        ), r AS (
          UPDATE refills q SET tries = q.tries + 1, next_try_at = now() + $2, updated_at = now() FROM due
           WHERE q.id = due.id RETURNING q.*
        )
        SELECT {_OF_R} FROM r JOIN orders o ON o.id = r.order_id ORDER BY r.number
        """,
        each,
        lease,
        list(busy),
    )
    return [_to_refill(row) for row in rows]


async def claim_accepted(
    tx: Transaction, shortest: timedelta, longest: timedelta, busy: Sequence[UUID] = ()
) -> list[Refill]:
    """Accepted refills due to be asked about, at most one call's a provider, each put off to its next check.

    The next check is after a tenth of the refill's age, within the two bounds. Those of `busy`
    providers are passed over.
    """
    rows = await tx.fetch(
        f"""
        WITH due AS (
          SELECT d.id FROM providers p CROSS JOIN LATERAL (
            SELECT id FROM refills WHERE provider_id = p.id AND state = 'accepted' AND next_try_at <= now()
             ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED) d
           WHERE p.id <> ALL($4::uuid[])
        ), r AS (
          UPDATE refills q SET updated_at = now(),
                 next_try_at = now() + least($3, greatest($2, (now() - q.created_at) / 10))
            FROM due WHERE q.id = due.id RETURNING q.*
        )
        SELECT {_OF_R} FROM r JOIN orders o ON o.id = r.order_id ORDER BY r.number
        """,
        BATCH_MAX,
        shortest,
        longest,
        list(busy),
    )
    return [_to_refill(row) for row in rows]


async def try_again(tx: Transaction, refill_id: UUID, reason: str, wait: timedelta) -> None:
    """Ask again after `wait`."""
    await tx.execute(
        """
        UPDATE refills SET reason = $2, next_try_at = now() + $3, updated_at = now()
         WHERE id = $1 AND state = 'requested'
        """,
        refill_id,
        reason,
        wait,
    )


async def accept(tx: Transaction, refill_id: UUID, upstream_id: str, wait: timedelta) -> bool:
    """The upstream took it; it is asked about after `wait`. False where it has an outcome already."""
    row = await tx.fetchrow(
        """
        UPDATE refills SET state = 'accepted', upstream_id = $2, reason = NULL, next_try_at = now() + $3,
               updated_at = now()
         WHERE id = $1 AND state = 'requested' RETURNING id
        """,
        refill_id,
        upstream_id,
        wait,
    )
    return row is not None


async def see(tx: Transaction, refill_id: UUID, word: str) -> None:
    """Keep the upstream's word."""
    await tx.execute(
        "UPDATE refills SET upstream_status = $2, updated_at = now() WHERE id = $1 AND state = 'accepted'",
        refill_id,
        word,
    )


async def finish(tx: Transaction, refill: Refill, state: State, reason: str | None = None) -> bool:
    """Write an outcome; False where it has moved on since it was read."""
    row = await tx.fetchrow(
        """
        UPDATE refills SET state = $3::varchar, reason = $4, next_try_at = NULL, updated_at = now(),
               completed_at = CASE WHEN $3::varchar = 'completed' THEN now() END
         WHERE id = $1 AND state = $2 RETURNING id
        """,
        refill.id,
        refill.state.value,
        state.value,
        reason,
    )
    return row is not None


class ListedRefill(msgspec.Struct, frozen=True, kw_only=True):
    """A refill; `order` is the order's number."""

    id: UUID
    number: int
    order: int
    state: State
    upstream_status: str | None
    created_at: datetime
    completed_at: datetime | None


_ROW = "r.id, r.number, o.number AS order, r.state, r.upstream_status, r.created_at, r.completed_at"
_ORDER = "CROSS JOIN LATERAL (SELECT number FROM orders WHERE id = r.order_id OFFSET 0) o"


async def list_refills(
    tx: Transaction, user_id: UUID, shown: Shown | None, order_id: UUID | None, before: UUID | None, most: int
) -> list[ListedRefill]:
    """The user's own, the newest first, below the id `before`."""
    values: list[object] = [user_id]
    conditions = ["r.user_id = $1"]
    for condition, value in (
        ("r.order_id = {}", order_id),
        ("r.id < {}", before),
        ("r.state = ANY({})", None if shown is None else [state.value for state in STATES_OF[shown]]),
        (f"(r.state = 'accepted' AND coalesce(r.upstream_status, '') = '{MOVING}') = {{}}", _is_moving(shown)),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    values.append(most)
    rows = await tx.fetch(
        f"""
        SELECT {_ROW} FROM (
          SELECT * FROM refills r WHERE {" AND ".join(conditions)} ORDER BY r.id DESC LIMIT ${len(values)}) r
        {_ORDER} ORDER BY r.id DESC
        """,
        *values,
    )
    return [ListedRefill(**{**row, "state": State(row["state"])}) for row in rows]


def _is_moving(shown: Shown | None) -> bool | None:
    """What an accepted refill must be to be shown so; None where that is no matter."""
    return shown is Shown.IN_PROGRESS if shown in (Shown.PENDING, Shown.IN_PROGRESS) else None


async def find_refill(
    tx: Transaction, user_id: UUID, *, number: int | None = None, refill_id: UUID | None = None
) -> ListedRefill | None:
    """The user's own, by its number or its id."""
    row = await tx.fetchrow(
        f"SELECT {_ROW} FROM refills r {_ORDER} WHERE r.user_id = $1 AND (r.number = $2::bigint OR r.id = $3)",
        user_id,
        number,
        refill_id,
    )
    return ListedRefill(**{**row, "state": State(row["state"])}) if row else None
