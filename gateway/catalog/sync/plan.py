"""The difference between our rows and what an upstream offers; pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from compat.money import LIMIT, format_amount
from gateway.catalog.model import Offer, Terms
from gateway.catalog.prices.model import Pricing, moves_beyond

HALF = 2
"""A list is refused that offers less than one half of the routes which were listed before."""


class RouteTerms(msgspec.Struct, frozen=True):
    """What an upstream says of a route, so that no order goes there which it does not take."""

    min_quantity: int | None
    max_quantity: int | None
    dripfeed: bool
    refill: bool
    cancel: bool


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A route of the provider with its service, as they stand.

    `cost` is the one we buy at, `offered_cost` one that waits for an operator, both in the provider's
    currency. `terms` is None where the stored kind is not of the protocol. `hand_set` names the terms,
    or `price`, that an operator has set.
    """

    route_id: UUID
    service_id: UUID
    number: int
    provider_service_id: str
    cost: Decimal
    offered_cost: Decimal | None
    is_listed: bool
    is_source: bool
    route: RouteTerms
    terms: Terms | None
    price: Decimal
    below_floor: bool
    is_offered: bool = True
    hand_set: frozenset[str] = frozenset()


class Line(msgspec.Struct, frozen=True):
    """One difference, for people."""

    change: str
    upstream_id: str
    number: int | None
    name: str
    before: str = ""
    after: str = ""


class ServiceChange(msgspec.Struct, frozen=True):
    """A service as it is to be."""

    service_id: UUID
    terms: Terms
    price: Decimal
    below_floor: bool


class RouteChange(msgspec.Struct, frozen=True):
    """A route as it is to be."""

    route_id: UUID
    cost: Decimal
    offered_cost: Decimal | None
    is_listed: bool
    route: RouteTerms


class NewOffer(msgspec.Struct, frozen=True):
    """A service to be put on sale, or held back; one without a price is held, whoever lists it so by mistake."""

    offer: Offer
    price: Decimal
    below_floor: bool


class Plan(msgspec.Struct, frozen=True):
    """What is to be written so that our rows say what the upstream lists, and the same in words.

    `changed` counts rows of the upstream: one that is listed again counts, one that is gone does not.
    """

    new: list[NewOffer] = []
    services: list[ServiceChange] = []
    routes: list[RouteChange] = []
    gone: int = 0
    changed: int = 0
    quarantined: int = 0
    lines: list[Line] = []


def is_shrunk(imported: Iterable[Imported], offers: Mapping[str, Offer]) -> bool:
    """Whether less than half of what was listed is: more likely a fault of the upstream than its wish."""
    listed = [row.provider_service_id in offers for row in imported if row.is_listed]
    return sum(listed) * HALF < len(listed)


def make_plan(
    imported: Iterable[Imported], offers: Mapping[str, Offer], pricing: Pricing, guard_percent: Decimal
) -> Plan:
    """What has to change. A cost that moves by more than `guard_percent` waits for an operator."""
    new, services, routes, lines = [], [], [], []
    known: set[str] = set()
    gone = changed = quarantined = 0
    for row in imported:
        known.add(row.provider_service_id)
        offer = _fitting(row, offers.get(row.provider_service_id))
        route = _route_after(row, offer, guard_percent)
        service = _service_after(row, offer, route, pricing)
        found = [*_route_lines(row, route), *(_service_lines(row, service) if service else [])]
        if route != _route_before(row):
            routes.append(route)
        if service is not None:
            services.append(service)
        lines.extend(found)
        gone += row.is_listed and offer is None
        changed += offer is not None and bool(found)
        quarantined += route.offered_cost is not None and row.offered_cost is None
    for upstream_id, offer in offers.items():
        if upstream_id not in known:
            price = pricing.price_of(offer.cost, offer.terms.category, None)
            new.append(NewOffer(offer, price, pricing.is_below_floor(price, offer.cost)))
            change = "new" if price else "new, held: it costs nothing"
            lines.append(Line(change, upstream_id, None, offer.terms.name, "", format_amount(price)))
    return Plan(new, services, routes, gone, changed, quarantined, lines)


