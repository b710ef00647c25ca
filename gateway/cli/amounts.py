"""What commands take of numbers: percentages, times, changes of a price, and bounds that may be none."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import rich_click as click

NOTHING = object()
"""What the word `none` stands for, since None says that an option was left out."""
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION_S_MAX = 365 * 86_400


class Percentage(click.ParamType[Decimal]):
    """A number with or without a percent sign."""

    name = "percentage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        from compat.money import LIMIT

        try:
            percent = Decimal(str(value).strip().removesuffix("%"))
        except InvalidOperation:
            self.fail(f"{value!r} is not a percentage", param, ctx)
        if not percent.is_finite() or "_" in str(value):
            self.fail(f"{value!r} is not a percentage", param, ctx)
        if abs(percent) >= LIMIT:
            self.fail(f"{value!r} is too large a percentage", param, ctx)
        return percent


class Duration(click.ParamType[int]):
    """Seconds: `90s`, `30m`, `2h`, `3d`, a year at the most."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,8})\s*([smhd]?)", str(value).strip(), re.ASCII)
        seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
        if not 0 < seconds <= _DURATION_S_MAX:
            self.fail(f"{value!r} is not a time of 1s to 365d, such as 30m or 2h", param, ctx)
        return seconds


class Window(click.ParamType[int]):
    """A time of 1 second to 24 hours: `120s`, `2m`, `1h`, or a number of seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,6})\s*([smh]?)", str(value).strip(), re.ASCII)
        seconds = int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
        if not 1 <= seconds <= 86_400:
            self.fail(f"{value!r} is not a time of 1s to 24h, such as 120s or 2m", param, ctx)
        return seconds


class OrNone(click.ParamType[Any]):
    """What another type takes, or `NOTHING` for the word `none`, or another one."""

    def __init__(self, inner: click.ParamType[Any], word: str = "none") -> None:
        self._inner = inner
        self._word = word
        self.name = f"{inner.name}|{word}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value is NOTHING or str(value).strip().casefold() == self._word:
            return NOTHING
        return self._inner.convert(value, param, ctx)


def given(**values: Any) -> dict[str, Any]:
    """What was given of options: `NOTHING` as None, those that were left out not at all."""
    return {name: None if value is NOTHING else value for name, value in values.items() if value is not None}
