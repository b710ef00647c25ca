"""SQL of new orders: the row and the event that tells of it in one statement, and with them the money that is held."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.events.payloads import OrderData
from gateway.ledger.model import Entry, Wallet
from gateway.ledger.store import BOOKING, booking, has_low
from gateway.orders.families import store as families
from gateway.orders.model import Dispatch
from gateway.orders.shown import told
from gateway.orders.store import NewOrder

QUEUED = "orders_queued"
"""Where dispatchers listen for new orders."""


async def place(
    tx: Transaction, orders: Sequence[NewOrder], wallets: Iterable[Wallet], entries: Sequence[Entry]
) -> dict[UUID, int]:
    """As `insert`, and as `ledger.store.write` of what is held for them; it wakes nobody.

    Raises:
        Conflict: one of the orders was placed before; which of its rows shows that first is PostgreSQL's choice.
    """
    changed = list(wallets)
    try:
        rows = await tx.fetch(_PLACE[has_low(changed)], *booking(changed, entries), [_to_row(new) for new in orders])
    except asyncpg.UniqueViolationError as error:
        raise Conflict("this was placed before") from error
    return await _numbered(tx, orders, rows)


async def insert(tx: Transaction, orders: Sequence[NewOrder]) -> dict[UUID, int]:
    """Insert new orders with the event of each, wake the dispatchers at commit, and say which number each id got."""
    return await _numbered(tx, orders, await tx.fetch(_INSERT, [_to_row(new) for new in orders]))


async def _numbered(tx: Transaction, orders: Sequence[NewOrder], rows: Sequence[asyncpg.Record]) -> dict[UUID, int]:
    await families.insert(tx, [new.family for new in orders if new.family])
    return {row["id"]: row["number"] for row in rows}


class _Row(msgspec.Struct):
    """An order as it is inserted, and what the event tells of it."""

    id: UUID
    user_id: UUID
    api_key_id: UUID
    service_id: UUID
    provider_id: UUID | None
    link: str
    quantity: int
    details: dict[str, Any]
    price: Decimal
    currency: str
    dispatch: Dispatch
    is_parent: bool
    parent_id: UUID | None
    told: OrderData


def _to_row(new: NewOrder) -> _Row:
    order = new.order
    return _Row(
        order.id, order.user_id, new.api_key_id, order.service_id, order.provider_id, order.link, order.quantity,
        order.details, order.price, order.currency, order.dispatch, order.is_parent, order.parent_id, told(order),
    )  # fmt: skip


def _inserting(rows: str) -> str:
    """Tables of a WITH, of the orders in this parameter. What is told gets its number from the row."""
    return f"""
new AS (
  SELECT * FROM ROWS FROM (jsonb_to_recordset({rows}) AS (id uuid, user_id uuid, api_key_id uuid, service_id uuid,
    provider_id uuid, link text, quantity int, details jsonb, price numeric, currency text, dispatch text,
    is_parent boolean, parent_id uuid, told jsonb)) WITH ORDINALITY AS n
), placed AS (
  INSERT INTO orders (id, user_id, api_key_id, service_id, provider_id, link, quantity, details, price, currency,
    dispatch, is_parent, parent_id)
  SELECT id, user_id, api_key_id, service_id, provider_id, link, quantity, details, price, currency,
    dispatch, is_parent, parent_id FROM new ORDER BY ordinality
  RETURNING id, number
), created AS (
  INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
  SELECT 'order.created', n.user_id, 'order', n.id, n.told || jsonb_build_object('number', p.number), 1
    FROM new n JOIN placed p ON p.id = n.id ORDER BY n.ordinality
  RETURNING id, user_id
), passed_on AS (
  INSERT INTO event_outbox (event_id)
  SELECT c.id FROM created c WHERE EXISTS (SELECT FROM webhooks h WHERE h.user_id = c.user_id AND h.is_active)
)
"""


_INSERT = f"""
WITH {_inserting("$1")}, woken AS (SELECT pg_notify('{QUEUED}', ''))
SELECT id, number FROM placed, woken
"""
_PLACE = {low: f"WITH {tables}, {_inserting('$6')} SELECT id, number FROM placed" for low, tables in BOOKING.items()}
