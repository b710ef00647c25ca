"""The difference between our rows and what an upstream offers."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from compat.kinds import Kind
from gateway.catalog.model import Offer, Terms
from gateway.catalog.prices.model import Markup, Pricing
from gateway.catalog.sync.plan import Imported, Plan, RouteTerms, is_shrunk, make_plan

TERMS = Terms("Likes", None, "Instagram", Kind.DEFAULT, 10, 1000, False, False, False)
OFFER = Offer("5", Decimal(1), TERMS)
PRICING = Pricing(Decimal(1), Markup(Decimal(25), Decimal(0)))
GUARD = Decimal(20)
ROW = Imported(
    route_id=uuid4(),
    service_id=uuid4(),
    number=1,
    provider_service_id="5",
    cost=Decimal("1.00000000"),
    offered_cost=None,
    is_listed=True,
    is_source=True,
    route=RouteTerms(10, 1000, False, False, False),
    terms=TERMS,
    price=Decimal("1.25"),
    below_floor=False,
)


def row(**changes: Any) -> Imported:
    return msgspec.structs.replace(ROW, **changes)


def at(cost: str, **terms: Any) -> Offer:
    return Offer("5", Decimal(cost), msgspec.structs.replace(TERMS, **terms))


def plan(imported: list[Imported], *offers: Offer, pricing: Pricing = PRICING) -> Plan:
    return make_plan(imported, {offer.provider_service_id: offer for offer in offers}, pricing, GUARD)


def changes(found: Plan) -> list[tuple[str, str, str]]:
    return [(line.change, line.before, line.after) for line in found.lines]


def test_the_same_again_is_no_change() -> None:
    assert plan([ROW], OFFER) == Plan()


def test_what_is_not_known_is_new_at_its_price() -> None:
    found = plan([], OFFER)
    assert [(new.offer, new.price, new.below_floor) for new in found.new] == [(OFFER, Decimal("1.25"), False)]
    assert changes(found) == [("new", "", "1.25")]


def test_a_cost_within_the_guard_moves_cost_and_price() -> None:
    found = plan([ROW], at("1.2"))
    assert [route.cost for route in found.routes] == [Decimal("1.2")]
    assert [service.price for service in found.services] == [Decimal("1.5")]
    assert changes(found) == [("cost", "1", "1.2"), ("price", "1.25", "1.5")]
    assert (found.changed, found.quarantined) == (1, 0)


@pytest.mark.parametrize("cost", ["1.20000001", "0.79999999", "3", "0"])
def test_a_cost_beyond_the_guard_waits_for_an_operator(cost: str) -> None:
    found = plan([ROW], at(cost))
    [route] = found.routes
    assert (route.cost, route.offered_cost) == (ROW.cost, Decimal(cost))
    assert found.services == []
    assert changes(found) == [("quarantine", "1", cost)]
    assert (found.changed, found.quarantined) == (1, 1)


def test_what_waits_goes_on_waiting_without_being_told_again() -> None:
    assert plan([row(offered_cost=Decimal(3))], at("3")) == Plan()
    assert changes(plan([row(offered_cost=Decimal(3))], at("4"))) == [("quarantine", "1", "4")]


def test_a_cost_that_came_back_ends_the_quarantine() -> None:
    found = plan([row(offered_cost=Decimal(3))], at("1.1"))
    [route] = found.routes
    assert (route.cost, route.offered_cost) == (Decimal("1.1"), None)
    assert changes(found)[0] == ("out of quarantine", "3", "1.1")


def test_terms_are_taken_over_while_a_cost_waits() -> None:
    found = plan([ROW], at("3", name="Hearts"))
    assert [(service.terms.name, service.price) for service in found.services] == [("Hearts", Decimal("1.25"))]


def test_what_was_free_and_is_not_any_more_waits() -> None:
    found = plan([row(cost=Decimal(0), price=Decimal(0))], at("0.01"))
    assert found.quarantined == 1


def test_what_is_gone_is_gone_once_and_comes_back_as_it_was() -> None:
    gone = plan([ROW])
    assert (gone.gone, [route.is_listed for route in gone.routes], gone.services) == (1, [False], [])
    assert plan([row(is_listed=False)]) == Plan()
    back = plan([row(is_listed=False)], OFFER)
    assert (changes(back), back.changed) == ([("back", "", "")], 1)
    assert [route.is_listed for route in back.routes] == [True]


def test_what_comes_back_at_another_price_waits() -> None:
    [route] = plan([row(is_listed=False)], at("2")).routes
    assert (route.is_listed, route.offered_cost) == (True, Decimal(2))


def test_what_is_set_by_hand_survives() -> None:
    by_hand = row(hand_set=frozenset({"name", "price", "min_quantity"}))
    found = plan([by_hand], at("1.1", name="Hearts", min_quantity=50, max_quantity=500))
    [service] = found.services
    assert (service.terms.name, service.price) == ("Likes", Decimal("1.25"))
    assert (service.terms.min_quantity, service.terms.max_quantity) == (10, 500)


def test_limits_set_by_hand_that_no_longer_fit_keep_both_ends() -> None:
    by_hand = row(hand_set=frozenset({"min_quantity"}), terms=msgspec.structs.replace(TERMS, min_quantity=600))
    found = plan([by_hand], at("1", max_quantity=500))
    assert all(service.terms.min_quantity <= service.terms.max_quantity for service in found.services)


def test_another_route_than_the_source_changes_nothing_but_itself() -> None:
    found = plan([row(is_source=False)], at("1.1", name="Hearts", max_quantity=500))
    assert found.services == []
    [route] = found.routes
    assert (route.cost, route.route.max_quantity) == (Decimal("1.1"), 500)


def test_a_stored_kind_that_is_not_of_the_protocol_is_replaced() -> None:
    [service] = plan([row(terms=None)], OFFER).services
    assert service.terms == TERMS


def test_below_the_floor_is_said_and_above_it_again_too() -> None:
    floored = msgspec.structs.replace(PRICING, floor_percent=Decimal(15))
    by_hand = row(hand_set=frozenset({"price"}))
    found = plan([by_hand], at("1.1"), pricing=floored)
    assert [service.below_floor for service in found.services] == [True]
    assert ("below the floor", "", "") in changes(found)
    back = plan([msgspec.structs.replace(by_hand, below_floor=True, cost=Decimal("1.1"))], at("1"), pricing=floored)
    assert [service.below_floor for service in back.services] == [False]


@pytest.mark.parametrize(
    ("listed", "left", "shrunk"), [(3, 1, True), (4, 2, False), (5, 2, True), (0, 0, False), (1, 0, True)]
)
def test_a_list_of_less_than_half_is_a_fault(listed: int, left: int, shrunk: bool) -> None:
    imported = [row(provider_service_id=str(number)) for number in range(listed)]
    offers = {str(number): OFFER for number in [*range(left), *range(100, 200)]}
    assert is_shrunk(imported, offers) is shrunk
    assert not is_shrunk([msgspec.structs.replace(one, is_listed=False) for one in imported], offers)


def test_a_new_service_that_costs_nothing_is_held() -> None:
    assert changes(plan([], at("0"))) == [("new, held: it costs nothing", "", "0")]


def test_another_kind_is_another_service_until_an_operator_takes_it_off_offer() -> None:
    package = at("1", kind=Kind.PACKAGE, min_quantity=1, max_quantity=1)
    sold = plan([ROW], package)
    assert ([route.is_listed for route in sold.routes], sold.services) == ([False], [])
    [service] = plan([row(is_offered=False)], package).services
    assert service.terms.kind is Kind.PACKAGE
