"""Whether a refill may be asked for."""

from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from gateway.errors import OrderNotCompleted, RefillDisabled, RefillTooEarly
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.refills.model import Standing, refusal_of

DAY_S = 86_400.0
COMPLETED = Order(
    id=UUID(int=1),
    number=100_001,
    user_id=UUID(int=2),
    service_id=UUID(int=3),
    provider_id=UUID(int=4),
    external_order_id="77",
    link="https://example.com/p/1",
    quantity=10,
    price=Decimal(1),
    currency="USD",
    charge=Decimal(1),
    status=Status.COMPLETED,
    dispatch=Dispatch.ACCEPTED,
    upstream_status="Completed",
    start_count=None,
    remains=0,
    details={},
)
LONG_AGO = Standing(True, since_completed_s=DAY_S * 2)


def test_a_completed_order_of_a_service_with_refill_may_be_refilled_after_a_day() -> None:
    assert refusal_of(COMPLETED, LONG_AGO, DAY_S) is None
    assert refusal_of(COMPLETED, Standing(True, since_completed_s=DAY_S), DAY_S) is None


def test_a_service_without_refill_says_so_before_anything_else() -> None:
    pending = msgspec.structs.replace(COMPLETED, status=Status.PENDING)
    assert isinstance(refusal_of(pending, Standing(False), DAY_S), RefillDisabled)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETED])
def test_an_order_that_did_not_complete_is_not_refilled(status: Status) -> None:
    order = msgspec.structs.replace(COMPLETED, status=status)
    assert isinstance(refusal_of(order, LONG_AGO, DAY_S), OrderNotCompleted)


def test_a_parent_of_runs_is_not_refilled_itself() -> None:
    parent = msgspec.structs.replace(COMPLETED, is_parent=True)
    assert isinstance(refusal_of(parent, LONG_AGO, DAY_S), OrderNotCompleted)


@pytest.mark.parametrize(
    "standing",
    [
        Standing(True, since_completed_s=DAY_S - 1),
        Standing(True, since_completed_s=DAY_S * 9, since_asked_s=DAY_S - 1),
        Standing(True, since_completed_s=0.0, since_asked_s=DAY_S * 9),
    ],
)
def test_a_day_lies_between_completion_refill_and_refill(standing: Standing) -> None:
    assert isinstance(refusal_of(COMPLETED, standing, DAY_S), RefillTooEarly)


def test_without_a_wait_the_next_refill_may_follow_at_once() -> None:
    assert refusal_of(COMPLETED, Standing(True, since_completed_s=0.0, since_asked_s=0.0), 0) is None
