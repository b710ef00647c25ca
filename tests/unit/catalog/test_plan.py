"""The difference between our rows and what an upstream offers."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec

from compat.kinds import Kind
from gateway.catalog.model import Offer, Terms
from gateway.catalog.store import VANISHED, VANISHED_UNSOLD, Imported
from gateway.catalog.sync import make_plan

TERMS = Terms("Likes", None, "Instagram", Kind.DEFAULT, Decimal("1.25"), 10, 1000, False, False, False)
OFFER = Offer("5", Decimal(1), TERMS)
ROW = Imported(uuid4(), uuid4(), "5", Decimal("1.00000000"), True, None, True, False, TERMS)


def row(**changes: Any) -> Imported:
    return msgspec.structs.replace(ROW, **changes)


def test_the_same_again_is_no_change() -> None:
    plan = make_plan([ROW], {"5": OFFER})
    assert (plan.new, plan.terms, plan.costs, plan.back, plan.gone, plan.changed) == ([], [], [], [], [], 0)


def test_what_is_not_known_is_new() -> None:
    assert make_plan([], {"5": OFFER}).new == [OFFER]


def test_a_change_of_terms_and_cost_is_one_change() -> None:
    dearer = Offer("5", Decimal(2), msgspec.structs.replace(TERMS, price=Decimal("2.5")))
    plan = make_plan([ROW], {"5": dearer})
    assert plan.terms == [(ROW.service_id, dearer.terms)]
    assert plan.costs == [(ROW.route_id, Decimal(2))]
    assert plan.changed == 1


def test_what_is_gone_is_gone_once() -> None:
    assert make_plan([ROW], {}).gone == [ROW]
    assert make_plan([row(is_listed=False, off_reason=VANISHED)], {}).gone == []


def test_what_a_sync_switched_off_comes_back() -> None:
    for reason in (VANISHED, VANISHED_UNSOLD):
        gone = row(is_listed=False, off_reason=reason)
        plan = make_plan([gone], {"5": OFFER})
        assert plan.back == [gone]
        assert plan.changed == 1


def test_what_an_operator_switched_off_stays_off() -> None:
    assert make_plan([row(is_listed=False)], {"5": OFFER}).back == []


def test_a_stored_kind_that_is_not_of_the_protocol_is_replaced() -> None:
    assert make_plan([row(terms=None)], {"5": OFFER}).terms == [(ROW.service_id, TERMS)]
