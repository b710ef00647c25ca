"""Money as text: one parser and one formatter for decimals (protocol §1, design §3)."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

CENT = Decimal("0.00000001")
"""The smallest amount kept: eight places."""
LIMIT = Decimal(10) ** 12
"""Amounts are below this (NUMERIC(20,8))."""

_EXACT = Context(prec=60)
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)


_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII)


def ungrouped(text: str) -> str:
    """The text, trimmed, without commas between thousands; a comma that means anything else stays in it."""
    text = text.strip()
    return text.replace(",", "") if "," in text and _GROUPED.fullmatch(text) else text


def round8(value: Decimal) -> Decimal:
    """Half-even to eight places."""
    return value.quantize(CENT, rounding=ROUND_HALF_EVEN, context=_EXACT)


def is_exact(amount: Decimal) -> bool:
    """Whether a row keeps the amount to its last digit: finite, below 10¹² in size, at most eight places."""
    return amount.is_finite() and abs(amount) < LIMIT and amount == round8(amount)


def share(amount: Decimal, part: int, whole: int) -> Decimal:
    """`amount × part / whole`, half-even to eight places, exact for all that a row can hold."""
    return round8(_EXACT.divide(_EXACT.multiply(amount, Decimal(part)), Decimal(whole)))


def parse_amount(value: object) -> Decimal:
    """An amount from an upstream's JSON: a string or a number, also `1e-3` and `0.0012`, rounded to 8 places.

    Raises:
        ValueError: not a finite number below 10¹² in size.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("not an amount")
    text = ungrouped(value) if isinstance(value, str) else str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError("not an amount")
    try:
        amount = Decimal(text)
        if abs(amount) >= LIMIT:
            raise ValueError("amount out of range")
        return round8(amount)
    except InvalidOperation as error:
        raise ValueError("not an amount") from error


def format_amount(amount: Decimal) -> str:
    """Plain digits without an exponent and without needless zeros: `0.27819`, `100`, `0`."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def format_rate(rate: Decimal) -> str:
    """A price with at least two places, as panels show rates: `0.90`, `0.0012`."""
    text = format_amount(rate)
    whole, _, places = text.partition(".")
    return f"{whole}.{places.ljust(2, '0')}"
