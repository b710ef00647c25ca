"""Which status goes with which dispatch: what the transitions can make, and nothing that they cannot leave."""

from decimal import Decimal
from itertools import product

import msgspec
import pytest

from compat.status import UpstreamStatus
from gateway.orders.lists.model import STATUSES_OF, Wanted
from gateway.orders.model import Dispatch, Status, decide
from gateway.orders.triggers import (
    CancelWanted,
    Claimed,
    GaveUp,
    QueuedTooLong,
    RefundGiven,
    Reported,
    Trigger,
    WasAccepted,
    WasNotPlaced,
    WasNotSent,
    WasRefused,
    WentUnknown,
)
from tests.support.order_states import PRICE, QUANTITY, order_in

TRIGGERS: list[Trigger] = [
    CancelWanted(),
    Claimed(),
    GaveUp(),
    QueuedTooLong(),
    WasAccepted("77"),
    WasNotPlaced(),
    WasNotSent(),
    WasRefused(requeue=True),
    WasRefused(requeue=False),
    WentUnknown(),
    RefundGiven(Decimal("0.5"), "a reference"),
    *(Reported(status.value, status, remains) for status in UpstreamStatus for remains in (0, 100, QUANTITY, None)),
]
POSSIBLE = [(dispatch, status) for dispatch, statuses in STATUSES_OF.items() for status in Status if status in statuses]


@pytest.mark.parametrize(("dispatch", "status"), POSSIBLE)
def test_no_transition_leads_out_of_what_is_possible(dispatch: Dispatch, status: Status) -> None:
    for trigger, charge in product(TRIGGERS, (Decimal(0), PRICE)):
        transition = decide(order_in(dispatch, status, charge=charge, remains=100), trigger)
        if transition is not None:
            assert transition.order.status in STATUSES_OF[transition.order.dispatch], (trigger, transition.row)


def test_an_order_begins_in_what_is_possible_and_every_dispatch_is_told_of() -> None:
    assert set(STATUSES_OF) == set(Dispatch)
    assert Status.PENDING in STATUSES_OF[Dispatch.QUEUED] & STATUSES_OF[Dispatch.PARENT]


def test_only_both_together_are_impossible() -> None:
    both = Wanted(status="completed", dispatch="refused")
    assert both.is_impossible
    assert not msgspec.structs.replace(both, status=None).is_impossible
    assert not msgspec.structs.replace(both, dispatch=None).is_impossible
    assert not msgspec.structs.replace(both, status="failed").is_impossible


def test_a_dispatch_tells_the_status_where_it_has_but_one() -> None:
    told = {dispatch: Wanted(dispatch=dispatch.value).only_status for dispatch in Dispatch}
    assert {dispatch: [status] for dispatch, status in told.items() if status is not None} == {
        dispatch: [*statuses] for dispatch, statuses in STATUSES_OF.items() if len(statuses) == 1
    }
    assert Wanted(dispatch="accepted", status="completed").only_status == "completed"
    assert Wanted(user_id=None).only_status is None
