"""Which route comes next, how long an order rests, and what is recorded of an answer."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.errors import Fault
from compat.kinds import Kind
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown
from gateway.catalog.model import Route
from gateway.dispatch.model import (
    BACK_OFF_S_MAX,
    EVIDENCE_CHARS_MAX,
    NOT_SENT_TRIES,
    Attempt,
    Past,
    Record,
    back_off,
    choose_route,
    fields_of,
    is_route_left,
    record_of,
)
from gateway.orders.model import Dispatch, Order, Status

SERVICE = UUID(int=1)
NORTH, SOUTH = UUID(int=10), UUID(int=11)
BOTH = {NORTH: 5, SOUTH: 5}


def route(
    number: int,
    provider: UUID = NORTH,
    *,
    priority: int = 0,
    cost: str = "1",
    usable: bool = True,
    active: bool = True,
) -> Route:
    return Route(
        UUID(int=100 + number), SERVICE, provider, str(number), Decimal(cost), priority, 1, usable and active, active
    )


def order_of(*, quantity: int = 500, details: dict[str, str] | None = None) -> Order:
    return Order(
        id=UUID(int=2),
        number=100001,
        user_id=UUID(int=3),
        service_id=SERVICE,
        provider_id=NORTH,
        external_order_id=None,
        link="https://example.com/v/1",
        quantity=quantity,
        price=Decimal(1),
        currency="USD",
        charge=Decimal(0),
        status=Status.PENDING,
        dispatch=Dispatch.QUEUED,
        upstream_status=None,
        start_count=None,
        remains=None,
        details=details or {},
    )


def test_the_route_of_highest_priority_is_taken() -> None:
    low, high = route(1, cost="0.5"), route(2, priority=3, cost="9")
    assert choose_route([low, high], Past(), BOTH) is high


def test_of_equal_routes_the_cheapest_is_taken() -> None:
    dear, cheap = route(1, cost="2"), route(2, cost="1.99999999")
    assert choose_route([dear, cheap], Past(), BOTH) is cheap


def test_a_route_that_refused_the_order_is_not_taken_again() -> None:
    first, second = route(1, priority=1), route(2)
    assert choose_route([first, second], Past(refused={first.id}), BOTH) is second
    assert choose_route([first], Past(refused={first.id}), BOTH) is None


def test_a_paused_route_and_one_whose_provider_is_not_ready_are_passed_over() -> None:
    paused, away, here = route(1, priority=2, usable=False), route(2, SOUTH, priority=1), route(3)
    assert choose_route([paused, away, here], Past(), {NORTH: 1}) is here
    assert choose_route([paused, away], Past(), {NORTH: 1}) is None


def test_a_route_that_was_out_of_reach_too_often_steps_behind_the_others() -> None:
    first, second = route(1, priority=9), route(2, SOUTH)
    assert choose_route([first, second], Past(not_sent={first.id: NOT_SENT_TRIES - 1}), BOTH) is first
    assert choose_route([first, second], Past(not_sent={first.id: NOT_SENT_TRIES}), BOTH) is second
    both_tried = Past(not_sent={first.id: NOT_SENT_TRIES, second.id: NOT_SENT_TRIES})
    assert choose_route([first, second], both_tried, BOTH) is first


def test_a_lone_route_out_of_reach_is_tried_on() -> None:
    only = route(1)
    assert choose_route([only], Past(not_sent={only.id: 100}), BOTH) is only


def test_a_paused_route_is_still_one_that_is_left() -> None:
    refusing, paused = route(1), route(2, usable=False)
    assert is_route_left([refusing, paused], Past({refusing.id}))


def test_a_route_that_is_switched_off_is_not_left() -> None:
    refusing, off = route(1), route(2, active=False)
    assert not is_route_left([refusing, off], Past({refusing.id}))


def test_no_route_is_left_once_each_has_refused() -> None:
    first, second = route(1), route(2)
    assert not is_route_left([first, second], Past({first.id, second.id}))
    assert not is_route_left([], Past())


def test_an_order_rests_longer_each_time_until_five_minutes() -> None:
    assert [back_off(tries).total_seconds() for tries in (0, 1, 2, 3, 4)] == [1, 1, 2, 4, 8]
    assert back_off(10**6) == timedelta(seconds=BACK_OFF_S_MAX)


@given(st.integers(0, 10**9))
def test_a_rest_is_never_shorter_than_the_one_before(tries: int) -> None:
    assert back_off(tries) <= back_off(tries + 1) <= timedelta(seconds=BACK_OFF_S_MAX)


@pytest.mark.parametrize(
    ("outcome", "record"),
    [
        (Accepted("77"), Record("accepted", upstream_id="77")),
        (Refused(Fault.ORDER, "Bad link"), Record("refused", "Bad link", {"fault": "order"})),
        (Refused(Fault.PROVIDER, "No funds"), Record("refused", "No funds", {"fault": "provider"})),
        (Refused(Fault.PASSING, "Too many"), Record("not_sent", "Too many", {"fault": "passing"})),
        (NotSent("no such host"), Record("not_sent", "no such host")),
        (Unknown("timed out"), Record("unknown", "timed out")),
        (Unknown("HTTP 502", "<html>"), Record("unknown", "HTTP 502", {"answer": "<html>"})),
    ],
)
def test_each_outcome_is_recorded_as_what_it_is(outcome: AddOutcome, record: Record) -> None:
    assert record_of(outcome) == record


def test_evidence_is_kept_up_to_its_bound() -> None:
    evidence = record_of(Unknown("HTTP 500", "x" * 10_000)).evidence
    assert evidence == {"answer": "x" * EVIDENCE_CHARS_MAX}


def test_a_default_order_sends_its_link_and_quantity() -> None:
    assert fields_of(order_of(), Kind.DEFAULT) == {"link": "https://example.com/v/1", "quantity": "500"}


def test_a_package_sends_no_quantity_and_comments_send_their_lines() -> None:
    assert fields_of(order_of(quantity=1), Kind.PACKAGE) == {"link": "https://example.com/v/1"}
    comments = order_of(quantity=2, details={"comments": "one\ntwo"})
    assert fields_of(comments, Kind.CUSTOM_COMMENTS) == {
        "link": "https://example.com/v/1",
        "comments": "one\ntwo",
    }


def test_the_expected_cost_follows_the_routes_price() -> None:
    by_quantity = Attempt(UUID(int=5), order_of(), Kind.DEFAULT, route(1, cost="0.3"))
    a_package = Attempt(UUID(int=5), order_of(quantity=1), Kind.PACKAGE, route(1, cost="0.3"))
    assert (by_quantity.cost, a_package.cost) == (Decimal("0.15"), Decimal("0.3"))
