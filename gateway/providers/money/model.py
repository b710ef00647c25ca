"""Our account at a provider: what is there, for how long, and what a day should have made of it; pure."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from compat.money import is_exact, round8
from gateway.errors import Conflict

FUNDS_PAUSE_S = 3600
"""How long a route rests after the upstream said that our balance is used up, where no reading lifts it before."""
FUNDS_WAIT_S = 30
"""Orders that found no route wait at most this long; they are due at once when the funds are back."""
SPEND_DAYS = 7
POSTS_CHARGED = 10
"""Posts that an open subscription is sent for; `POSTS_AHEAD` of families, which stand above."""

REASONS = (
    "a deposit or a withdrawal that was not entered, or was entered at another time than it was made",
    "an order that the upstream took and we do not know of: unknown, written off, or placed there by hand",
    "a charge other than the cost expected: see `gateway provider charges`; or one rounded to fewer places",
    "an order taken or ended within moments of a reading: the day beside it then differs by as much the other way",
    "a subscription or a drip-feed that the upstream charges by the run; it is reckoned as charged in whole when taken",
    "money given back after an order's end is reckoned by the share that the upstream took back",
)
"""Why a day's difference need not be nothing though nobody is wrong, or although somebody is."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Our money at one provider, in its `currency`; `balance_at` is when it was last asked for."""

    name: str
    currency: str
    balance: Decimal | None
    balance_at: datetime | None
    low_balance: Decimal | None
    spent: Decimal
    spent_days: float
    """Expected cost of what it accepted in the last `SPEND_DAYS`, and the days that passed since the first of it."""
    routes_paused: int
    """Routes that rest because our balance there is used up."""

    @property
    def daily_spend(self) -> Decimal:
        """Gross: what comes back for orders that end short is left out, so that the days left are rather too few."""
        return round8(self.spent / Decimal(max(1.0, min(self.spent_days, SPEND_DAYS))))

    @property
    def days_left(self) -> Decimal | None:
        """At the present rate of spending, to a tenth; None where nothing is spent or the balance is not known."""
        if self.balance is None or self.daily_spend <= 0:
            return None
        return (max(self.balance, Decimal(0)) / self.daily_spend).quantize(Decimal("0.1"))


class Deposit(msgspec.Struct, frozen=True):
    """What was paid in there (below zero: taken out), in the provider's currency; `at` is when."""

    id: UUID
    amount: Decimal
    reference: str
    at: datetime


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A UTC day of an account. All None but `missing` where no reading is near enough to one of its ends."""

    day: date
    opening: Decimal | None = None
    deposits: Decimal | None = None
    charged: Decimal | None = None
    returned: Decimal | None = None
    closing: Decimal | None = None
    difference: Decimal | None = None
    missing: str | None = None


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """An ended order that cost more than its delivered part was expected to; in the provider's currency."""

    number: int
    upstream_id: str
    status: str
    completed_at: datetime
    expected: Decimal
    charged: Decimal
    difference: Decimal


def check_deposit(amount: Decimal) -> Decimal:
    """Raises Conflict for an amount that is nothing, too large or has more than 8 places."""
    if not is_exact(amount) or amount == 0:
        raise Conflict("an amount is not 0, below 10^12 in size and has at most 8 decimal places")
    return amount


def check_low_balance(amount: Decimal) -> Decimal:
    """Raises Conflict for a threshold that is below nothing, too large or has more than 8 places."""
    if not is_exact(amount) or amount < 0:
        raise Conflict("a threshold is 0 or more, below 10^12 and has at most 8 decimal places")
    return amount
