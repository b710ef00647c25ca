"""The table of transitions, row by row, and what holds after any sequence of reports."""

from decimal import Decimal
from fractions import Fraction
from itertools import product
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.money import round8
from compat.status import PanelStatus, UpstreamStatus
from gateway.ledger.model import EntryType
from gateway.orders.model import TERMINAL, Dispatch, Move, Order, Status, Transition, charge_for, decide, price_of
from gateway.orders.settlement import is_news
from gateway.orders.shown import shown_charge, shown_remains, shown_status
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

PRICE = Decimal("1.00000001")
QUANTITY = 300


def order_in(
    dispatch: Dispatch = Dispatch.ACCEPTED,
    status: Status = Status.PROCESSING,
    *,
    charge: Decimal = Decimal(0),
    price: Decimal = PRICE,
    quantity: int = QUANTITY,
    remains: int | None = None,
    upstream_status: str | None = None,
) -> Order:
    return Order(
        id=UUID(int=1),
        number=100001,
        user_id=UUID(int=2),
        service_id=UUID(int=3),
        provider_id=UUID(int=4),
        external_order_id="77" if dispatch is Dispatch.ACCEPTED else None,
        link="https://example.com/v/1",
        quantity=quantity,
        price=price,
        currency="USD",
        charge=charge,
        status=status,
        dispatch=dispatch,
        upstream_status=upstream_status,
        start_count=None,
        remains=remains,
        details={},
    )


def report(status: UpstreamStatus | None, remains: int | None = None, *, error: str | None = None) -> Reported:
    return Reported(word=status.value if status else "Zzz", status=status, remains=remains, error=error)


def decided(order: Order, trigger: Trigger) -> Transition:
    transition = decide(order, trigger)
    assert transition is not None
    return transition


COMPLETED = order_in(status=Status.COMPLETED, charge=PRICE, remains=0)
PARTIAL = order_in(status=Status.PARTIAL, charge=charge_for(COMPLETED, 200), remains=100)
CANCELLED = order_in(status=Status.CANCELLED, remains=QUANTITY)
REFUNDED = order_in(status=Status.REFUNDED, charge=charge_for(COMPLETED, 100), remains=200)
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


TRIGGERS: tuple[Trigger, ...] = (
    CancelWanted(),
    Claimed(),
    WasNotSent(),
    WasAccepted("77"),
    WasRefused(requeue=True),
    WasRefused(requeue=False),
    WentUnknown(),
    QueuedTooLong(),
    WasNotPlaced(),
    GaveUp(),
    report(UpstreamStatus.COMPLETED),
    report(UpstreamStatus.PARTIAL, 10),
    report(UpstreamStatus.CANCELED),
    report(None),
)
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


# Any sequence of answers ---------------------------------------------------------------------

prices = st.decimals(min_value=0, max_value=Decimal(10) ** 12 - 1, places=8, allow_nan=False, allow_infinity=False)
reports = st.builds(
    Reported,
    word=st.text(max_size=60),
    status=st.none() | st.sampled_from(UpstreamStatus),
    remains=st.none() | st.integers(-(2**31), 2**31 - 1),
    start_count=st.none() | st.integers(0, 2**63 - 1),
    error=st.none() | st.none() | st.text(max_size=20),
)


