"""A wallet and what each type of ledger row does to it (design §4); pure."""

import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from gateway.errors import InsufficientFunds

ZERO = Decimal(0)


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
    """Money of one user in one currency; `hold_amount` is the frozen part of `balance`."""

    id: UUID
    user_id: UUID
    currency: str
    balance: Decimal
    hold_amount: Decimal
    last_seq: int

    @property
    def spendable(self) -> Decimal:
        return self.balance - self.hold_amount


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
