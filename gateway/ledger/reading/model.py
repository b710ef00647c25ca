"""What is wanted of the ledger, and what a line of it says; pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from compat.money import format_amount
from gateway.ledger.model import EntryType


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a wallet, None for whatever. `since` is included, `until` is not; `before` is a line's id."""

    wallet_id: UUID
    type: EntryType | None = None
    order_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    most: int = 25


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger; `order` is the number of the order that it is of."""

    id: UUID
    seq: int
    type: EntryType
    amount: Decimal
    balance_after: Decimal
    hold_after: Decimal
    reference_type: str
    reference_id: UUID
    order: int | None
    description: str | None
    reference: str | None
    note: str | None
    created_at: datetime


class StatementLine(NamedTuple):
    """A row of the ledger as a statement has it: amounts as they are printed, `order` the number of its order.

    Statements are long, so that what is done for each line counts: PostgreSQL prints, and nothing is read twice.
    """

    seq: int
    at: datetime
    type: str
    amount: str
    balance: str
    hold: str
    order: int | None
    reference: str | None
    note: str | None


class WalletRow(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet; its user is told below `low_balance`."""

    id: UUID
    user_id: UUID
    currency: str
    balance: Decimal
    hold_amount: Decimal
    low_balance: Decimal | None


class Standing(msgspec.Struct, frozen=True):
    """What a wallet had at some moment, after its `seq`-th row."""

    seq: int
    balance: Decimal
    hold: Decimal


HEADER = ("time", "type", "amount", "balance", "hold", "order", "reference", "note")


def csv_of(rows: Iterable[Sequence[object]]) -> bytes:
    """Lines of CSV (RFC 4180); None is an empty cell."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def row_of(line: StatementLine) -> Sequence[object]:
    """A line as a row of the statement. What an operator wrote and a spreadsheet would take for a formula has an
    apostrophe before it; none of the rest begins like one."""
    _, at, kind, amount, balance, hold, order, reference, note = line
    return _utc(at), kind, amount, balance, hold, order, reference and _plain(reference), note and _plain(note)


def row_of_standing(kind: str, at: datetime, standing: Standing) -> Sequence[str]:
    """What there was when a statement begins or ends."""
    balance, hold = format_amount(standing.balance), format_amount(standing.hold)
    return (_utc(at), kind, "", balance, hold, "", "", "")


def _utc(at: datetime) -> str:
    """As everywhere in the native API."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
