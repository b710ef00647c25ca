"""Amounts as they are read from upstreams and written to clients."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.money import CENT, LIMIT, format_amount, format_rate, is_exact, parse_amount, round8

AMOUNTS = st.decimals(min_value=-LIMIT + 1, max_value=LIMIT - 1, places=8)


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("0.27819", "0.27819"),
        (" 12 ", "12"),
        ("1,234.50", "1234.50"),
        ("-1,234,567", "-1234567"),
        ("1e-3", "0.001"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-3.20", "-3.20"),
        ("+1", "1"),
        (7, "7"),
        (0.1, "0.1"),
        (Decimal("0.00000001"), "0.00000001"),
        ("0.000000005", "0"),
        ("0.000000015", "0.00000002"),
        ("0.000000025", "0.00000002"),
        ("999999999999.99999999", "999999999999.99999999"),
    ],
)
def test_an_amount_is_read_whatever_its_spelling(sent: object, amount: str) -> None:
    assert parse_amount(sent) == Decimal(amount)


@pytest.mark.parametrize(
    "sent",
    [
        None, True, "", "abc", "1 2", "1.2.3", "NaN", "inf", float("nan"), float("inf"), Decimal("NaN"),
        "1e13", "1000000000000", "1e999", "1e9999", "9" * 50, "\u0661", "0x1", "1_000", [], {}, b"1",
        "0,90", "0,900", "1,5", "12,34", "1,2345", "1234,567", "1.234,50", "1,,234", ",234", "1,234,", "1,234e2",
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused(sent: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_amount(sent)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.27819000", "0.27819"),
        ("100.00", "100"),
        ("1E+2", "100"),
        ("0E-8", "0"),
        ("-0.00", "0"),
        ("1E-8", "0.00000001"),
    ],
)
def test_an_amount_is_written_in_plain_digits(amount: str, text: str) -> None:
    assert format_amount(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("rate", "text"), [("0.9", "0.90"), ("1", "1.00"), ("0.0012", "0.0012"), ("2.50", "2.50"), ("0", "0.00")]
)
def test_a_rate_has_two_places_at_least(rate: str, text: str) -> None:
    assert format_rate(Decimal(rate)) == text


@given(AMOUNTS)
def test_an_amount_written_and_read_is_the_same(amount: Decimal) -> None:
    assert parse_amount(format_amount(amount)) == amount
    assert parse_amount(format_rate(amount)) == amount


@given(st.decimals(min_value=-LIMIT, max_value=LIMIT, places=12))
def test_rounding_moves_by_half_a_step_at_most(amount: Decimal) -> None:
    assert abs(round8(amount) - amount) <= CENT / 2
    assert round8(round8(amount)) == round8(amount)


@pytest.mark.parametrize(
    ("amount", "is_kept"),
    [
        ("0", True), ("-0", True), ("-5", True), ("0.00000001", True), ("999999999999.99999999", True), ("1e3", True),
        ("1E-30", False), ("0.000000001", False), ("1000000000000", False), ("-1000000000000", False),
        ("1e400", False), ("1E-400", False), ("NaN", False), ("sNaN", False), ("Infinity", False), ("-Infinity", False),
        ("99999999999999999999", False),
    ],
)  # fmt: skip
def test_an_amount_that_a_row_would_change_is_told_apart(amount: str, is_kept: bool) -> None:
    assert is_exact(Decimal(amount)) is is_kept
