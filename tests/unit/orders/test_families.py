"""What becomes of parents, decided by values alone."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.drafts import Draft
from compat.kinds import Kind
from compat.status import SubscriptionWord, UpstreamStatus, parse_status
from compat.wire import UpstreamReport
from gateway.orders.families.model import (
    OPEN,
    Children,
    Family,
    Mode,
    State,
    child_of,
    family_of,
    follow,
    rule,
    shown_subscription,
)
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.triggers import CancelWanted, ChildChanged, Reported
from gateway.tracking.reports import quantity_of

PARENT = Order(
    id=UUID(int=1),
    number=100_001,
    user_id=UUID(int=2),
    service_id=UUID(int=3),
    provider_id=UUID(int=4),
    external_order_id="p1",
    link="https://example.com/p/1",
    quantity=30,
    price=Decimal(3),
    currency="USD",
    charge=Decimal(0),
    status=Status.PROCESSING,
    dispatch=Dispatch.ACCEPTED,
    upstream_status=None,
    start_count=None,
    remains=30,
    details={"runs": "3", "interval": "60", "country": "DE"},
    is_parent=True,
)
FAMILY = Family(PARENT.id, Mode.UPSTREAM, 3, 10, Decimal(1), 60, 3, started=1)
SUBSCRIPTION = Family(PARENT.id, Mode.SUBSCRIPTION, 3, 10, Decimal(1), None, 3, started=1)


def reported(word: str) -> Reported:
    return Reported(word, parse_status(word), 0)


@pytest.mark.parametrize(("kind", "draft", "native", "mode", "held"), [
    (Kind.DEFAULT, Draft("l", 10, {}), True, None, 0),
    (Kind.DEFAULT, Draft("l", 10, {}, 3, 60), True, Mode.UPSTREAM, 3),
    (Kind.WEB_TRAFFIC, Draft("l", 10, {}, 3, 60), False, Mode.OWN, 3),
    (Kind.SUBSCRIPTIONS, Draft("u", 10, {}, 4, least=1), False, Mode.SUBSCRIPTION, 4),
    (Kind.SUBSCRIPTIONS, Draft("u", 10, {}, 1, least=1), False, Mode.SUBSCRIPTION, 1),
    (Kind.SUBSCRIPTIONS, Draft("u", 10, {}, None, least=1), False, Mode.SUBSCRIPTION, 10),
])  # fmt: skip
def test_who_runs_it_is_decided_at_placement(
    kind: Kind, draft: Draft, native: bool, mode: Mode | None, held: int
) -> None:
    family = family_of(PARENT.id, kind, draft, Decimal(1), native=native)
    assert (family and family.mode, family.held if family else 0) == (mode, held)


def test_a_run_is_an_order_of_its_own_with_a_share_of_the_price() -> None:
    child = child_of(PARENT, FAMILY, UUID(int=9), 7)
    assert (child.price, child.quantity, child.parent_id, child.is_parent) == (Decimal("0.7"), 7, PARENT.id, False)
    assert (child.status, child.dispatch, child.details) == (Status.PENDING, Dispatch.QUEUED, {"country": "DE"})


@pytest.mark.parametrize("word", ["Completed", "Partial", "Canceled", "Expired", "Refunded", "Failed"])
@pytest.mark.parametrize("family", [FAMILY, SUBSCRIPTION])
def test_the_last_word_resolves_what_no_run_has_once(family: Family, word: str) -> None:
    ruling = rule(family, reported(word))
    assert [move.amount for move in ruling.moves] == [Decimal(2)]
    delivered = word == "Completed" and family.mode is Mode.UPSTREAM
    assert ruling.moves[0].type == ("withdraw" if delivered else "release")
    assert ruling.family.state not in OPEN
    again = rule(ruling.family, reported("Completed"))
    assert (again.family, again.moves) == (ruling.family, ())
    assert rule(ruling.family, CancelWanted()).moves == ()


@pytest.mark.parametrize(("word", "state"), [("Active", State.ACTIVE), ("Paused", State.PAUSED)])
def test_words_on_the_way_move_no_money(word: str, state: State) -> None:
    ruling = rule(SUBSCRIPTION, reported(word))
    assert (ruling.family.state, ruling.moves) == (state, ())
    assert rule(SUBSCRIPTION, ChildChanged()).family == SUBSCRIPTION


@given(
    st.lists(st.tuples(st.sampled_from(["open", "done", "half", "none"])), max_size=3),
    st.sampled_from(list(State)),
)
def test_a_parent_ends_exactly_when_nothing_can_come(kinds: list[tuple[str]], state: State) -> None:
    words = [word for (word,) in kinds]
    delivered = {"open": 0, "done": 10, "half": 5, "none": 0}
    children = Children(
        count=len(words),
        open=words.count("open"),
        sent=len(words),
        quantity=10 * len(words),
        delivered=sum(delivered[word] for word in words),
        charge=sum((Decimal(delivered[word]) / 10 for word in words), Decimal(0)),
    )
    family = Family(PARENT.id, Mode.OWN, 3, 10, Decimal(1), 60, 3, started=len(words), state=state)
    after = follow(PARENT, family, children).order
    ended = state not in OPEN and "open" not in words
    assert (after.status is not Status.PROCESSING) == ended
    assert after.charge == children.charge <= PARENT.price
    assert 0 <= (after.remains or 0) <= PARENT.quantity
    if ended:
        assert (after.status is Status.CANCELLED) == (children.delivered == 0)
        assert (after.status is Status.COMPLETED) == (children.delivered == 30)


@pytest.mark.parametrize(("family", "report", "cost", "quantity"), [
    (FAMILY, UpstreamReport(quantity=3), None, 10),
    (SUBSCRIPTION, UpstreamReport(quantity=3), None, 3),
    (SUBSCRIPTION, UpstreamReport(quantity=11), None, 10),
    (SUBSCRIPTION, UpstreamReport(charge=Decimal("0.35")), Decimal("0.5"), 7),
    (SUBSCRIPTION, UpstreamReport(charge=Decimal("0.35"), status=UpstreamStatus.PARTIAL), Decimal("0.5"), 10),
    (SUBSCRIPTION, UpstreamReport(charge=Decimal(9)), Decimal("0.5"), 10),
    (SUBSCRIPTION, UpstreamReport(charge=Decimal(0)), Decimal("0.5"), 10),
    (SUBSCRIPTION, UpstreamReport(charge=Decimal("0.35")), Decimal(0), 10),
])  # fmt: skip
def test_how_large_a_run_is_that_an_upstream_began(
    family: Family, report: UpstreamReport, cost: Decimal | None, quantity: int
) -> None:
    assert quantity_of(family, report, cost) == quantity


def test_a_subscription_shows_its_own_words() -> None:
    assert shown_subscription(PARENT, SUBSCRIPTION) is SubscriptionWord.ACTIVE
    refused = Order(**{name: getattr(PARENT, name) for name in PARENT.__struct_fields__} | {
        "dispatch": Dispatch.REFUSED, "status": Status.FAILED
    })  # fmt: skip
    assert shown_subscription(refused, SUBSCRIPTION) is SubscriptionWord.CANCELED
