"""What events say: their forms follow the states, and their schemas refuse what is none."""

import jsonschema_rs
import pytest

from gateway.events.payloads import FORMS, ORDER_STATUSES, REFILL_STATES
from gateway.orders.model import Status
from gateway.orders.refills.model import State
from tests.support.payloads import check

MESSAGE = {
    "id": "01932c07-0000-7000-8000-000000000000",
    "type": "key.created",
    "version": 1,
    "sequence": 1,
    "timestamp": "2026-11-26T12:00:00Z",
    "object": {"type": "key", "id": "01932c06-0000-7000-8000-000000000000"},
    "data": {"name": "shop"},
}


def test_the_states_that_are_told_are_those_there_are() -> None:
    assert sorted(ORDER_STATUSES) == sorted(Status)
    assert sorted(REFILL_STATES) == sorted(set(State) - {State.UNKNOWN})


def test_a_message_fits_its_schema() -> None:
    check(MESSAGE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"sequence": 0},
        {"timestamp": "yesterday"},
        {"object": {"type": "order", "id": MESSAGE["id"]}},
        {"data": {}},
        {"data": {"name": "shop", "secret": "s"}},
        {"type": "order.created"},
    ],
)
def test_a_message_that_is_otherwise_does_not(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        check(MESSAGE | wrong)


def test_each_type_has_a_family_and_a_form() -> None:
    assert {kind.partition(".")[0] for kind in FORMS} == {"order", "refill", "balance", "service", "key", "webhook"}
