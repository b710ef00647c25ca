"""A service as it is sold, a route by which it is bought, and what an upstream offers; pure."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from compat.kinds import RULES, Counting, Kind

QUANTITY_MAX = 2_147_483_647


class Service(msgspec.Struct, frozen=True):
    """One service. `rate` is the price of 1000, or of one package, in `currency`.

    `kind` is None where `kind_name` is not of the protocol. `is_active` says that it is on sale;
    `provider_id` is that of the best route that can be bought from, None where there is none.
    """

    id: UUID
    number: int
    name: str
    description: str | None
    category: str
    platform: str
    type: str
    kind: Kind | None
    kind_name: str
    rate: Decimal
    currency: str
    min_quantity: int
    max_quantity: int
    refill: bool
    cancel: bool
    dripfeed: bool
    is_active: bool
    provider_id: UUID | None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service can be bought.

    `cost_per_1000` is in the provider's currency, `exchange_rate` what one unit of it is in ours.
    `off` says why it cannot be bought from until somebody changes that, None where it can;
    `paused_until` and `paused_reason` put it off for a time, and are None where nothing does.
    Limits are those of the upstream, None where they are not known.
    """

    id: UUID
    service_id: UUID
    provider_id: UUID
    provider_name: str
    provider_service_id: str
    cost_per_1000: Decimal
    priority: int
    weight: int
    policy: str = "priority"
    exchange_rate: Decimal = Decimal(1)
    min_quantity: int | None = None
    max_quantity: int | None = None
    dripfeed: bool = False
    off: str | None = None
    paused_until: datetime | None = None
    paused_reason: str | None = None

    @property
    def active(self) -> bool:
        """Whether it can be bought from, now or once a pause is over."""
        return self.off is None

    @property
    def usable(self) -> bool:
        return self.off is None and self.paused_until is None


class Terms(msgspec.Struct, frozen=True):
    """What a sync takes over from an upstream's row, besides its price."""

    name: str
    description: str | None
    category: str
    kind: Kind
    min_quantity: int
    max_quantity: int
    refill: bool
    cancel: bool
    dripfeed: bool


class Offer(msgspec.Struct, frozen=True):
    """One service that an upstream lists, as we can sell it; `cost` in its currency."""

    provider_service_id: str
    cost: Decimal
    terms: Terms


def quantities_of(kind: Kind, least: int, most: int) -> tuple[int, int] | None:
    """The range that can be ordered, within 1 to 2 147 483 647; None where there is none.

    A package is ordered one at a time, whatever the upstream lists.
    """
    if RULES[kind].counting is Counting.ONE:
        return 1, 1
    if least > most or most < 1 or least > QUANTITY_MAX:
        return None
    return max(least, 1), min(most, QUANTITY_MAX)
