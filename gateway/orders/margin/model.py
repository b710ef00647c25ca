"""What was earned on orders that ended; pure."""

import enum
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from compat.money import round8
from gateway.errors import Conflict

DAYS_MAX = 366
ROWS_MAX = 100_000
"""More than a catalogue has services: a report that leaves some out would look like less money."""


class By(enum.StrEnum):
    """What the rows of a report are of."""

    SERVICE = "service"
    PROVIDER = "provider"
    DAY = "day"


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """One row, all amounts in our `currency`. `of` is None for the whole; `name` is the service's or provider's.

    `cost` leaves out the `cost_unknown` orders that delivered something and whose cost nobody knows.
    `losses` are what orders cost that were written off; they are in neither the cost nor the margin.
    """

    of: str | None
    name: str | None
    currency: str
    orders: int
    turnover: Decimal
    cost: Decimal
    cost_unknown: int
    losses: Decimal

    @property
    def margin(self) -> Decimal:
        return self.turnover - self.cost

    @property
    def margin_percent(self) -> Decimal | None:
        """Of the turnover, to four places; None where there is none."""
        return (round8(self.margin * 100 / self.turnover)).quantize(Decimal("0.0001")) if self.turnover else None


def check_days(since: date, until: date) -> None:
    """Raises Conflict for a range that ends before it begins, or of more than a year."""
    if until < since:
        raise Conflict(f"{until} is before {since}")
    if until - since >= timedelta(days=DAYS_MAX):
        raise Conflict(f"a report is of at most {DAYS_MAX} days")