class Books:
    """An order with the ledger rows that its transitions wrote."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.moves: list[Move] = []

    def apply(self, trigger: Trigger) -> Transition | None:
        transition = decide(self.order, trigger)
        if transition is not None:
            self.order = transition.order
            self.moves += transition.moves
        return transition

    def total(self, *types: EntryType) -> Decimal:
        return sum((move.amount for move in self.moves if move.type in types), Decimal(0))


def assert_books_are_right(books: Books) -> None:
    order = books.order
    held = order.price - books.total(EntryType.WITHDRAW, EntryType.RELEASE)
    assert held == (0 if order.status in TERMINAL else order.price)
    assert order.charge == books.total(EntryType.WITHDRAW) - books.total(EntryType.REFUND)
    assert 0 <= order.charge <= order.price
    assert all(move.amount >= 0 and move.amount == round8(move.amount) for move in books.moves)
    assert all(move.amount > 0 for move in books.moves if move.type is EntryType.REFUND)
    references = [(move.type, move.part) for move in books.moves]
    assert len(references) == len(set(references))
    assert order.remains is None or 0 <= order.remains <= order.quantity


@given(price=prices, quantity=st.integers(1, 2**31 - 1), told=st.lists(reports, max_size=12))
def test_any_sequence_of_reports_leaves_the_books_right(price: Decimal, quantity: int, told: list[Reported]) -> None:
    books = Books(order_in(price=price, quantity=quantity))
    charged: Decimal | None = None
    for one in told:
        books.apply(one)
        assert_books_are_right(books)
        if books.order.status in TERMINAL:
            assert charged is None or books.order.charge <= charged
            charged = books.order.charge


@given(price=prices, quantity=st.integers(1, 2**31 - 1), told=st.lists(reports, max_size=8), last=reports)
def test_the_same_answer_again_writes_nothing(
    price: Decimal, quantity: int, told: list[Reported], last: Reported
) -> None:
    books = Books(order_in(price=price, quantity=quantity))
    for one in [*told, last]:
        books.apply(one)
    before, booked = books.order, len(books.moves)
    again = books.apply(last)
    assert (books.order, len(books.moves)) == (before, booked)
    assert again is None or again.event is None


@given(delivered=st.lists(st.integers(0, 1000), min_size=2, max_size=6), price=prices)
def test_what_is_charged_in_the_end_is_the_price_of_the_least_ever_delivered(
    delivered: list[int], price: Decimal
) -> None:
    books = Books(order_in(price=price, quantity=1000))
    for count in delivered:
        books.apply(report(UpstreamStatus.PARTIAL, 1000 - count))
    least = delivered[0] if delivered[0] == 0 else min(delivered)
    assert books.order.charge == charge_for(books.order, least)


@given(
    triggers=st.lists(
        st.sampled_from([trigger for trigger in TRIGGERS if not isinstance(trigger, Reported)]) | reports,
        max_size=15,
    )
)
def test_any_life_resolves_the_hold_at_most_once(triggers: list[Trigger]) -> None:
    books = Books(order_in(Dispatch.QUEUED, Status.PENDING))
    for trigger in triggers:
        books.apply(trigger)
        assert_books_are_right(books)


# What is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "status", "charge", "remains"),
    [
        (order_in(Dispatch.QUEUED, Status.PENDING), PanelStatus.PENDING, PRICE, QUANTITY),
        (order_in(Dispatch.UNKNOWN, Status.PENDING), PanelStatus.PENDING, PRICE, QUANTITY),
        (order_in(remains=40), PanelStatus.PROCESSING, PRICE, 40),
        (order_in(upstream_status="Pending"), PanelStatus.PROCESSING, PRICE, QUANTITY),
        (order_in(upstream_status="In progress", remains=9), PanelStatus.IN_PROGRESS, PRICE, 9),
        (COMPLETED, PanelStatus.COMPLETED, PRICE, 0),
        (PARTIAL, PanelStatus.PARTIAL, PARTIAL.charge, 100),
        (CANCELLED, PanelStatus.CANCELED, Decimal(0), QUANTITY),
        (order_in(Dispatch.REFUSED, Status.FAILED), PanelStatus.CANCELED, Decimal(0), QUANTITY),
        (order_in(Dispatch.WRITTEN_OFF, Status.CANCELLED), PanelStatus.CANCELED, Decimal(0), QUANTITY),
        (REFUNDED, PanelStatus.PARTIAL, REFUNDED.charge, 200),
        (order_in(status=Status.REFUNDED, remains=QUANTITY), PanelStatus.CANCELED, Decimal(0), QUANTITY),
    ],
)
def test_the_panel_shows_each_order_in_its_words(
    order: Order, status: PanelStatus, charge: Decimal, remains: int
) -> None:
    assert (shown_status(order), shown_charge(order), shown_remains(order)) == (status, charge, remains)


@pytest.mark.parametrize(
    ("rate", "quantity", "package", "price"),
    [
        ("0.004", 1, False, "0.000004"),
        ("0.00000001", 500, False, "0"),
        ("0.00000001", 1500, False, "0.00000002"),
        ("0.00000003", 500, False, "0.00000002"),
        ("2.5", 1000, False, "2.5"),
        ("2.5", 1, True, "2.5"),
    ],
)
def test_a_price_is_rounded_half_even_to_eight_places(rate: str, quantity: int, package: bool, price: str) -> None:
    assert price_of(Decimal(rate), quantity, package=package) == Decimal(price)


@given(price=prices.filter(lambda price: price < 10**9), quantity=st.integers(1, 2**31 - 1), data=st.data())
def test_a_share_is_the_exact_ratio_rounded_once(price: Decimal, quantity: int, data: st.DataObject) -> None:
    delivered = data.draw(st.integers(0, quantity))
    share = charge_for(order_in(price=price, quantity=quantity), delivered)
    assert Fraction(share) == Fraction(round(Fraction(price) * 10**8 * delivered / quantity), 10**8)


@pytest.mark.parametrize("status", [Status.PROCESSING, *sorted(TERMINAL)])
@pytest.mark.parametrize("word", [*UpstreamStatus, None])
@pytest.mark.parametrize("remains", [None, 0, 120, QUANTITY])
def test_a_report_is_news_unless_the_table_leaves_the_order_as_it_is(
    status: Status, word: UpstreamStatus | None, remains: int | None
) -> None:
    order = order_in(Dispatch.ACCEPTED, status, charge=PRICE if status is Status.COMPLETED else Decimal(0), remains=120)
    report = Reported(word or "gibberish", word, remains)
    transition = decide(order, report)
    expected = transition is not None and (
        transition.row == "19" or transition.order != order or transition.moves != ()
    )
    assert is_news(order, report) is expected


def test_a_charge_that_is_not_known_yet_is_news() -> None:
    order = order_in(Dispatch.ACCEPTED, Status.PROCESSING, remains=120, upstream_status="inprogress")
    same = Reported("inprogress", UpstreamStatus.IN_PROGRESS, 120)
    assert not is_news(order, same)
    assert is_news(order, msgspec.structs.replace(same, charge=Decimal("0.05")))
    assert is_news(order, msgspec.structs.replace(same, remains=119))
    assert is_news(msgspec.structs.replace(order, check_failures=1), same)
