"""What is done about a wish to cancel, as its order stands."""

from uuid import UUID

import pytest

from gateway.orders.cancels.model import Drop, Forward, Orphan, Step, Wait, Wish, Withdraw, step_of
from gateway.orders.model import Dispatch, Status

PROVIDER, OTHER = UUID(int=4), UUID(int=5)


def wish(dispatch: Dispatch, status: Status, *, orphan: Orphan | None = None, tries: int = 0) -> Wish:
    upstream_id = "77" if dispatch is Dispatch.ACCEPTED else None
    return Wish(UUID(int=1), 100_001, dispatch, status, PROVIDER, upstream_id, orphan, tries)


@pytest.mark.parametrize(
    ("dispatch", "status", "step"),
    [
        (Dispatch.QUEUED, Status.PENDING, Withdraw()),
        (Dispatch.PARENT, Status.PENDING, Withdraw()),
        (Dispatch.PARENT, Status.PROCESSING, Withdraw()),
        (Dispatch.SENDING, Status.PENDING, Wait()),
        (Dispatch.UNKNOWN, Status.PENDING, Wait()),
        (Dispatch.ACCEPTED, Status.PROCESSING, Forward(PROVIDER, "77")),
        (Dispatch.ACCEPTED, Status.COMPLETED, Drop()),
        (Dispatch.ACCEPTED, Status.PARTIAL, Drop()),
        (Dispatch.REFUSED, Status.FAILED, Drop()),
        (Dispatch.WITHDRAWN, Status.CANCELLED, Drop()),
        (Dispatch.WRITTEN_OFF, Status.CANCELLED, Drop()),
        (Dispatch.PARENT, Status.COMPLETED, Drop()),
    ],
)
def test_each_standing_of_an_order_has_its_step(dispatch: Dispatch, status: Status, step: Step) -> None:
    assert step_of(wish(dispatch, status)) == step


def test_an_orphan_is_cancelled_where_it_turned_up() -> None:
    orphan = Orphan(OTHER, "88")
    assert step_of(wish(Dispatch.WRITTEN_OFF, Status.CANCELLED, orphan=orphan)) == Forward(OTHER, "88")


@pytest.mark.parametrize("dispatch", Dispatch)
@pytest.mark.parametrize("status", Status)
def test_only_an_order_that_is_not_sent_is_withdrawn_and_only_an_open_one_forwarded(
    dispatch: Dispatch, status: Status
) -> None:
    step = step_of(wish(dispatch, status))
    if isinstance(step, Withdraw):
        assert dispatch in (Dispatch.QUEUED, Dispatch.PARENT)
    if isinstance(step, Forward):
        assert (dispatch, status) == (Dispatch.ACCEPTED, Status.PROCESSING)
