"""What commands take: e-mail addresses, currencies and numbers, each refused clearly where it is none."""

import re
from datetime import UTC, datetime
from typing import Any

import rich_click as click

_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
_EMAIL_CHARS_MAX = 254
_INTEGER_MAX = 2**31 - 1

order_number = click.IntRange(1, _INTEGER_MAX)
priority_range = click.IntRange(-_INTEGER_MAX, _INTEGER_MAX)


class Email(click.ParamType[str]):
    """An address as it was written; lone bytes that are not UTF-8 are none of it."""

    name = "email"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not _EMAIL.fullmatch(text) or len(text) > _EMAIL_CHARS_MAX or not _is_text(text):
            self.fail(f"{value!r} is not an e-mail address", param, ctx)
        return text


class Currency(click.ParamType[str]):
    """Three letters, in capitals whatever they were."""

    name = "currency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().upper()
        if not re.fullmatch(r"[A-Z]{3}", text):
            self.fail(f"{value!r} is not a currency of three letters", param, ctx)
        return text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Time(click.ParamType[datetime]):
    """A moment as ISO 8601, of UTC where no zone is named."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2027-11-30T18:05", param, ctx)


a_day = click.DateTime(["%Y-%m-%d"])
a_time = Time()
