"""What a probe asks about and takes for an order, and how many unknown orders are too many."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.errors import Fault
from compat.status import UpstreamStatus
from compat.wire import Refused, UpstreamReport
from gateway.dispatch.unknowns.model import (
    IDS_MAX,
    ROUNDS_MAX,
    Doubt,
    Sought,
    Window,
    fits,
    is_charge_of,
    may_be_of,
    orders_in,
    refusal_in,
    too_many,
    wait_after,
)

SOUGHT = Sought(UUID(int=1), UUID(int=2), 100_001, 1000, Decimal("0.90"), "USD", 0)
REPORT = UpstreamReport(word="In progress", charge=Decimal("0.90"), remains=10, currency="USD")


@pytest.mark.parametrize(
    ("charge", "cost", "same"),
    [
        ("0.90", "0.9", True),
        ("0.27", "0.27432", True),
        ("0.274", "0.27432", True),
        ("0.28", "0.27432", False),
        ("0.3", "0.27432", False),
        ("1", "1.2", False),
        ("0.12", "0.125", True),
        ("0.13", "0.125", True),
        ("0", "0.004", False),
        ("0", "0", False),
        ("-0.9", "0.9", False),
        ("0.00000001", "0.00000001", True),
        ("999999999999.99", "999999999999.99", True),
    ],
)
def test_a_charge_is_the_cost_exactly_or_as_panels_round_it(charge: str, cost: str, same: bool) -> None:
    assert is_charge_of(Decimal(charge), Decimal(cost)) is same


@given(st.decimals("0.01", "100000", places=8))
def test_every_cost_is_its_own_charge_and_within_half_a_cent_of_any_other(cost: Decimal) -> None:
    assert is_charge_of(cost, cost)
    assert not is_charge_of(cost + Decimal("0.00600001"), cost)


@pytest.mark.parametrize(
    ("changes", "fit"),
    [
        ({}, True),
        ({"remains": None, "currency": None}, True),
        ({"remains": -5}, True),
        ({"remains": 1000, "quantity": 1000}, True),
        ({"remains": 1001}, False),
        ({"currency": "EUR"}, False),
        ({"quantity": 999}, False),
        ({"charge": None}, False),
        ({"error": "Incorrect order ID"}, False),
        ({"orders": ("7",)}, False),
    ],
)
def test_what_the_upstream_says_must_fit_the_order(changes: dict[str, object], fit: bool) -> None:
    assert fits(msgspec.structs.replace(REPORT, **changes), SOUGHT) is fit


def test_a_run_of_another_order_an_error_and_an_answer_without_content_are_no_orders() -> None:
    parent = msgspec.structs.replace(REPORT, orders=("12", "13"))
    error, nothing = UpstreamReport(error="Incorrect order ID"), UpstreamReport(word="?")
    reports = {"11": parent, "12": REPORT, "14": REPORT, "15": error, "16": nothing, "17": REPORT}
    assert list(orders_in(reports, ["17"])) == ["11", "14"]


@pytest.mark.parametrize(
    ("charge", "status", "cost", "may_be"),
    [
        ("0.9", UpstreamStatus.PENDING, "0.9", True),
        ("0.45", UpstreamStatus.IN_PROGRESS, "0.9", False),
        ("0.45", UpstreamStatus.PARTIAL, "0.9", True),
        ("0", UpstreamStatus.CANCELED, "0.9", True),
        ("1.8", UpstreamStatus.PARTIAL, "0.9", False),
        ("1.8", UpstreamStatus.PENDING, None, True),
        (None, UpstreamStatus.PENDING, "0.9", False),
    ],
)
def test_an_order_may_be_one_of_its_charge_or_a_larger_one_that_ended_short(
    charge: str | None, status: UpstreamStatus, cost: str | None, may_be: bool
) -> None:
    report = UpstreamReport(status=status, charge=Decimal(charge) if charge else None)
    assert may_be_of(report, Decimal(cost) if cost else None) is may_be


@pytest.mark.parametrize(
    ("above", "below", "ids"),
    [
        (10, 14, range(11, 14)),
        (10, None, range(11, 11 + IDS_MAX)),
        (10, 11 + IDS_MAX, range(11, 11 + IDS_MAX)),
        (10, 12 + IDS_MAX, None),
        (10, 11, None),
        (10, 3, None),
        (None, 14, None),
        (None, None, None),
    ],
)
def test_only_ids_between_two_known_ones_are_asked_about_and_never_too_many(
    above: int | None, below: int | None, ids: range | None
) -> None:
    assert Window(above, below).ids(IDS_MAX) == ids


def test_an_order_lies_between_the_ids_round_it() -> None:
    assert [Window(10, 14).may_hold(number) for number in (10, 11, 13, 14)] == [False, True, True, False]
    assert Window(None, None).may_hold(7)


def test_probes_wait_longer_each_time_and_end_within_a_day() -> None:
    waits = [wait_after(number) for number in range(1, ROUNDS_MAX + 1)]
    assert waits == sorted(waits)
    assert sum(waits, timedelta()) < timedelta(days=1)


@pytest.mark.parametrize(
    ("unknown", "recent", "sends", "is_paused"),
    [(5, 0, 0, False), (6, 0, 0, True), (2, 2, 399, True), (2, 2, 400, False), (1, 1, 200, False), (5, 5, 199, False)],
)
def test_a_provider_rests_with_more_than_five_or_half_a_percent(
    unknown: int, recent: int, sends: int, is_paused: bool
) -> None:
    assert (too_many(Doubt(UUID(int=1), unknown, recent, sends), 5, 0.5) is not None) is is_paused


def test_only_an_answer_in_unknown_words_can_be_taught() -> None:
    taught = {"no": Fault.PASSING}
    answer = 'HTTP 200\nContent-Type: text/html\n{"error": "No"}'
    reason = "an error in unknown words"
    assert refusal_in(reason, answer, taught) == Refused(Fault.PASSING, "No")
    assert refusal_in("no answer in time", answer, taught) is None
    assert refusal_in(reason, None, taught) is None
    assert refusal_in(reason, answer[:-2], taught) is None
    assert refusal_in(reason, answer, {}) is None