def keepable(imported: Iterable[Imported], offers: Mapping[str, Offer], pricing: Pricing) -> dict[str, Offer]:
    """Those whose price fits into a row, by the markup of the service that follows them where there is one."""
    sources = {row.provider_service_id: row for row in imported if row.is_source}
    kept = {}
    for upstream_id, offer in offers.items():
        row = sources.get(upstream_id)
        category = _kept(offer.terms, row).category if row else offer.terms.category
        if pricing.price_of(offer.cost, category, row.service_id if row else None) < LIMIT:
            kept[upstream_id] = offer
    return kept


def _follows_kind(row: Imported) -> bool:
    return row.is_source and not row.is_offered


def _route_before(row: Imported) -> RouteChange:
    return RouteChange(row.route_id, row.cost, row.offered_cost, row.is_listed, row.route)


def _fitting(row: Imported, offer: Offer | None) -> Offer | None:
    """The offer, if it is of the service's kind; else the route leads to something else than what is sold.

    A service takes over the kind of its source while an operator has it off offer: orders in the queue
    were placed by the other kind, at its prices.
    """
    if offer is None or row.terms is None or offer.terms.kind is row.terms.kind or _follows_kind(row):
        return offer
    return None


def _route_after(row: Imported, offer: Offer | None, guard_percent: Decimal) -> RouteChange:
    if offer is None:
        return RouteChange(row.route_id, row.cost, row.offered_cost, False, row.route)
    terms = offer.terms
    route = RouteTerms(terms.min_quantity, terms.max_quantity, terms.dripfeed, terms.refill, terms.cancel)
    if moves_beyond(row.cost, offer.cost, guard_percent):
        return RouteChange(row.route_id, row.cost, offer.cost, True, route)
    return RouteChange(row.route_id, offer.cost, None, True, route)


def _service_after(row: Imported, offer: Offer | None, route: RouteChange, pricing: Pricing) -> ServiceChange | None:
    """The service as its source has it, without what was set by hand; None where nothing changes."""
    if not row.is_source or offer is None:
        return None
    terms = _kept(offer.terms, row)
    price = row.price if "price" in row.hand_set else pricing.price_of(route.cost, terms.category, row.service_id)
    after = ServiceChange(row.service_id, terms, price, pricing.is_below_floor(price, route.cost))
    same = (terms, price, after.below_floor) == (row.terms, row.price, row.below_floor)
    return None if same else after


def _kept(terms: Terms, row: Imported) -> Terms:
    """The upstream's terms with those in place that an operator has set."""
    if not row.hand_set or row.terms is None:
        return terms
    by_hand: dict[str, Any] = {name: getattr(row.terms, name) for name in row.hand_set if hasattr(row.terms, name)}
    kept = msgspec.structs.replace(terms, **by_hand)
    return (
        kept
        if kept.min_quantity <= kept.max_quantity
        else msgspec.structs.replace(kept, min_quantity=row.terms.min_quantity, max_quantity=row.terms.max_quantity)
    )


def _route_lines(row: Imported, after: RouteChange) -> list[Line]:
    name = row.terms.name if row.terms else ""

    def line(change: str, before: str = "", later: str = "") -> Line:
        return Line(change, row.provider_service_id, row.number, name, before, later)

    lines = []
    if row.is_listed != after.is_listed:
        lines.append(line("back" if after.is_listed else "gone"))
    if after.offered_cost is not None and after.offered_cost != row.offered_cost:
        lines.append(line("quarantine", format_amount(row.cost), format_amount(after.offered_cost)))
    elif after.offered_cost is None and row.offered_cost is not None:
        lines.append(line("out of quarantine", format_amount(row.offered_cost), format_amount(after.cost)))
    if after.cost != row.cost:
        lines.append(line("cost", format_amount(row.cost), format_amount(after.cost)))
    if after.route != row.route and not row.is_source:
        lines.append(line("limits of the route"))
    return lines


def _service_lines(row: Imported, after: ServiceChange) -> list[Line]:
    def line(change: str, before: object, later: object) -> Line:
        return Line(change, row.provider_service_id, row.number, after.terms.name, str(before), str(later))

    lines = []
    if after.price != row.price:
        lines.append(line("price", format_amount(row.price), format_amount(after.price)))
    if after.below_floor != row.below_floor:
        lines.append(line("below the floor" if after.below_floor else "above the floor", "", ""))
    for name in Terms.__struct_fields__:
        before, later = getattr(row.terms, name, None), getattr(after.terms, name)
        if before != later:
            lines.append(line(name.replace("_", " "), before, later))
    return lines
