"""Money in and out of wallets by an operator: deposits, pay-outs, fees and refunds that are of no order."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

from compat.money import LIMIT
from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.ledger import store
from gateway.ledger.model import Entry, EntryType, Reference, Wallet, booked_before, check_amount, check_note, post
from gateway.references import check_reference

Booking = Literal["deposit", "withdraw", "fee", "refund"]

_ROWS: dict[Booking, tuple[str, tuple[EntryType, ...]]] = {
    "deposit": ("payment", (EntryType.DEPOSIT,)),
    "withdraw": ("payout", (EntryType.HOLD, EntryType.WITHDRAW)),
    "fee": ("fee", (EntryType.FEE,)),
    "refund": ("goodwill", (EntryType.REFUND,)),
}
"""The type of a booking's reference, and its rows. A pay-out is held first: only what is held is withdrawn."""


async def deposit(
    tx: Transaction, wallet_id: UUID, amount: Decimal, *, reference: str | None = None, note: str | None = None
) -> tuple[Wallet, Entry]:
    """Credit a wallet; see `book`."""
    return await book(tx, wallet_id, "deposit", amount, reference=reference, note=note)


async def book(
    tx: Transaction,
    wallet_id: UUID,
    booking: Booking,
    amount: Decimal,
    *,
    reference: str | None = None,
    note: str | None = None,
) -> tuple[Wallet, Entry]:
    """The wallet after a booking, and its last row.

    The same `reference` books once a wallet and kind of booking, however often it is tried.

    Raises:
        AlreadyBooked: the same amount was booked with the reference before, whatever can be spent by now.
        ReferenceTaken: another amount was.
        Invalid: the amount, the reference or the note is none (`check_amount`, `check_reference`, `check_note`).
        Conflict: the wallet would hold too much.
        InsufficientFunds: a pay-out or a fee above what can be spent.
    """
    check_amount(amount)
    check_note(note or "")
    if reference is not None:
        check_reference(reference)
    reference_type, types = _ROWS[booking]
    wallet = (await store.lock(tx, [wallet_id]))[wallet_id]
    booked = Reference(reference_type, _reference_id(wallet_id, booking, reference))
    if reference is not None:
        known = await store.find_booked(tx, booked, types[-1])
        if known:
            raise booked_before(known, booking, reference, is_same=known.amount == amount)
    if booking in ("deposit", "refund") and wallet.balance + amount >= LIMIT:
        raise Conflict("a wallet holds less than 10^12")
    said = {"reference": reference, "note": note}
    metadata = {name: value for name, value in said.items() if value}
    after, entries = _post(wallet, types, amount, booked, booking, metadata)
    await store.write(tx, [after], entries)
    return after, entries[-1]


def _reference_id(wallet_id: UUID, booking: Booking, reference: str | None) -> UUID:
    """The same for the same reference of a wallet; deposits keep the ids that they have had."""
    if reference is None:
        return uuid7()
    return uuid5(wallet_id, reference if booking == "deposit" else f"{booking}: {reference}")


def _post(
    wallet: Wallet,
    types: Sequence[EntryType],
    amount: Decimal,
    booked: Reference,
    description: str,
    metadata: dict[str, str],
) -> tuple[Wallet, list[Entry]]:
    entries: list[Entry] = []
    for entry_type in types:
        wallet, entry = post(
            wallet, entry_type, amount, booked, description=description, metadata=dict(metadata) or None
        )
        entries.append(entry)
    return wallet, entries
