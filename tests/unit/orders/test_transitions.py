"""The table of transitions, row by row."""

from decimal import Decimal
from itertools import product

import msgspec
import pytest

from compat.status import UpstreamStatus
from gateway.ledger.model import EntryType
from gateway.orders.model import Dispatch, Move, Order, Status, Transition, charge_for, decide
from gateway.orders.triggers import (
    CancelWanted,
    Claimed,
    GaveUp,
    QueuedTooLong,
    Reported,
    Trigger,
    WasAccepted,
    WasNotPlaced,
    WasNotSent,
    WasRefused,
    WentUnknown,
    may_move_money,
)
from tests.support.order_states import (
    CANCELLED,
    COMPLETED,
    PARTIAL,
    PRICE,
    QUANTITY,
    REFUNDED,
    TRIGGERS,
    order_in,
    report,
)


def decided(order: Order, trigger: Trigger) -> Transition:
    transition = decide(order, trigger)
    assert transition is not None
    return transition


PRICE_OF_200, PRICE_OF_100 = charge_for(COMPLETED, 200), charge_for(COMPLETED, 100)

RELEASED = (Move(EntryType.RELEASE, PRICE),)
PENDING_ROWS = [
    ("1", Dispatch.QUEUED, Claimed(), Dispatch.SENDING, Status.PENDING, (), None, None),
    ("2", Dispatch.SENDING, WasNotSent(), Dispatch.QUEUED, Status.PENDING, (), None, None),
    ("3", Dispatch.SENDING, WasAccepted("77"), Dispatch.ACCEPTED, Status.PROCESSING, (), "order.processing", None),
    ("4", Dispatch.SENDING, WasRefused(requeue=True), Dispatch.QUEUED, Status.PENDING, (), None, None),
    ("5", Dispatch.SENDING, WasRefused(requeue=False), Dispatch.REFUSED, Status.FAILED, RELEASED, "order.failed", None),
    ("5a", Dispatch.QUEUED, QueuedTooLong(), Dispatch.REFUSED, Status.FAILED, RELEASED, "order.failed", None),
    ("6", Dispatch.SENDING, WentUnknown(), Dispatch.UNKNOWN, Status.PENDING, (), None, "unknown_order"),
    ("7", Dispatch.UNKNOWN, WasAccepted("77"), Dispatch.ACCEPTED, Status.PROCESSING, (), "order.processing", None),
    ("8", Dispatch.UNKNOWN, WasNotPlaced(), Dispatch.QUEUED, Status.PENDING, (), None, None),
    ("9", Dispatch.UNKNOWN, GaveUp(), Dispatch.WRITTEN_OFF, Status.CANCELLED, RELEASED, "order.cancelled", None),
    ("11", Dispatch.QUEUED, CancelWanted(), Dispatch.WITHDRAWN, Status.CANCELLED, RELEASED, "order.cancelled", None),
    ("12", Dispatch.SENDING, CancelWanted(), Dispatch.SENDING, Status.PENDING, (), None, None),
    ("12", Dispatch.UNKNOWN, CancelWanted(), Dispatch.UNKNOWN, Status.PENDING, (), None, None),
]


@pytest.mark.parametrize(
    ("row", "dispatch", "trigger", "to", "status", "moves", "event", "alert"),
    PENDING_ROWS,
    ids=[f"{row[0]}-{row[1]}" for row in PENDING_ROWS],
)
def test_each_row_before_an_upstream_has_the_order(
    row: str,
    dispatch: Dispatch,
    trigger: Trigger,
    to: Dispatch,
    status: Status,
    moves: tuple[Move, ...],
    event: str | None,
    alert: str | None,
) -> None:
    transition = decided(order_in(dispatch, Status.PENDING), trigger)
    assert (transition.row, transition.order.dispatch, transition.order.status) == (row, to, status)
    assert (transition.moves, transition.event, transition.alert) == (moves, event, alert)


def test_an_accepted_order_keeps_the_upstream_id_and_all_of_it_remains() -> None:
    after = decided(order_in(Dispatch.SENDING, Status.PENDING), WasAccepted("ab-9")).order
    assert (after.external_order_id, after.remains) == ("ab-9", QUANTITY)


