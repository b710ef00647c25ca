"""Which route comes next, and why the others do not."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from compat.kinds import Kind
from gateway.catalog.model import Route
from gateway.dispatch.routing import NOT_SENT_TRIES, Past, choose_route, is_route_left
from gateway.orders.model import Order
from tests.unit.dispatch.test_dispatch_model import NORTH, SERVICE, order_of

SOUTH = UUID(int=11)
BOTH = {NORTH: 5, SOUTH: 5}
LATER = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ORDER = order_of()
NOTHING = Past()


def route(number: int, provider: UUID = NORTH, *, priority: int = 0, cost: str = "1", **more: Any) -> Route:
    return Route(
        id=UUID(int=100 + number),
        service_id=SERVICE,
        provider_id=provider,
        provider_name="North" if provider == NORTH else "South",
        provider_service_id=str(number),
        cost_per_1000=Decimal(cost),
        priority=priority,
        weight=more.pop("weight", 1),
        **more,
    )


def taken(
    *routes: Route, past: Past = NOTHING, ready: Any = BOTH, order: Order = ORDER, kind: Kind = Kind.DEFAULT
) -> Route | None:
    return choose_route(order, kind, routes, past, ready)[0]


def reasons(
    *routes: Route, past: Past = NOTHING, ready: Any = BOTH, order: Order = ORDER, kind: Kind = Kind.DEFAULT
) -> list[str | None]:
    return [verdict.why_not for verdict in choose_route(order, kind, routes, past, ready)[1]]


def test_the_route_of_highest_priority_is_taken() -> None:
    low, high = route(1, cost="0.5"), route(2, priority=3, cost="9")
    assert taken(low, high) is high
    assert reasons(low, high) == ["another has a higher priority, or is cheaper", None]


def test_of_equal_routes_the_cheapest_is_taken() -> None:
    dear, cheap = route(1, cost="2"), route(2, cost="1.99999999")
    assert taken(dear, cheap) is cheap


def test_the_cheapest_is_told_in_our_currency() -> None:
    here = route(1, cost="1", priority=9, policy="cheapest")
    there = route(2, SOUTH, cost="90", policy="cheapest", exchange_rate=Decimal("0.0107"))
    assert taken(here, there) is there
    assert reasons(here, there) == ["another is cheaper", None]


def test_by_weight_each_order_has_one_place_and_all_get_their_share() -> None:
    routes = [route(1, weight=1, policy="weighted"), route(2, SOUTH, weight=3, policy="weighted")]
    orders = [msgspec.structs.replace(ORDER, id=uuid7()) for _ in range(2000)]
    drawn = [taken(*routes, order=order) for order in orders]
    assert drawn == [taken(*reversed(routes), order=order) for order in orders]
    shares = Counter(found.id for found in drawn if found)
    assert 0.68 < shares[routes[1].id] / len(orders) < 0.82


def test_a_route_that_refused_the_order_is_not_taken_again() -> None:
    first, second = route(1, priority=1), route(2)
    past = Past(refused={first.id})
    assert taken(first, second, past=past) is second
    assert taken(first, past=past) is None
    assert reasons(first, second, past=past) == ["it refused this order", None]


def test_what_rests_and_what_is_not_reached_is_passed_over() -> None:
    paused = route(1, priority=2, paused_until=LATER, paused_reason="no funds")
    away, here = route(2, SOUTH, priority=1), route(3)
    assert taken(paused, away, here, ready={NORTH: 1}) is here
    assert taken(paused, away, ready={NORTH: 1}) is None
    assert reasons(paused, away, here, ready={NORTH: 1}) == [
        "it rests until 2030-01-02 03:04:05 UTC: no funds",
        "its provider is not reached at present",
        None,
    ]


def test_what_cannot_be_bought_from_says_why() -> None:
    assert reasons(route(1, off="its provider does not list it")) == ["its provider does not list it"]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"min_quantity": 501}, "it takes 501 at the least"),
        ({"max_quantity": 499}, "it takes 499 at the most"),
        ({"min_quantity": 500, "max_quantity": 500}, None),
    ],
)
def test_an_order_outside_a_routes_limits_does_not_go_there(limits: dict[str, int], why: str | None) -> None:
    assert reasons(route(1, **limits), order=order_of(quantity=500)) == [why]


def test_a_drip_feed_goes_only_where_there_is_one_and_its_runs_are_what_is_limited() -> None:
    order = order_of(quantity=1000, details={"runs": "10", "interval": "5"})
    assert reasons(route(1), order=order) == ["it has no drip-feed"]
    assert reasons(route(1, dripfeed=True, max_quantity=100), order=order) == [None]


def test_the_posts_of_a_subscription_are_what_is_limited() -> None:
    order = order_of(quantity=900, details={"username": "a", "min": "100", "max": "300", "posts": "3"})
    assert reasons(route(1, min_quantity=50, max_quantity=300), order=order, kind=Kind.SUBSCRIPTIONS) == [None]
    assert reasons(route(1, max_quantity=299), order=order, kind=Kind.SUBSCRIPTIONS) == ["it takes 299 at the most"]


def test_a_route_that_was_out_of_reach_too_often_steps_behind_the_others() -> None:
    first, second = route(1, priority=9), route(2, SOUTH)
    assert taken(first, second, past=Past(not_sent={first.id: NOT_SENT_TRIES - 1})) is first
    tried = Past(not_sent={first.id: NOT_SENT_TRIES})
    assert taken(first, second, past=tried) is second
    assert reasons(first, second, past=tried)[0] == "it could not be reached several times, another goes first"
    both = Past(not_sent={first.id: NOT_SENT_TRIES, second.id: NOT_SENT_TRIES})
    assert taken(first, second, past=both) is first


def test_a_lone_route_out_of_reach_is_tried_on() -> None:
    only = route(1)
    assert taken(only, past=Past(not_sent={only.id: 100})) is only


def left(*routes: Route, past: Past = NOTHING) -> bool:
    return is_route_left(ORDER, Kind.DEFAULT, routes, past)


def test_a_route_at_rest_is_still_one_that_is_left() -> None:
    refusing, paused = route(1), route(2, paused_until=LATER)
    assert left(refusing, paused, past=Past({refusing.id}))


def test_a_route_that_is_off_or_does_not_fit_is_not_left() -> None:
    refusing = route(1)
    past = Past({refusing.id})
    assert not left(refusing, route(2, off="it is switched off"), past=past)
    assert not left(refusing, route(2, max_quantity=1), past=past)


def test_no_route_is_left_once_each_has_refused() -> None:
    first, second = route(1), route(2)
    assert not left(first, second, past=Past({first.id, second.id}))
    assert not left()
