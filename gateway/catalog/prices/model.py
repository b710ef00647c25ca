"""Prices from costs, margins, and the prices of single users; pure."""

from bisect import bisect_left
from collections.abc import Mapping
from decimal import ROUND_CEILING, Context, Decimal
from operator import itemgetter
from uuid import UUID

import msgspec

from compat.money import round8

_EXACT = Context(prec=60)
_HUNDRED = Decimal(100)


class Markup(msgspec.Struct, frozen=True):
    """What is added to a cost: a percentage of it, then an amount per 1000 (or per package) in our currency."""

    percent: Decimal
    fixed: Decimal


class Pricing(msgspec.Struct, frozen=True):
    """How prices are made of one provider's costs.

    `exchange_rate` is what one unit of its currency is in ours. Prices are rounded up to a multiple
    of `step`, without one half-even to eight places. `floor_percent` is the least margin that is sold at.
    """

    exchange_rate: Decimal
    markup: Markup
    step: Decimal | None = None
    floor_percent: Decimal | None = None
    categories: Mapping[str, Markup] = {}
    services: Mapping[UUID, Markup] = {}

    def price_of(self, cost: Decimal, category: str, service_id: UUID | None) -> Decimal:
        """The price in our currency of what costs `cost` in the provider's, never below zero.

        The markup is that of the service, else that of the category, else the provider's.
        """
        markup = self.services.get(service_id) if service_id else None
        markup = markup or self.categories.get(category) or self.markup
        own = _EXACT.multiply(cost, self.exchange_rate)
        factor = _EXACT.divide(_EXACT.add(_HUNDRED, markup.percent), _HUNDRED)
        price = max(_EXACT.add(_EXACT.multiply(own, factor), markup.fixed), Decimal(0))
        if self.step is None:
            return round8(price)
        steps = _EXACT.divide(price, self.step).to_integral_value(ROUND_CEILING)
        return round8(_EXACT.multiply(steps, self.step))

    def is_below_floor(self, price: Decimal, cost: Decimal) -> bool:
        """Whether selling at `price` leaves less than the floor."""
        own = in_our_currency(cost, self.exchange_rate)
        return self.floor_percent is not None and margin_percent(price, own) < self.floor_percent


def in_our_currency(cost: Decimal, exchange_rate: Decimal) -> Decimal:
    """A cost in our currency, half-even to eight places."""
    return round8(_EXACT.multiply(cost, exchange_rate))


def margin_percent(price: Decimal, cost: Decimal) -> Decimal:
    """(price − cost) / price in percent; of what is given away it is 0 without a cost, else −100."""
    if price == 0:
        return Decimal(0) if cost == 0 else -_HUNDRED
    return _EXACT.multiply(_EXACT.divide(_EXACT.subtract(price, cost), price), _HUNDRED)


def rounded_margin(price: Decimal, cost: Decimal) -> Decimal:
    """The same to two places, however far the price is below the cost."""
    return margin_percent(price, cost).quantize(Decimal("0.01"), context=_EXACT)


def moves_beyond(before: Decimal, after: Decimal, percent: Decimal) -> bool:
    """Whether a cost goes up or down by more than the percentage of what it was, or to nothing."""
    if after == 0 < before:
        return True
    return _EXACT.multiply(abs(_EXACT.subtract(after, before)), _HUNDRED) > _EXACT.multiply(before, percent)


def change_percent(before: Decimal, after: Decimal) -> Decimal | None:
    """By how much a cost goes up, below zero down; None where it was nothing."""
    if before == 0:
        return None
    return _EXACT.multiply(_EXACT.divide(_EXACT.subtract(after, before), before), _HUNDRED)


class CustomPrice(msgspec.Struct, frozen=True):
    """Of one user: a price, or a percentage that is added to the price for all (below zero: taken off)."""

    price: Decimal | None = None
    percent: Decimal | None = None

    def of(self, rate: Decimal) -> Decimal:
        if self.price is not None:
            return self.price
        factor = _EXACT.divide(_EXACT.add(_HUNDRED, self.percent or Decimal(0)), _HUNDRED)
        return round8(_EXACT.multiply(rate, factor))


class Tariff(msgspec.Struct, frozen=True):
    """All custom prices of one user: on single services, in the order of their ids, and on all others.

    Users whose tariffs are equal form a price group: they see the same list.
    """

    services: tuple[tuple[UUID, CustomPrice], ...] = ()
    others: CustomPrice | None = None

    def rate_of(self, service_id: UUID, rate: Decimal) -> Decimal:
        """The user's price of a service whose price for all is `rate`."""
        place = bisect_left(self.services, service_id, key=itemgetter(0))
        found = place < len(self.services) and self.services[place][0] == service_id
        custom = self.services[place][1] if found else self.others
        return custom.of(rate) if custom else rate
