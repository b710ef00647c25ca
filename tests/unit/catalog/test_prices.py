"""Prices from costs, margins, and the prices of single users."""

from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.money import format_amount
from gateway.api.v1.formats import Percent, money
from gateway.catalog.prices.model import (
    CustomPrice,
    Markup,
    Pricing,
    Tariff,
    margin_percent,
    moves_beyond,
    rounded_margin,
)

SERVICE, OTHER = uuid4(), uuid4()
AMOUNTS = st.decimals(0, 10**6, places=8)


def pricing(
    percent: str = "25", fixed: str = "0", *, rate: str = "1", step: str | None = None, floor: str | None = None
) -> Pricing:
    return Pricing(
        Decimal(rate), Markup(Decimal(percent), Decimal(fixed)), step and Decimal(step), floor and Decimal(floor)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cost", "markup", "price"),
    [
        ("0.9", "25", "1.125"),
        ("1", "0", "1"),
        ("1", "-100", "0"),
        ("0.00000001", "50", "0.00000002"),
        ("0.00000003", "50", "0.00000004"),
        ("999999999999.99999999", "0.0001", "1000000999999.99999999"),
        ("0.33333333", "12.3456", "0.37448533"),
    ],
)
def test_the_price_is_the_cost_with_the_markup_half_even(cost: str, markup: str, price: str) -> None:
    assert pricing(markup).price_of(Decimal(cost), "", None) == Decimal(price)


def test_the_exchange_rate_comes_before_the_percentage_and_the_fixed_part_last() -> None:
    assert pricing("10", "0.05", rate="1.1").price_of(Decimal(2), "", None) == Decimal("2.47")


@pytest.mark.parametrize(
    ("cost", "step", "price"),
    [("1", "0.01", "1.25"), ("1.001", "0.01", "1.26"), ("1", "0.5", "1.5"), ("0", "0.5", "0")],
)
def test_a_step_rounds_up(cost: str, step: str, price: str) -> None:
    assert pricing(step=step).price_of(Decimal(cost), "", None) == Decimal(price)


def test_a_price_is_never_below_zero() -> None:
    assert pricing("0", "-5").price_of(Decimal(1), "", None) == 0


def test_the_most_special_markup_counts() -> None:
    rules = Pricing(
        Decimal(1),
        Markup(Decimal(10), Decimal(0)),
        categories={"Likes": Markup(Decimal(20), Decimal(0))},
        services={SERVICE: Markup(Decimal(30), Decimal(1))},
    )
    one = Decimal(1)
    assert rules.price_of(one, "Views", OTHER) == Decimal("1.1")
    assert rules.price_of(one, "Likes", OTHER) == Decimal("1.2")
    assert rules.price_of(one, "Likes", SERVICE) == Decimal("2.3")


@given(AMOUNTS, st.decimals("0.0001", 100, places=4))
def test_a_stepped_price_is_the_next_multiple(cost: Decimal, step: Decimal) -> None:
    exact, stepped = pricing("0").price_of(cost, "", None), pricing("0", step=str(step)).price_of(cost, "", None)
    assert exact <= stepped < exact + step
    assert stepped % step == 0


def test_the_floor_is_a_margin_on_the_price() -> None:
    rules = pricing("0", floor="20")
    assert not rules.is_below_floor(Decimal("1.25"), Decimal(1))
    assert rules.is_below_floor(Decimal("1.24"), Decimal(1))
    assert not pricing("0").is_below_floor(Decimal(0), Decimal(1))


def test_margins() -> None:
    assert margin_percent(Decimal(4), Decimal(3)) == 25
    assert margin_percent(Decimal(2), Decimal(3)) == -50
    assert margin_percent(Decimal(0), Decimal(0)) == 0
    assert margin_percent(Decimal(0), Decimal(1)) == -100


@pytest.mark.parametrize(
    ("before", "after", "beyond"),
    [
        ("1", "1.2", False),
        ("1", "1.20000001", True),
        ("1", "0.8", False),
        ("1", "0.79", True),
        ("0", "0", False),
        ("0", "0.00000001", True),
    ],
)
def test_a_guard_looks_both_ways(before: str, after: str, beyond: bool) -> None:
    assert moves_beyond(Decimal(before), Decimal(after), Decimal(20)) is beyond


def test_a_users_own_price_goes_before_his_percentage() -> None:
    tariff = Tariff(((SERVICE, CustomPrice(price=Decimal("0.7"))),), CustomPrice(percent=Decimal(-10)))
    assert tariff.rate_of(SERVICE, Decimal(1)) == Decimal("0.7")
    assert tariff.rate_of(OTHER, Decimal(1)) == Decimal("0.9")
    assert Tariff().rate_of(OTHER, Decimal(1)) == 1


def test_equal_tariffs_are_one_group() -> None:
    one = Tariff(((SERVICE, CustomPrice(price=Decimal("0.70"))),))
    assert len({one, Tariff(((SERVICE, CustomPrice(price=Decimal("0.7"))),))}) == 1


def test_a_cost_that_becomes_nothing_is_beyond_every_guard() -> None:
    assert moves_beyond(Decimal(1), Decimal(0), Decimal(1000))
    assert not moves_beyond(Decimal(0), Decimal(0), Decimal(1000))


@pytest.mark.parametrize("cost", ["0.5", "1E+12", "1E+24"])
def test_a_margin_is_rounded_and_fits_its_form_however_far_below_the_cost(cost: str) -> None:
    margin = rounded_margin(Decimal("0.00000001"), Decimal(cost))
    assert int(margin) == 100 - int(Decimal(cost) * 2) * 10**10 // 2
    assert msgspec.convert(money(margin), Percent) == format_amount(margin)
