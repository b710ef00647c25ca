"""SQL of refills as their owners list them."""

from datetime import datetime
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction
from gateway.orders.refills.model import MOVING, STATES_OF, Shown, State


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
    is_moving = None if shown not in (Shown.PENDING, Shown.IN_PROGRESS) else shown is Shown.IN_PROGRESS
    rows = await tx.fetch(
        f"""
        SELECT {_ROW} FROM refills r {_ORDER}
         WHERE r.user_id = $1 AND ($2::text[] IS NULL OR r.state = ANY($2)) AND ($3::uuid IS NULL OR r.order_id = $3)
           AND ($4::uuid IS NULL OR r.id < $4)
           AND ($5::boolean IS NULL OR (r.state = 'accepted' AND coalesce(r.upstream_status, '') = $6) = $5)
         ORDER BY r.id DESC LIMIT $7
        """,
        user_id,
        None if shown is None else [state.value for state in STATES_OF[shown]],
        order_id,
        before,
        is_moving,
        MOVING,
        most,
    )
    return [ListedRefill(**{**row, "state": State(row["state"])}) for row in rows]


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
