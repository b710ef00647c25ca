"""A service as it is sold, a route by which it is bought, and what an upstream offers; pure."""

from decimal import Context, Decimal
from uuid import UUID

import msgspec

from compat.kinds import RULES, Counting, Kind
from compat.money import round8

QUANTITY_MAX = 2_147_483_647
_EXACT = Context(prec=60)


class Service(msgspec.Struct, frozen=True):
    """One service on sale. `rate` is the price of 1000, or of one package, in `currency`.

    `kind` is None where `kind_name` is not of the protocol; `provider_id` is that of the best route
    that is switched on, None where there is none.
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


class Route(msgspec.Struct, frozen=True):
    """Where a service can be bought. `active`: it and its provider are on; `usable`: neither is paused besides."""

    id: UUID
    service_id: UUID
    provider_id: UUID
    provider_service_id: str
    cost_per_1000: Decimal
    priority: int
    weight: int
    usable: bool
    active: bool


class Terms(msgspec.Struct, frozen=True):
    """What a sync takes over from an upstream's row; `price` has the markup in it."""

    name: str
    description: str | None
    category: str
    kind: Kind
    price: Decimal
    min_quantity: int
    max_quantity: int
    refill: bool
    cancel: bool
    dripfeed: bool


class Offer(msgspec.Struct, frozen=True):
    """One service that an upstream lists, as we can sell it."""

    provider_service_id: str
    cost: Decimal
    terms: Terms


def price_with_markup(cost: Decimal, markup_percent: Decimal) -> Decimal:
    """cost × (1 + markup / 100), half-even to eight places."""
    return round8(_EXACT.divide(_EXACT.multiply(cost, 100 + markup_percent), Decimal(100)))


def quantities_of(kind: Kind, least: int, most: int) -> tuple[int, int] | None:
    """The range that can be ordered, within 1 to 2 147 483 647; None where there is none.

    A package is ordered one at a time, whatever the upstream lists.
    """
    if RULES[kind].counting is Counting.ONE:
        return 1, 1
    if least > most or most < 1 or least > QUANTITY_MAX:
        return None
    return max(least, 1), min(most, QUANTITY_MAX)
