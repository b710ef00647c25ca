"""Money in, by an operator."""

from decimal import Decimal
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

from compat.money import LIMIT, round8
from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.ledger import store
from gateway.ledger.model import Entry, EntryType, Reference, Wallet, post


async def deposit(
    tx: Transaction, wallet_id: UUID, amount: Decimal, *, reference: str | None = None
) -> tuple[Wallet, Entry]:
    """Credit a wallet. The same `reference` books once a wallet, however often it is tried.

    Raises:
        Conflict: the reference was booked before, or the amount is not above zero and below 10¹²
            with at most 8 places.
    """
    if amount != round8(amount) or not 0 < amount < LIMIT:
        raise Conflict("an amount is above 0, below 10^12 and has at most 8 decimal places")
    wallet = (await store.lock(tx, [wallet_id]))[wallet_id]
    if wallet.balance + amount >= LIMIT:
        raise Conflict("a wallet holds less than 10^12")
    booked = Reference("payment", uuid5(wallet_id, reference) if reference else uuid7())
    after, entry = post(
        wallet,
        EntryType.DEPOSIT,
        amount,
        booked,
        description="deposit",
        metadata={"reference": reference} if reference else None,
    )
    await store.write(tx, [after], [entry])
    return after, entry
