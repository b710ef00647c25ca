"""The rules of protocol §2 applied to one `add`: what is ordered, how much, and with which details."""

import re
from collections.abc import Mapping

import msgspec

from compat.codec import parse_quantity, split_lines
from compat.errors import (
    INCORRECT_LINK,
    INCORRECT_QUANTITY,
    INCORRECT_REQUEST,
    INCORRECT_SERVICE,
    PanelError,
)
from compat.forms import LINE_FIELDS
from compat.kinds import RULES, Counting, Kind, KindRule

LINK_CHARS_MAX = 2048

_UNLINKED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNWRITTEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and lone surrogates; a detail may have line ends and tabs."""


class Draft(msgspec.Struct, frozen=True):
    """An order as its kind wants it; `details` are the kind's own fields, ready to be forwarded."""

    link: str
    quantity: int
    details: dict[str, str]


def read_draft(kind: Kind, fields: Mapping[str, str]) -> Draft:
    """The order that `fields` (of an `AddRequest`) ask for. Whether the service allows it is not looked at.

    Raises:
        PanelError: in the words that name the first field at fault; `Incorrect service ID` for a
            kind that is not served, `Incorrect request` for drip-feed, which is more than one run.
    """
    rule = RULES[kind]
    if not rule.served:
        raise PanelError(INCORRECT_SERVICE)
    link = _read_link(fields.get("link", ""))
    details = {name: _read_detail(name, fields) for name in rule.fields if name not in ("link", "quantity")}
    if "runs" in rule.optional and fields.get("runs", "0") not in ("", "0", "1"):
        raise PanelError(INCORRECT_REQUEST)
    return Draft(link, _count(rule, fields, details), details)


def _read_link(text: str) -> str:
    link = text.strip()
    if not link or len(link) > LINK_CHARS_MAX or _UNLINKED.search(link):
        raise PanelError(INCORRECT_LINK)
    return link


def _read_detail(name: str, fields: Mapping[str, str]) -> str:
    value = fields.get(name, "").strip()
    if name in LINE_FIELDS:
        value = "\n".join(split_lines(value))
    if not value or _UNWRITTEN.search(value):
        raise PanelError(INCORRECT_REQUEST)
    return value


def _count(rule: KindRule, fields: Mapping[str, str], details: Mapping[str, str]) -> int:
    if rule.counting is Counting.ONE:
        return 1
    if rule.counting is Counting.LINES and rule.lines is not None:
        return len(details[rule.lines].split("\n"))
    quantity = parse_quantity(fields.get("quantity", ""))
    if quantity is None:
        raise PanelError(INCORRECT_QUANTITY)
    return quantity
