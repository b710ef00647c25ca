"""A wallet and what each type of ledger row does to it (design §4); pure."""

import enum
import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from compat.money import format_amount, is_exact
from gateway.errors import AlreadyBooked, InsufficientFunds, Invalid, ReferenceTaken

ZERO = Decimal(0)
NOTE_CHARS_MAX = 500

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


class EntryType(enum.StrEnum):
    DEPOSIT = "deposit"
    HOLD = "hold"
    RELEASE = "release"
    WITHDRAW = "withdraw"
    REFUND = "refund"
    FEE = "fee"


_EFFECT: dict[EntryType, tuple[int, int]] = {
    EntryType.DEPOSIT: (1, 0),
    EntryType.HOLD: (0, 1),
    EntryType.RELEASE: (0, -1),
    EntryType.WITHDRAW: (-1, -1),
    EntryType.REFUND: (1, 0),
    EntryType.FEE: (-1, 0),
}
"""What a row adds to balance and hold, in amounts."""


class Wallet(msgspec.Struct, frozen=True):
    """Money of one user in one currency; `hold_amount` is the frozen part of `balance`.

    Of falling below `low_balance` its user is told, where he has set one.
    """

    id: UUID
    user_id: UUID
    currency: str
    balance: Decimal
    hold_amount: Decimal
    last_seq: int
    low_balance: Decimal | None = None

    @property
    def spendable(self) -> Decimal:
        return self.balance - self.hold_amount

    @property
    def is_low(self) -> bool:
        return self.low_balance is not None and self.spendable < self.low_balance


class Reference(msgspec.Struct, frozen=True):
    """What a row is booked for; the same reference, part and type is never booked twice."""

    type: str
    id: UUID
    part: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One ledger row."""

    id: UUID
    user_id: UUID
    wallet_id: UUID
    wallet_seq: int
    type: EntryType
    amount: Decimal
    balance_before: Decimal
    balance_after: Decimal
    hold_before: Decimal
    hold_after: Decimal
    reference: Reference
    description: str | None = None
    metadata: dict[str, Any] | None = None


def post(
    wallet: Wallet,
    entry_type: EntryType,
    amount: Decimal,
    reference: Reference,
    *,
    description: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> tuple[Wallet, Entry]:
    """The wallet after one row, and the row. The wallet must have been read under its lock.

    Raises:
        InsufficientFunds: a hold or a fee above what can be spent.
    """
    if entry_type in (EntryType.HOLD, EntryType.FEE) and amount > wallet.spendable:
        raise InsufficientFunds
    to_balance, to_hold = _EFFECT[entry_type]
    after = Wallet(
        wallet.id,
        wallet.user_id,
        wallet.currency,
        wallet.balance + to_balance * amount,
        wallet.hold_amount + to_hold * amount,
        wallet.last_seq + 1,
        wallet.low_balance,
    )
    return after, Entry(
        uuid7(),
        wallet.user_id,
        wallet.id,
        after.last_seq,
        entry_type,
        amount,
        wallet.balance,
        after.balance,
        wallet.hold_amount,
        after.hold_amount,
        reference,
        description,
        metadata,
    )


class Booked(msgspec.Struct, frozen=True):
    """A row that is there, as far as one asks who books the same again."""

    id: UUID
    amount: Decimal
    created_at: datetime


def check_amount(amount: Decimal) -> Decimal:
    """Raises Invalid for an amount that no single row may have."""
    if not is_exact(amount) or amount <= 0:
        raise Invalid([("amount", "it is above 0, below 10^12 and has at most 8 decimal places")])
    return amount


def check_note(note: str) -> str:
    """Raises Invalid for a note that is too long or cannot be stored."""
    if len(note) > NOTE_CHARS_MAX or _UNWRITABLE.search(note):
        raise Invalid([("note", f"it is at most {NOTE_CHARS_MAX} characters that can be stored")])
    return note


def booked_before(known: Booked, what: str, reference: str, *, is_same: bool) -> ReferenceTaken:
    """What one who books with a reference for the second time is told: that it is done, or that it was other money."""
    row = f"{what} of {format_amount(known.amount)} (entry {known.id} of {known.created_at:%Y-%m-%d %H:%M:%S %Z})"
    if is_same:
        said = f"this is booked already, with the reference {reference}: {row}"
        return AlreadyBooked(said, known.id, known.amount, known.created_at)
    said = f"the reference {reference} stands for other money: {row}"
    return ReferenceTaken(said, known.id, known.amount, known.created_at)
