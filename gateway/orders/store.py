"""SQL of orders and their history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from compat.status import UpstreamStatus, parse_status
from gateway.db.engine import Transaction
from gateway.orders.families.model import Family
from gateway.orders.model import Dispatch, Order, Status

_COLUMNS = (
    "id, number, user_id, service_id, provider_id, external_order_id, link, quantity, price, currency, charge, "
    "status, dispatch, upstream_status, start_count, remains, details, check_failures, parent_id, is_parent, "
    "upstream_charge"
)
COLUMNS_OF_O = ", ".join(f"o.{column.strip()}" for column in _COLUMNS.split(","))

_STATUSES = {each.value: each for each in Status}
_DISPATCHES = {each.value: each for each in Dispatch}


class NewOrder(msgspec.Struct, frozen=True):
    """An order about to be inserted, with what there is besides `Order`."""

    order: Order
    api_key_id: UUID
    family: Family | None = None


class Tracking(msgspec.Struct, frozen=True):
    """Of an order that an upstream took: how long until it is asked about, and what it costs us, in our currency."""

    wait: timedelta
    cost: Decimal | None


_UNTRACKED: Mapping[UUID, Tracking] = {}


class HistoryLine(msgspec.Struct, frozen=True):
    """What happened to an order, for operators."""

    order_id: UUID
    kind: str
    details: dict[str, Any]


def to_order(row: asyncpg.Record) -> Order:
    return Order(
        id=row["id"],
        number=row["number"],
        user_id=row["user_id"],
        service_id=row["service_id"],
        provider_id=row["provider_id"],
        external_order_id=row["external_order_id"],
        link=row["link"],
        quantity=row["quantity"],
        price=row["price"],
        currency=row["currency"],
        charge=row["charge"],
        status=_STATUSES[row["status"]],
        dispatch=_DISPATCHES[row["dispatch"]],
        upstream_status=row["upstream_status"],
        start_count=row["start_count"],
        remains=row["remains"],
        details=row["details"],
        check_failures=row["check_failures"],
        parent_id=row["parent_id"],
        is_parent=row["is_parent"],
        upstream_charge=row["upstream_charge"],
    )


async def numbers_of(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Which of these orders exist, and their numbers."""
    rows = await tx.fetch("SELECT id, number FROM orders WHERE id = ANY($1)", ids)
    return {row["id"]: row["number"] for row in rows}


async def find_active(tx: Transaction, orders: Sequence[Order]) -> set[UUID]:
    """Which of these new orders have an active one of their user beside them, of the same service and link."""
    rows = await tx.fetch(
        """
        SELECT n.id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[]) AS n(id, user_id, service_id, link)
         WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = n.user_id AND o.service_id = n.service_id
                          AND md5(o.link) = md5(n.link) AND o.link = n.link AND o.status IN ('pending', 'processing'))
        """,
        [order.id for order in orders],
        [order.user_id for order in orders],
        [order.service_id for order in orders],
        [order.link for order in orders],
    )
    return {row["id"] for row in rows}


async def find_by_numbers(
    tx: Transaction, wanted: Sequence[tuple[UUID, int, UUID, UUID]]
) -> dict[tuple[UUID, int], Order]:
    """Orders by `(user, number, lowest id, id above all)`; only months that the ids span are visited.

    OFFSET 0 keeps the planner from joining whole months instead. The user is looked at behind it, else the
    planner may take the index by user for as good as that by number, and read through a month of his orders for each.
    The arrays are SELECTed lest it sees how long they are: for short ones it would plan all months anew each time.
    """
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS_OF_O}
          FROM unnest((SELECT $1::uuid[]), (SELECT $2::int[]), (SELECT $3::uuid[]), (SELECT $4::uuid[]))
               AS w(user_id, number, low, high)
         CROSS JOIN LATERAL (SELECT * FROM orders WHERE number = w.number AND id >= w.low AND id < w.high OFFSET 0) o
         WHERE o.user_id = w.user_id
        """,
        [user_id for user_id, _, _, _ in wanted],
        [number for _, number, _, _ in wanted],
        [low for _, _, low, _ in wanted],
        [high for _, _, _, high in wanted],
    )
    return {(row["user_id"], row["number"]): to_order(row) for row in rows}


async def find_by_number(tx: Transaction, number: int, ranges: Iterable[tuple[UUID, UUID]]) -> Order | None:
    """Any user's order, for operators."""
    for low, high in ranges:
        row = await tx.fetchrow(
            f"SELECT {_COLUMNS} FROM orders WHERE number = $1 AND id >= $2 AND id < $3", number, low, high
        )
        if row:
            return to_order(row)
    return None


async def owners_of(tx: Transaction, ids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    """`(user, currency)` of each order, which never change, so no lock is needed."""
    rows = await tx.fetch("SELECT DISTINCT user_id, currency FROM orders WHERE id = ANY($1)", ids)
    return [(row["user_id"], row["currency"]) for row in rows]


async def lock(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, Order]:
    """The orders and their parents, locked in id order until the transaction ends. Wallets are locked before orders."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM orders
         WHERE id = ANY($1 || ARRAY(SELECT parent_id FROM orders WHERE id = ANY($1) AND parent_id IS NOT NULL))
         ORDER BY id FOR UPDATE
        """,
        sorted(set(ids)),
    )
    return {row["id"]: to_order(row) for row in rows}


