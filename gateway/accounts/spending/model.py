"""A key's day: what it has spent of what it may; pure."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.errors import SpendCapReached


class Spending(msgspec.Struct, frozen=True):
    """`spent` on that day of UTC, in the currency of the key's wallet; without a cap any amount may be."""

    key_id: UUID
    day: date
    spent: Decimal
    cap: Decimal | None


def spend(spending: Spending, amount: Decimal) -> Spending:
    """The day with one more amount. Must have been read under its lock.

    Raises:
        SpendCapReached: it would be above the cap.
    """
    spent = spending.spent + amount
    if spending.cap is not None and spent > spending.cap:
        raise SpendCapReached
    return msgspec.structs.replace(spending, spent=spent)
