"""What holds after any sequence of reports and triggers."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from compat.money import round8
from compat.status import UpstreamStatus
from gateway.ledger.model import EntryType
from gateway.orders.model import TERMINAL, Dispatch, Move, Order, Status, Transition, charge_for, decide
from gateway.orders.triggers import Reported, Trigger
from tests.support.order_states import TRIGGERS, order_in, prices, report, reports


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