async def update(tx: Transaction, orders: Sequence[Order], tracked: Mapping[UUID, Tracking] = _UNTRACKED) -> None:
    """Write what a transition may change; `started_at` and `completed_at` are set once, by what they tell of.

    One statement for all of it: each version of a row is written into a dozen indexes. What is tracked from now on
    is due to be asked about after its wait. The ids are said twice: months that are small are else read whole.
    """
    trackings = [tracked.get(order.id) for order in orders]
    await tx.execute(
        """
        WITH written AS (
          UPDATE orders o
             SET status = n.status, dispatch = n.dispatch, external_order_id = n.external_order_id,
                 upstream_status = n.upstream_status, start_count = n.start_count, remains = n.remains,
                 charge = n.charge, check_failures = n.check_failures, upstream_charge = n.upstream_charge,
                 cost = CASE WHEN n.wait IS NULL THEN o.cost ELSE n.cost END,
                 started_at = CASE WHEN n.has_started THEN coalesce(o.started_at, now()) ELSE o.started_at END,
                 completed_at = CASE WHEN n.status IN ('completed', 'partial', 'cancelled', 'failed', 'refunded')
                                     THEN coalesce(o.completed_at, now()) END
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::int[],
                        $8::numeric[], $9::int[], $10::boolean[], $11::numeric[], $12::interval[], $13::numeric[])
                 AS n(id, status, dispatch, external_order_id, upstream_status, start_count, remains, charge,
                      check_failures, has_started, upstream_charge, wait, cost)
           WHERE o.id = n.id AND o.id = ANY($1)
          RETURNING o.id, o.provider_id, n.wait
        )
        INSERT INTO order_checks (order_id, provider_id, next_check_at)
        SELECT id, provider_id, now() + wait FROM written WHERE wait IS NOT NULL
        ON CONFLICT (order_id) DO UPDATE SET next_check_at = excluded.next_check_at
        """,
        [order.id for order in orders],
        [order.status.value for order in orders],
        [order.dispatch.value for order in orders],
        [order.external_order_id for order in orders],
        [order.upstream_status for order in orders],
        [order.start_count for order in orders],
        [order.remains for order in orders],
        [order.charge for order in orders],
        [order.check_failures for order in orders],
        [_has_started(order) for order in orders],
        [order.upstream_charge for order in orders],
        [tracking.wait if tracking else None for tracking in trackings],
        [tracking.cost if tracking else None for tracking in trackings],
    )


async def update_charges(tx: Transaction, charges: Mapping[UUID, Decimal]) -> None:
    """What upstreams said they took, by order, in their currencies."""
    if charges:
        await tx.execute(
            """
            UPDATE orders o SET upstream_charge = n.charge FROM unnest($1::uuid[], $2::numeric[]) AS n(id, charge)
             WHERE o.id = n.id AND o.id = ANY($1)
            """,
            list(charges),
            list(charges.values()),
        )


def _has_started(order: Order) -> bool:
    """The upstream says In progress, or the order ended with something delivered."""
    if order.status is Status.PROCESSING:
        return parse_status(order.upstream_status) is UpstreamStatus.IN_PROGRESS
    return order.status in (Status.COMPLETED, Status.PARTIAL)


async def grow(tx: Transaction, order: Order) -> None:
    """Write price and quantity of a subscription whose hold went up."""
    await tx.execute("UPDATE orders SET price = $2, quantity = $3 WHERE id = $1", order.id, order.price, order.quantity)


async def get_api_key(tx: Transaction, order_id: UUID) -> UUID:
    """The key that an order was placed with."""
    key_id: UUID = await tx.fetchval("SELECT api_key_id FROM orders WHERE id = $1", order_id)
    return key_id


async def write_history(tx: Transaction, lines: Sequence[HistoryLine]) -> None:
    if not lines:
        return
    await tx.execute(
        """
        INSERT INTO order_events (order_id, kind, details)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[])
        """,
        [line.order_id for line in lines],
        [line.kind for line in lines],
        [line.details for line in lines],
    )


async def history_of(tx: Transaction, order_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """All rows that tell what happened to an order, oldest first."""
    queries = {
        "attempts": "SELECT * FROM dispatch_attempts WHERE order_id = $1 ORDER BY id",
        "events": "SELECT kind, details, created_at FROM order_events WHERE order_id = $1 ORDER BY id",
        "ledger": "SELECT wallet_seq, type, amount, balance_after, hold_after, created_at FROM ledger "
        "WHERE reference_type = 'order' AND reference_id = $1 ORDER BY wallet_seq",
    }
    return {name: [dict(row) for row in await tx.fetch(query, order_id)] for name, query in queries.items()}
