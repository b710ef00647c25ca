"""The rules of protocol §2 applied to one `add`: what is ordered, how much, and with which details."""

import re
from collections.abc import Callable, Mapping
from datetime import date

import msgspec

from compat.codec import parse_quantity, split_lines
from compat.errors import INCORRECT_LINK, INCORRECT_QUANTITY, INCORRECT_REQUEST, PanelError
from compat.forms import LINE_FIELDS
from compat.kinds import RULES, Counting, Kind, KindRule

LINK_CHARS_MAX = 2048
RUNS_MAX = 1000
"""Runs of one drip-feed, and posts of one subscription."""
INTERVAL_MINUTES_MAX = 525_600

_UNLINKED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNWRITTEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and lone surrogates; a detail may have line ends and tabs."""
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)


class Draft(msgspec.Struct, frozen=True):
    """An order as its kind wants it; `details` are the kind's own fields, ready to be forwarded.

    `quantity` is that of one run: a drip-feed has several `runs`, `interval_minutes` apart. Of a
    subscription a run is a post: `link` is the user name, `quantity` the most that a post gets,
    `least` the least, and `runs` is None where the number of posts is open.
    """

    link: str
    quantity: int
    details: dict[str, str]
    runs: int | None = 1
    interval_minutes: int = 0
    least: int | None = None


def read_draft(kind: Kind, fields: Mapping[str, str]) -> Draft:
    """The order that `fields` (of an `AddRequest`) ask for. Whether the service allows it is not looked at.

    Raises:
        PanelError: in the words that name the first field at fault.
    """
    rule = RULES[kind]
    if rule.counting is Counting.POSTS:
        return _read_subscription(rule, fields)
    link = _read_link(fields.get("link", ""))
    details = {name: _read_detail(name, fields) for name in rule.fields if name not in ("link", "quantity")}
    if kind is Kind.WEB_TRAFFIC:
        details |= _read_traffic(details, fields)
    quantity = _count(rule, fields, details)
    runs, interval = _read_drip(fields) if rule.drips else (1, 0)
    return Draft(link, quantity, details, runs, interval)


def _read_link(text: str) -> str:
    link = text.strip()
    if not link or len(link) > LINK_CHARS_MAX or _UNLINKED.search(link):
        raise PanelError(INCORRECT_LINK, field="link")
    return link


def _read_detail(name: str, fields: Mapping[str, str]) -> str:
    value = fields.get(name, "").strip()
    if name in LINE_FIELDS:
        value = "\n".join(split_lines(value))
    if not value or _UNWRITTEN.search(value) or not _FORMS.get(name, bool)(value):
        raise PanelError(INCORRECT_REQUEST, field=name)
    return value


def _one_of(*values: int) -> Callable[[str], bool]:
    allowed = frozenset(map(str, values))
    return allowed.__contains__


def _is_number(text: str) -> bool:
    return bool(parse_quantity(text))


_FORMS: dict[str, Callable[[str], bool]] = {
    "answer_number": _is_number,
    "device": _one_of(1, 2, 3, 4, 5),
    "type_of_traffic": _one_of(1, 2, 3),
    "delay": _one_of(0, 5, 10, 15, *range(30, 601, 30)),
}
"""What a detail may be, besides text; by the field's name, since a name means the same in every kind."""


def _read_traffic(details: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """The keyword that traffic from a search needs, or the address that a custom referrer needs."""
    needed = {"1": "google_keyword", "2": "referring_url"}.get(details["type_of_traffic"])
    return {needed: _read_detail(needed, fields)} if needed else {}


def _read_drip(fields: Mapping[str, str]) -> tuple[int, int]:
    """Runs and the minutes between them; one run, or none, is no drip-feed."""
    runs = _read_whole("runs", fields, 1, INCORRECT_REQUEST)
    if runs <= 1:
        return 1, 0
    interval = _read_whole("interval", fields, 0, INCORRECT_REQUEST)
    if runs > RUNS_MAX or not 1 <= interval <= INTERVAL_MINUTES_MAX:
        raise PanelError(INCORRECT_REQUEST, field="runs" if runs > RUNS_MAX else "interval")
    return runs, interval


def _read_subscription(rule: KindRule, fields: Mapping[str, str]) -> Draft:
    details = {name: _read_detail(name, fields) for name in ("username", "delay")}
    least, most = (_read_whole(name, fields, 0, INCORRECT_QUANTITY) for name in ("min", "max"))
    if not 1 <= least <= most:
        raise PanelError(INCORRECT_QUANTITY, field="min")
    posts = _read_whole("posts", fields, 0, INCORRECT_QUANTITY)
    old = _read_whole("old_posts", fields, 0, INCORRECT_QUANTITY)
    if posts + old > RUNS_MAX:
        raise PanelError(INCORRECT_QUANTITY, field="posts")
    details |= {"min": str(least), "max": str(most)}
    details |= {name: str(count) for name, count in (("posts", posts), ("old_posts", old)) if count}
    if "expiry" in fields:
        details["expiry"] = _read_date(fields["expiry"])
    return Draft(details["username"], most, details, posts + old if posts else None, least=least)


def _read_whole(name: str, fields: Mapping[str, str], absent: int, refusal: str) -> int:
    if not fields.get(name):
        return absent
    number = parse_quantity(fields[name])
    if number is None:
        raise PanelError(refusal, field=name)
    return number


def _read_date(text: str) -> str:
    """A day as d/m/Y, with two digits for day and month."""
    found = _DATE.fullmatch(text.strip())
    try:
        day = date(int(found[3]), int(found[2]), int(found[1])) if found else None
    except ValueError:
        day = None
    if day is None:
        raise PanelError(INCORRECT_REQUEST, field="expiry")
    return day.strftime("%d/%m/%Y")


def _count(rule: KindRule, fields: Mapping[str, str], details: Mapping[str, str]) -> int:
    if rule.counting is Counting.ONE:
        return 1
    if rule.counting is Counting.LINES and rule.lines is not None:
        return len(details[rule.lines].split("\n"))
    quantity = parse_quantity(fields.get("quantity", ""))
    if quantity is None:
        raise PanelError(INCORRECT_QUANTITY)
    return quantity
