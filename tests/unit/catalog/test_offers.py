"""What an upstream's row becomes when we sell it."""

from decimal import Decimal
from typing import Any

import pytest

from compat.kinds import RULES, Counting, Kind
from compat.wire import Service
from gateway.catalog.model import QUANTITY_MAX, Offer, quantities_of
from gateway.catalog.sync.offers import NAME_CHARS_MAX, offer_of, offers_of


def row(**changes: Any) -> Service:
    fields: dict[str, Any] = {
        "service": 5,
        "name": "Likes",
        "type": "Default",
        "category": "Instagram",
        "rate": Decimal("0.9"),
        "min": 10,
        "max": 1000,
    }
    return Service(**{**fields, **changes})


def offer(**changes: Any) -> Offer:
    found = offer_of(row(**changes))
    assert found is not None
    return found


def test_an_offer_keeps_the_cost_and_the_id_there() -> None:
    assert offer().cost == Decimal("0.9")
    assert offer().provider_service_id == "5"


@pytest.mark.parametrize("kind", [kind for kind in Kind if RULES[kind].counting is Counting.ONE])
def test_a_package_is_ordered_one_at_a_time(kind: Kind) -> None:
    assert quantities_of(kind, 500, 10) == (1, 1)


@pytest.mark.parametrize(
    ("least", "most", "kept"),
    [(0, 10, (1, 10)), (-5, 1, (1, 1)), (1, 10**12, (1, QUANTITY_MAX)), (QUANTITY_MAX, 10**12, (QUANTITY_MAX,) * 2)],
)
def test_quantities_are_brought_into_range(least: int, most: int, kept: tuple[int, int]) -> None:
    assert quantities_of(Kind.DEFAULT, least, most) == kept


@pytest.mark.parametrize(
    "changes",
    [
        {"min": 11, "max": 10},
        {"min": 0, "max": 0},
        {"min": QUANTITY_MAX + 1, "max": QUANTITY_MAX + 2},
        {"type": "Mind Reading"},
        {"rate": Decimal(-1)},
        {"rate": Decimal("1000000000000")},
        {"service": "x" * 65},
        {"service": ""},
    ],
)
def test_a_row_that_cannot_be_sold_is_left_out_and_counted(changes: dict[str, Any]) -> None:
    offers, skipped = offers_of([row(**{"service": 1, **changes}), row(service=2)])
    assert list(offers) == ["2"]
    assert skipped == 1


def test_of_two_rows_with_one_id_the_first_counts() -> None:
    offers, skipped = offers_of([row(name="first"), row(name="second")])
    assert offers["5"].terms.name == "first"
    assert skipped == 1


def test_texts_are_made_to_fit_our_columns() -> None:
    terms = offer(name=" Likes\x00 \n fast\ud800 " + "x" * 400, category="  ", desc="one\ntwo\x00").terms
    assert terms.name.startswith("Likes fast x")
    assert len(terms.name) == NAME_CHARS_MAX
    assert terms.category == "Other"
    assert terms.description == "one\ntwo"
    assert offer(name="\x01").terms.name == "Service 5"
    assert offer(desc=" ").terms.description is None


def test_a_kind_is_known_in_any_case() -> None:
    assert offer(type="custom  COMMENTS").terms.kind is Kind.CUSTOM_COMMENTS
