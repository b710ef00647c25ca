"""SQL of new orders: the row and the event that tells of it in one statement, and with them the money that is held."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.events.payloads import OrderData
from gateway.ledger.model import ZERO, Entry, Wallet
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


async def place_covered(connection: Transaction, orders: Sequence[tuple[NewOrder, UUID]]) -> dict[UUID, int]:
    """Hold and insert, as `place`, those of the `(order, wallet)` whose wallet covers all that is wanted of it here.

    In one statement, which needs no transaction around it: wallets are locked and looked at where they are written.
    Returns the numbers of those that were placed. The others are as if they had not been asked for: also those of a
    wallet that would fall below its low balance, of which its user would have to be told.

    Raises:
        Conflict: one of the orders was placed before.
    """
    wanted: dict[UUID, tuple[Decimal, int]] = {}
    rows = []
    for new, wallet_id in orders:
        before, count = wanted.get(wallet_id, (ZERO, 0))
        wanted[wallet_id] = before + new.order.price, count + 1
        line: tuple[Any, ...] = (wallet_id, count + 1, before, uuid7())
        rows.append(_CoveredRow(*_fields(new), *line))
    amounts = [amount for amount, _ in wanted.values()]
    counts = [count for _, count in wanted.values()]
    try:
        placed = await connection.fetch(_PLACE_COVERED, rows, list(wanted), amounts, counts)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("this was placed before") from error
    return {row["id"]: row["number"] for row in placed}


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


class _CoveredRow(_Row):
    """With its line of the ledger: the `nth` of its wallet in the statement, `before` which so much is held."""

    wallet_id: UUID
    nth: int
    before: Decimal
    entry_id: UUID


def _to_row(new: NewOrder) -> _Row:
    return _Row(*_fields(new))


def _fields(new: NewOrder) -> tuple[Any, ...]:
    order = new.order
    return (
        order.id, order.user_id, new.api_key_id, order.service_id, order.provider_id, order.link, order.quantity,
        order.details, order.price, order.currency, order.dispatch, order.is_parent, order.parent_id, told(order),
    )  # fmt: skip


_COLUMNS = """id uuid, user_id uuid, api_key_id uuid, service_id uuid, provider_id uuid, link text, quantity int,
    details jsonb, price numeric, currency text, dispatch text, is_parent boolean, parent_id uuid, told jsonb"""
_INSERTING = """
placed AS (
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
"""Tables of a WITH, of the orders in `new`. What is told gets its number from the row."""


def _new(rows: str) -> str:
    return f"new AS (SELECT * FROM ROWS FROM (jsonb_to_recordset({rows}) AS ({_COLUMNS})) WITH ORDINALITY AS n)"


_INSERT = f"""
WITH {_new("$1")}, {_INSERTING}, woken AS (SELECT pg_notify('{QUEUED}', ''))
SELECT id, number FROM placed, woken
"""
_PLACE = {
    low: f"WITH {tables}, {_new('$6')}, {_INSERTING} SELECT id, number FROM placed" for low, tables in BOOKING.items()
}
_PLACE_COVERED = f"""
WITH held AS (
  SELECT id, balance, hold_amount, last_seq, low_balance FROM wallets WHERE id = ANY($2) ORDER BY id FOR UPDATE
), wallet AS (
  UPDATE wallets w SET hold_amount = h.hold_amount + n.amount, last_seq = h.last_seq + n.orders
    FROM held h JOIN unnest($2::uuid[], $3::numeric[], $4::int[]) AS n(id, amount, orders) ON n.id = h.id
   WHERE w.id = h.id AND n.amount <= h.balance - h.hold_amount
     AND (h.balance - h.hold_amount - n.amount < h.low_balance AND h.low_balance <= h.balance - h.hold_amount)
         IS NOT TRUE
  RETURNING w.id, h.balance, h.hold_amount, h.last_seq
), new AS (
  SELECT n.*, w.balance, w.hold_amount + n.before AS hold_before, w.last_seq + n.nth AS wallet_seq
    FROM ROWS FROM (jsonb_to_recordset($1) AS ({_COLUMNS}, wallet_id uuid, nth int, before numeric, entry_id uuid))
           WITH ORDINALITY AS n JOIN wallet w ON w.id = n.wallet_id
), {_INSERTING}, reference AS (
  INSERT INTO ledger_references (wallet_id, wallet_seq, reference_type, reference_id, type)
  SELECT wallet_id, wallet_seq, 'order', id, 'hold' FROM new
), booked AS (
  INSERT INTO ledger (id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after,
    hold_before, hold_after, reference_type, reference_id)
  SELECT entry_id, user_id, wallet_id, wallet_seq, 'hold', price, balance, balance,
    hold_before, hold_before + price, 'order', id FROM new
)
SELECT id, number FROM placed
"""
