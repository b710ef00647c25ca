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
    Attempt,
    Record,
    back_off,
    fields_of,
    record_of,
)
from gateway.orders.model import Dispatch, Order, Status

SERVICE = UUID(int=1)
NORTH = UUID(int=10)


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


def route(cost: str) -> Route:
    return Route(
        id=UUID(int=101),
        service_id=SERVICE,
        provider_id=NORTH,
        provider_name="North",
        provider_service_id="1",
        cost_per_1000=Decimal(cost),
        priority=0,
        weight=1,
    )


def test_the_expected_cost_follows_the_routes_price() -> None:
    by_quantity = Attempt(UUID(int=5), order_of(), Kind.DEFAULT, route("0.3"))
    a_package = Attempt(UUID(int=5), order_of(quantity=1), Kind.PACKAGE, route("0.3"))
    assert (by_quantity.cost, a_package.cost) == (Decimal("0.15"), Decimal("0.3"))
