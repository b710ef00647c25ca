"""The tolerant, bounded parsers of what clients send: urlencoded, multipart and JSON (protocol §4)."""

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import unquote_plus

from compat.errors import INCORRECT_REQUEST, PanelError

BODY_BYTES_MAX = 256 * 1024
FIELDS_MAX = 64
PIECES_MAX = FIELDS_MAX + 1024
"""Pairs looked at in one form at all: the fields, and a list of ids written as `orders[]=`."""
IDS_MAX = 500

ID_FIELDS = frozenset({"order", "orders", "refill", "refills"})
LINE_FIELDS = frozenset({"comments", "usernames", "hashtags", "keywords", "groups"})

_EXACT = re.compile(r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_EXACT_LIMIT = Decimal(10) ** 18


def unreadable() -> PanelError:
    """The refusal of a request that cannot be taken apart."""
    return PanelError(INCORRECT_REQUEST, status=400)


def exact_integer(text: str) -> int | None:
    """The integer that a number's text stands for: `12`, `12.0`, `2.3501001e+07`; None for any other."""
    if not _EXACT.fullmatch(text):
        return None
    number = Decimal(text)
    if abs(number) >= _EXACT_LIMIT or number % 1:
        return None
    return int(number)


class Fields:
    """Fields by name while they are gathered: the last value wins, `name[]` makes a list of ids or lines.

    `count` is the number of fields seen, a whole list of ids being one.
    """

    __slots__ = ("_lists", "_values", "count")

    def __init__(self) -> None:
        self.count = 0
        self._values: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}

    def put(self, name: str, value: str) -> None:
        """Take one pair.

        Raises:
            PanelError: this is the 65th field.
        """
        listed = name.partition("[")[0] if name.endswith("]") else ""
        if listed and listed in ID_FIELDS and listed in self._lists:
            self._lists[listed].append(value)
            return
        self.count += 1
        if self.count > FIELDS_MAX:
            raise unreadable()
        if listed and (listed in ID_FIELDS or listed in LINE_FIELDS):
            self._lists.setdefault(listed, []).append(value)
        else:
            self._values[name] = value

    def put_list(self, name: str, items: list[str]) -> None:
        """Take one field whose value is a list."""
        self.put(name, "")
        del self._values[name]
        self._lists[name] = items

    def texts(self) -> dict[str, str]:
        """Each field as one text: ids with commas between them, lines with `\\n`."""
        for name, items in self._lists.items():
            self._values[name] = "\n".join(items) if name in LINE_FIELDS else _join_ids(items)
        return self._values


def _join_ids(items: list[str]) -> str:
    """A comma list; that of one id keeps a comma, since who sends a list expects the answer for many."""
    kept = items[: IDS_MAX + 1]
    return ",".join(kept) if len(kept) > 1 else f"{kept[0]}," if kept else ""


def parse_form(data: bytes) -> Fields:
    """A query or an urlencoded body. Bad percent signs and bytes that are not UTF-8 are replaced.

    Raises:
        PanelError: too many fields.
    """
    fields = Fields()
    if not data:
        return fields
    if data.count(b"&") >= PIECES_MAX:
        raise unreadable()
    for piece in data.decode("utf-8", "replace").split("&"):
        if piece:
            name, _, value = piece.partition("=")
            if "%" in piece or "+" in piece:
                name, value = unquote_plus(name, errors="replace"), unquote_plus(value, errors="replace")
            fields.put(name, value)
    return fields


def parse_multipart(body: bytes, content_type: str) -> Fields:
    """A multipart body; the parts that are files are passed over.

    Raises:
        PanelError: no end of the last part, no name on a part, or too many parts.
    """
    boundary = _boundary(content_type) or body.partition(b"\n")[0].strip().removeprefix(b"--")
    if not boundary:
        raise unreadable()
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, PIECES_MAX + 1)
    if len(pieces) < 2 or len(pieces) > PIECES_MAX or not pieces[-1].startswith(b"--"):
        raise unreadable()
    fields = Fields()
    for piece in pieces[1:-1]:
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator:
            raise unreadable()
        name = _part_name(head)
        if name is not None:
            fields.put(name, content.decode("utf-8", "replace"))
    return fields


def _boundary(content_type: str) -> bytes:
    found = re.search(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;,"]+))', content_type, re.IGNORECASE)
    return (found[1] or found[2]).encode("utf-8", "replace") if found else b""


def _part_name(head: bytes) -> str | None:
    """The `name` of a part's Content-Disposition; None for a file.

    Raises:
        PanelError: there is none.
    """
    for line in head.decode("utf-8", "replace").split("\r\n"):
        label, _, value = line.partition(":")
        if label.strip().casefold() == "content-disposition":
            if re.search(r";\s*filename\*?\s*=", value, re.IGNORECASE):
                return None
            found = re.search(r';\s*name\s*=\s*(?:"([^"]*)"|([^\s;"]+))', value, re.IGNORECASE)
            if found:
                return found[1] if found[1] is not None else found[2]
    raise unreadable()


class _Float(str):
    """The exact text of a JSON number with a point or an exponent."""

    __slots__ = ()


_JSON = json.JSONDecoder(parse_float=_Float, parse_int=str, parse_constant=lambda _: None)


def parse_json(body: bytes) -> Fields:
    """A JSON object: numbers where forms have strings, lists where forms have commas or lines.

    Raises:
        PanelError: not a JSON object, or too many members.
    """
    try:
        members = _JSON.decode(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise unreadable() from error
    if not isinstance(members, dict) or len(members) > FIELDS_MAX:
        raise unreadable()
    fields = Fields()
    for name, value in members.items():
        items = list(value.values()) if isinstance(value, dict) else value
        if isinstance(items, list) and name in ID_FIELDS:
            fields.put_list(name, list(_texts(name, items[: IDS_MAX + 1])))
        elif isinstance(items, list) and name in LINE_FIELDS:
            fields.put_list(name, list(_texts(name, items)))
        else:
            for text in _texts(name, [items]):
                fields.put(name, text)
    return fields


def _texts(name: str, items: Iterable[object]) -> Iterable[str]:
    """The items that a form could have carried; ids keep the spelling they were sent with."""
    for item in items:
        if isinstance(item, bool):
            yield "true" if item else "false"
        elif isinstance(item, _Float) and name not in ID_FIELDS:
            number = exact_integer(item)
            yield str(item) if number is None else str(number)
        elif isinstance(item, str):
            yield str(item) if item.isascii() else item.encode("utf-8", "replace").decode()
