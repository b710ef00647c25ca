"""Single values of an upstream's JSON: numbers or strings anywhere, flags in any spelling (protocol §5)."""

import re
from decimal import Decimal

from compat.money import parse_amount, ungrouped

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WHOLE = re.compile(r"[+-]?\d{1,15}(\.0{0,15})?", re.ASCII)
_EXACT_MAX = 2**53
_YES = frozenset({"1", "true", "yes", "on"})
TEXT_CHARS_MAX = 500


def read_id(value: object) -> str | None:
    """An upstream's id as text: 1–64 of `[0-9A-Za-z_-]`, not `0`; exact-integer floats too, booleans not."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > _EXACT_MAX:
            return None
        value = int(value)
    if isinstance(value, int):
        value = str(value) if value > 0 else ""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if _ID.fullmatch(text) and text.strip("0") else None


def read_text(value: object, chars_max: int = TEXT_CHARS_MAX) -> str:
    """A string, or a number as one, trimmed and without control characters; else empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return _UNPRINTABLE.sub(" ", str(value)[:chars_max]).strip()


def read_whole(value: object) -> int | None:
    """A whole number of at most 15 digits, also `"157.0"` and `"1,570"`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 10**15 else None
    text = str(value)
    if len(text) > 40:
        return None
    text = ungrouped(text)
    return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None


def read_flag(value: object) -> bool:
    """True for true, 1 and the words that mean it."""
    return isinstance(value, bool | int | str) and str(value).strip().casefold() in _YES


def read_amount(value: object) -> Decimal | None:
    """As `parse_amount`, None where that raises."""
    try:
        return parse_amount(value)
    except ValueError:
        return None