def test_row_10_an_id_for_a_written_off_order_moves_nothing_and_alerts() -> None:
    order = order_in(Dispatch.WRITTEN_OFF, Status.CANCELLED)
    transition = decided(order, WasAccepted("77"))
    assert transition == Transition(row="10", order=order, alert="orphaned_upstream_order")


def test_row_20_the_wish_to_cancel_a_sent_order_moves_nothing() -> None:
    order = order_in(remains=40)
    assert decided(order, CancelWanted()) == Transition(row="20", order=order)


@pytest.mark.parametrize("order", [COMPLETED, PARTIAL, CANCELLED, REFUNDED])
def test_an_order_that_ended_is_not_cancelled(order: Order) -> None:
    assert decide(order, CancelWanted()) is None


ACCEPTED_STATUSES = (UpstreamStatus.PENDING, UpstreamStatus.PROCESSING, UpstreamStatus.IN_PROGRESS)


@pytest.mark.parametrize("status", ACCEPTED_STATUSES)
def test_row_13_progress_is_noted_and_moves_no_money(status: UpstreamStatus) -> None:
    told = Reported(word=status.value, status=status, remains=40, start_count=900)
    transition = decided(order_in(remains=QUANTITY), told)
    assert (transition.row, transition.moves, transition.event, transition.alert) == ("13", (), None, None)
    after = transition.order
    assert (after.status, after.remains, after.start_count) == (Status.PROCESSING, 40, 900)
    assert after.upstream_status == status.value


def test_progress_without_numbers_keeps_those_that_were_known() -> None:
    order = msgspec.structs.replace(order_in(remains=120), start_count=5)
    after = decided(order, report(UpstreamStatus.IN_PROGRESS)).order
    assert (after.remains, after.start_count) == (120, 5)


@pytest.mark.parametrize(
    "told",
    [report(UpstreamStatus.COMPLETED), report(UpstreamStatus.PARTIAL, 0), report(UpstreamStatus.PARTIAL, -5)],
)
def test_row_14_a_completed_order_is_withdrawn_whole(told: Reported) -> None:
    transition = decided(order_in(), told)
    assert (transition.row, transition.event) == ("14", "order.completed")
    assert transition.moves == (Move(EntryType.WITHDRAW, PRICE),)
    after = transition.order
    assert (after.dispatch, after.status, after.charge, after.remains) == (
        Dispatch.ACCEPTED,
        Status.COMPLETED,
        PRICE,
        0,
    )


def test_row_15_a_partial_order_releases_the_undelivered_share() -> None:
    transition = decided(order_in(), report(UpstreamStatus.PARTIAL, 100))
    charge = Decimal("0.66666667")
    assert (transition.row, transition.event) == ("15", "order.partial")
    assert transition.moves == (Move(EntryType.WITHDRAW, charge), Move(EntryType.RELEASE, PRICE - charge))
    after = transition.order
    assert (after.status, after.charge, after.remains) == (Status.PARTIAL, charge, 100)


@pytest.mark.parametrize(
    "told",
    [
        report(UpstreamStatus.CANCELED),
        report(UpstreamStatus.CANCELED, 100),
        report(UpstreamStatus.FAILED),
        report(UpstreamStatus.REFUNDED),
        report(UpstreamStatus.PARTIAL, QUANTITY),
        report(UpstreamStatus.PARTIAL, QUANTITY * 9),
    ],
)
def test_row_16_a_cancelled_order_is_released_whole(told: Reported) -> None:
    transition = decided(order_in(), told)
    assert (transition.row, transition.moves, transition.event) == ("16", RELEASED, "order.cancelled")
    after = transition.order
    assert (after.status, after.charge, after.remains) == (Status.CANCELLED, Decimal(0), QUANTITY)


