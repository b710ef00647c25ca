"""Which route an order takes next, and why each other one is not taken; pure."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from compat.kinds import RULES, Counting, Kind
from gateway.catalog.model import Route
from gateway.orders.model import Order

NOT_SENT_TRIES = 3
"""Tries on one route before it steps behind the others."""
_SPREAD = 2**32


class Past(msgspec.Struct, frozen=True):
    """What earlier attempts at one order came to, by route."""

    refused: Collection[UUID] = frozenset()
    not_sent: Mapping[UUID, int] = {}


class Verdict(msgspec.Struct, frozen=True):
    """What became of one route when it was considered; `why_not` is None for the one that is taken."""

    provider: str
    provider_service_id: str
    why_not: str | None


def choose_route(
    order: Order, kind: Kind, routes: Sequence[Route], past: Past, ready: Collection[UUID]
) -> tuple[Route | None, list[Verdict]]:
    """The route to take now, and the verdict on each, in the order of `routes`.

    Of the routes that can take the order, by the service's policy: the highest priority, the lowest
    cost in our currency, or one drawn by weight (the same for the same order and routes). One that
    could not be reached `NOT_SENT_TRIES` times steps behind the others.
    """
    reasons = [why_not(order, kind, route, past, ready) for route in routes]
    able = [route for route, reason in zip(routes, reasons, strict=True) if reason is None]
    taken = _first(order, able, past)
    return taken, [
        Verdict(
            route.provider_name,
            route.provider_service_id,
            None if route is taken else reason or _passed_over(route, past),
        )
        for route, reason in zip(routes, reasons, strict=True)
    ]


def why_not(order: Order, kind: Kind, route: Route, past: Past, ready: Collection[UUID]) -> str | None:
    """Why the order cannot go this way now; None where it can."""
    if route.off is not None:
        return route.off
    if (unfit := _unfit(order, kind, route)) is not None:
        return unfit
    if route.id in past.refused:
        return "it refused this order"
    if route.paused_until is not None:
        return f"it rests until {route.paused_until:%Y-%m-%d %H:%M:%S} UTC: {route.paused_reason or 'no reason given'}"
    if route.provider_id not in ready:
        return "its provider is not reached at present"
    return None


def is_route_left(order: Order, kind: Kind, routes: Sequence[Route], past: Past) -> bool:
    """Whether any route that fits the order has not refused it; paused ones count too."""
    return any(route.active and route.id not in past.refused and _unfit(order, kind, route) is None for route in routes)


def is_hopeless(order: Order, kind: Kind, routes: Sequence[Route], past: Past) -> bool:
    """Whether no route will ever take the order: each is unfit or has refused it, those that are off too."""
    return bool(routes) and all(route.id in past.refused or _unfit(order, kind, route) is not None for route in routes)


def _unfit(order: Order, kind: Kind, route: Route) -> str | None:
    """Why this route can never take the order."""
    runs = int(order.details.get("runs", "1"))
    if runs > 1 and RULES[kind].drips and not route.dripfeed:
        return "it has no drip-feed"
    if RULES[kind].counting is Counting.POSTS:
        least, most = int(order.details.get("min", "1")), int(order.details.get("max", "1"))
    else:
        least = most = order.quantity // runs
    if route.min_quantity is not None and least < route.min_quantity:
        return f"it takes {route.min_quantity} at the least"
    if route.max_quantity is not None and most > route.max_quantity:
        return f"it takes {route.max_quantity} at the most"
    return None


def _first(order: Order, able: Sequence[Route], past: Past) -> Route | None:
    if not able:
        return None
    tier = min(_tier(route, past) for route in able)
    able = [route for route in able if _tier(route, past) == tier]
    match able[0].policy:
        case "cheapest":
            return min(able, key=lambda route: (_cost(route), -route.priority, route.id))
        case "weighted":
            return _drawn(order, sorted(able, key=lambda route: route.id))
        case _:
            return min(able, key=lambda route: (-route.priority, _cost(route)))


def _tier(route: Route, past: Past) -> int:
    return past.not_sent.get(route.id, 0) // NOT_SENT_TRIES


def _cost(route: Route) -> object:
    return route.cost_per_1000 * route.exchange_rate


def _drawn(order: Order, routes: Sequence[Route]) -> Route:
    """By weight; the random bits of the order's id decide, so that planning twice says the same."""
    point = (order.id.int % _SPREAD) / _SPREAD * sum(route.weight for route in routes)
    for route in routes:
        point -= route.weight
        if point < 0:
            return route
    return routes[-1]


def _passed_over(route: Route, past: Past) -> str:
    if _tier(route, past):
        return "it could not be reached several times, another goes first"
    return {
        "cheapest": "another is cheaper",
        "weighted": "another was drawn",
    }.get(route.policy, "another has a higher priority, or is cheaper")
