"""SQL of new orders: the row and the event that tells of it in one statement, and with them the money that is held."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.ledger.model import Entry, Wallet
from gateway.ledger.store import BOOKING, booking, has_low
from gateway.orders.families import store as families
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
        rows = await tx.fetch(_PLACE[has_low(changed)], *booking(changed, entries), *_columns(orders))
    except asyncpg.UniqueViolationError as error:
        raise Conflict("this was placed before") from error
    return await _numbered(tx, orders, rows)


async def insert(tx: Transaction, orders: Sequence[NewOrder]) -> dict[UUID, int]:
    """Insert new orders with the event of each, wake the dispatchers at commit, and say which number each id got."""
    return await _numbered(tx, orders, await tx.fetch(_INSERT, *_columns(orders)))


async def _numbered(tx: Transaction, orders: Sequence[NewOrder], rows: Sequence[asyncpg.Record]) -> dict[UUID, int]:
    await families.insert(tx, [new.family for new in orders if new.family])
    return {row["id"]: row["number"] for row in rows}


def _columns(orders: Sequence[NewOrder]) -> list[list[Any]]:
    return [
        [new.order.id for new in orders],
        [new.order.user_id for new in orders],
        [new.api_key_id for new in orders],
        [new.order.service_id for new in orders],
        [new.order.provider_id for new in orders],
        [new.order.link for new in orders],
        [new.order.quantity for new in orders],
        [new.order.details for new in orders],
        [new.order.price for new in orders],
        [new.order.currency for new in orders],
        [new.order.dispatch.value for new in orders],
        [new.order.is_parent for new in orders],
        [new.order.parent_id for new in orders],
        [told(new.order) for new in orders],
    ]


def _inserting(first: int) -> str:
    """Tables of a WITH, whose parameters begin at this number. What is told gets its number from the row."""
    types = "uuid, uuid, uuid, uuid, uuid, text, int, jsonb, numeric, text, text, boolean, uuid, jsonb"
    given = ", ".join(f"${at}::{name}[]" for at, name in enumerate(types.split(", "), first))
    return f"""
new AS (
  SELECT * FROM unnest({given}) WITH ORDINALITY AS n(id, user_id, api_key_id, service_id, provider_id, link, quantity,
    details, price, currency, dispatch, is_parent, parent_id, told, place)
), placed AS (
  INSERT INTO orders (id, user_id, api_key_id, service_id, provider_id, link, quantity, details, price, currency,
    dispatch, is_parent, parent_id)
  SELECT id, user_id, api_key_id, service_id, provider_id, link, quantity, details, price, currency,
    dispatch, is_parent, parent_id FROM new ORDER BY place
  RETURNING id, number
), created AS (
  INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
  SELECT 'order.created', n.user_id, 'order', n.id, n.told || jsonb_build_object('number', p.number), 1
    FROM new n JOIN placed p ON p.id = n.id ORDER BY n.place
  RETURNING id, user_id
), passed_on AS (
  INSERT INTO event_outbox (event_id)
  SELECT c.id FROM created c WHERE EXISTS (SELECT FROM webhooks h WHERE h.user_id = c.user_id AND h.is_active)
)
"""


_INSERT = f"""
WITH {_inserting(1)}, woken AS (SELECT pg_notify('{QUEUED}', ''))
SELECT id, number FROM placed, woken
"""
_PLACE = {low: f"WITH {tables}, {_inserting(20)} SELECT id, number FROM placed" for low, tables in BOOKING.items()}