@pytest.mark.parametrize(
    ("order", "told", "charge"),
    [
        (COMPLETED, report(UpstreamStatus.PARTIAL, 100), PRICE_OF_200),
        (COMPLETED, report(UpstreamStatus.CANCELED), Decimal(0)),
        (COMPLETED, report(UpstreamStatus.REFUNDED), Decimal(0)),
        (PARTIAL, report(UpstreamStatus.PARTIAL, 200), PRICE_OF_100),
        (PARTIAL, report(UpstreamStatus.CANCELED), Decimal(0)),
        (REFUNDED, report(UpstreamStatus.PARTIAL, 290), charge_for(COMPLETED, 10)),
        (REFUNDED, report(UpstreamStatus.REFUNDED), Decimal(0)),
    ],
)
def test_row_17_what_is_taken_back_later_is_refunded(order: Order, told: Reported, charge: Decimal) -> None:
    transition = decided(order, told)
    assert (transition.row, transition.event, transition.alert) == ("17", "order.refunded", "refunded_by_upstream")
    assert [(move.type, move.amount) for move in transition.moves] == [(EntryType.REFUND, order.charge - charge)]
    assert (transition.order.status, transition.order.charge) == (Status.REFUNDED, charge)


def test_each_refund_of_an_order_has_a_part_of_its_own() -> None:
    first = decided(COMPLETED, report(UpstreamStatus.PARTIAL, 100))
    second = decided(first.order, report(UpstreamStatus.PARTIAL, 200))
    assert first.moves[0].part != second.moves[0].part


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (COMPLETED, report(UpstreamStatus.COMPLETED)),
        (COMPLETED, report(UpstreamStatus.PARTIAL, 0)),
        (COMPLETED, report(UpstreamStatus.IN_PROGRESS, 100)),
        (PARTIAL, report(UpstreamStatus.PARTIAL, 100)),
        (PARTIAL, report(UpstreamStatus.PARTIAL, 20)),
        (CANCELLED, report(UpstreamStatus.CANCELED)),
        (CANCELLED, report(UpstreamStatus.REFUNDED)),
        (CANCELLED, report(UpstreamStatus.PARTIAL, 100)),
        (REFUNDED, report(UpstreamStatus.PARTIAL, 200)),
        (REFUNDED, report(UpstreamStatus.PARTIAL, 0)),
        (REFUNDED, report(UpstreamStatus.COMPLETED)),
    ],
)
def test_answers_after_the_end_that_take_nothing_back_do_nothing(order: Order, told: Reported) -> None:
    assert decide(order, told) is None


@pytest.mark.parametrize("order", [PARTIAL, CANCELLED])
def test_row_18_a_late_completion_charges_nobody_and_alerts(order: Order) -> None:
    transition = decided(order, report(UpstreamStatus.COMPLETED))
    assert (transition.row, transition.moves, transition.event) == ("18", (), None)
    assert transition.alert == "completed_after_end"
    assert (transition.order.status, transition.order.charge) == (order.status, order.charge)


@pytest.mark.parametrize("order", [order_in(), COMPLETED, PARTIAL, CANCELLED, REFUNDED])
@pytest.mark.parametrize(
    "told",
    [
        report(None),
        report(UpstreamStatus.PARTIAL),
        report(UpstreamStatus.COMPLETED, error="Incorrect order ID"),
        report(None, error="Incorrect order ID"),
    ],
)
def test_row_19_what_cannot_be_read_changes_nothing(order: Order, told: Reported) -> None:
    transition = decided(order, told)
    assert (transition.row, transition.moves, transition.event, transition.order) == ("19", (), None, order)


TABLED = {(dispatch, type(trigger)) for _, dispatch, trigger, *_ in PENDING_ROWS} | {
    (Dispatch.WRITTEN_OFF, WasAccepted),
    (Dispatch.ACCEPTED, Reported),
    (Dispatch.ACCEPTED, CancelWanted),
}


@pytest.mark.parametrize(
    ("dispatch", "trigger"),
    [pair for pair in product(Dispatch, TRIGGERS) if (pair[0], type(pair[1])) not in TABLED],
    ids=lambda value: value.value if isinstance(value, Dispatch) else type(value).__name__,
)
def test_whatever_is_not_in_the_table_does_nothing(dispatch: Dispatch, trigger: Trigger) -> None:
    for status in Status:
        assert decide(order_in(dispatch, status), trigger) is None


@pytest.mark.parametrize(("dispatch", "trigger"), list(product(Dispatch, TRIGGERS)))
def test_only_what_is_said_to_move_money_moves_it(dispatch: Dispatch, trigger: Trigger) -> None:
    moved = any(
        transition is not None and transition.moves
        for transition in (decide(order_in(dispatch, status, charge=PRICE), trigger) for status in Status)
    )
    assert may_move_money(trigger) or not moved
