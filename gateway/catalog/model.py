"""A service as it is sold, a route by which it is bought, and what an upstream's row becomes; pure."""

import re
from collections.abc import Iterable
from decimal import Context, Decimal
from uuid import UUID

import msgspec

from compat import wire
from compat.kinds import RULES, Counting, Kind, parse_kind
from compat.money import LIMIT, round8

QUANTITY_MAX = 2_147_483_647
NAME_CHARS_MAX = 255
UPSTREAM_ID_CHARS_MAX = 64
OTHER_CATEGORY = "Other"

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
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
    """Where a service can be bought. `usable`: it and its provider are on, and neither is paused."""

    id: UUID
    service_id: UUID
    provider_id: UUID
    provider_service_id: str
    cost_per_1000: Decimal
    priority: int
    weight: int
    usable: bool


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


def offers_of(rows: Iterable[wire.Service], markup_percent: Decimal) -> tuple[dict[str, Offer], int]:
    """What can be sold of an upstream's list, by its id there, and how many rows cannot."""
    offers: dict[str, Offer] = {}
    skipped = 0
    for row in rows:
        offer = offer_of(row, markup_percent)
        if offer is None or offer.provider_service_id in offers:
            skipped += 1
        else:
            offers[offer.provider_service_id] = offer
    return offers, skipped


def offer_of(row: wire.Service, markup_percent: Decimal) -> Offer | None:
    """The row as we can sell it.

    None where its kind is not in the protocol, its quantities make no sense or its price cannot be kept.
    """
    kind = parse_kind(row.type)
    upstream_id = str(row.service)
    if kind is None or not 0 < len(upstream_id) <= UPSTREAM_ID_CHARS_MAX:
        return None
    quantities = quantities_of(kind, row.min, row.max)
    cost = round8(row.rate)
    price = price_with_markup(cost, markup_percent)
    if quantities is None or not 0 <= cost < LIMIT or not 0 <= price < LIMIT:
        return None
    terms = Terms(
        name=_line(row.name) or f"Service {upstream_id}",
        description=_UNPRINTABLE.sub("", row.desc).strip() or None,
        category=_line(row.category) or OTHER_CATEGORY,
        kind=kind,
        price=price,
        min_quantity=quantities[0],
        max_quantity=quantities[1],
        refill=row.refill,
        cancel=row.cancel,
        dripfeed=row.dripfeed,
    )
    return Offer(upstream_id, cost, terms)


def quantities_of(kind: Kind, least: int, most: int) -> tuple[int, int] | None:
    """The range that can be ordered, within 1 to 2 147 483 647; None where there is none.

    A package is ordered one at a time, whatever the upstream lists.
    """
    if RULES[kind].counting is Counting.ONE:
        return 1, 1
    if least > most or most < 1 or least > QUANTITY_MAX:
        return None
    return max(least, 1), min(most, QUANTITY_MAX)


def _line(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub("", text).split())[:NAME_CHARS_MAX]
