"""Requests of the panel protocol read tolerantly (protocol §1, §4); `compat.encode` writes the replies."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from compat.errors import (
    INCORRECT_REQUEST,
    INCORRECT_SERVICE,
    REQUEST_TOO_LARGE,
    TOO_MANY_ORDERS,
    PanelError,
)
from compat.forms import (
    BODY_BYTES_MAX,
    FIELDS_MAX,
    IDS_MAX,
    LINE_FIELDS,
    Fields,
    exact_integer,
    parse_form,
    parse_json,
    parse_multipart,
    unreadable,
)
from compat.kinds import RULES
from compat.wire import AddRequest

NUMBER_MAX = 2_147_483_647
"""Ids live in `INT(11)` columns of panels."""

Headers = Iterable[tuple[bytes, bytes]]

_IDEMPOTENCY_KEY_CHARS_MAX = 64
_JUNK = frozenset({"", "undefined", "null", "nan"})
_STATUSES = "statuses"
_ALIASES = dict.fromkeys(("orders", "multi_status", "multi-status"), _STATUSES)
_ADD_FIELDS = frozenset(
    {name for rule in RULES.values() for name in (*rule.fields, *rule.optional)} | {"idempotency_key"}
)


# Requests ------------------------------------------------------------------------------------


class Head(msgspec.Struct, frozen=True):
    """What counts of a request's headers."""

    content_type: str = ""
    bearer: str = ""
    idempotency_key: str = ""


class PanelRequest(msgspec.Struct, frozen=True):
    """One request: `action` in lower case with aliases resolved (`statuses` is status of many).

    `fields` are the others, by name, without those that are absent, empty or a junk word.
    """

    key: str
    action: str
    fields: dict[str, str]

    def __repr__(self) -> str:
        return f"PanelRequest(action={self.action!r}, fields={self.fields!r})"


def read_head(method: str, headers: Headers) -> Head:
    """The headers that matter, names in lower case as ASGI has them; nothing of the body is needed.

    Raises:
        PanelError: 413 for a declared body that is too large, 400 for a method other than GET and
            POST and for a length or an encoding that cannot be read.
    """
    if method not in ("GET", "POST"):
        raise unreadable()
    content_type = bearer = idempotency_key = ""
    for name, raw in headers:
        if name == b"content-type":
            content_type = raw.decode("latin-1")
        elif name == b"authorization":
            scheme, _, token = raw.decode("utf-8", "replace").partition(" ")
            bearer = token.strip() if scheme.casefold() == "bearer" else bearer
        elif name == b"idempotency-key":
            idempotency_key = raw.decode("utf-8", "replace").strip()
        elif name == b"content-length":
            _check_length(raw)
        elif name == b"content-encoding" and raw.strip().lower() not in (b"", b"identity"):
            raise unreadable()
    return Head(content_type, bearer, idempotency_key)


def _check_length(raw: bytes) -> None:
    digits = raw.strip()
    if not digits.isdigit():
        raise unreadable()
    if len(digits) > 18 or int(digits) > BODY_BYTES_MAX:
        raise too_large()


def too_large() -> PanelError:
    """The refusal of a body over `BODY_BYTES_MAX`."""
    return PanelError(REQUEST_TOO_LARGE, status=413)


def decode_request(method: str, query: bytes, headers: Headers, body: bytes) -> PanelRequest:
    """A whole request from its parts; header names in lower case.

    Raises:
        PanelError: as `read_head`; 400 for a body that cannot be read or too many fields, 413 for
            one that is too large.
    """
    return decode_body(read_head(method, headers), query, body)


def decode_body(head: Head, query: bytes, body: bytes) -> PanelRequest:
    """The request whose headers were read already; a field of the body wins over that of the query.

    Raises:
        PanelError: 400 for a body that cannot be read or too many fields, 413 for one too large.
    """
    if max(len(body), len(query)) > BODY_BYTES_MAX:
        raise too_large()
    sent = _parse_body(head.content_type, body)
    fields = _drop_junk(sent.texts())
    if query:
        asked = parse_form(query)
        if asked.count + sent.count > FIELDS_MAX:
            raise unreadable()
        fields = {**_drop_junk(asked.texts()), **fields}
    key, token = fields.pop("key", ""), fields.pop("api_token", "")
    action = fields.pop("action", "").strip().lower()
    if head.idempotency_key:
        fields = {**_drop_junk({"idempotency_key": head.idempotency_key}), **fields}
    return PanelRequest((key or token or head.bearer).strip(), _ALIASES.get(action, action), fields)


_LIKE_A_FORM = re.compile(rb"--|[0-9A-Za-z_.%+\[\]-]+=")


def _parse_body(content_type: str, body: bytes) -> Fields:
    """By the look of the body, since declared types are often wrong or absent.

    Raises:
        PanelError: as the parsers, and for a body declared as JSON that looks like no form either.
    """
    kind = content_type.partition(";")[0].strip().lower()
    trimmed = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if trimmed.startswith(b"{"):
        return parse_json(trimmed)
    if trimmed and kind.endswith("json") and not _LIKE_A_FORM.match(trimmed):
        raise unreadable()
    if trimmed.startswith(b"--"):
        return parse_multipart(body, content_type)
    return parse_form(body)


def _drop_junk(fields: dict[str, str]) -> dict[str, str]:
    """Without the fields that count as absent.

    Raises:
        PanelError: a value has a NUL character, which no database column can keep.
    """
    kept = {}
    for name, value in fields.items():
        if "\x00" in value:
            raise unreadable()
        if value.strip().lower() not in _JUNK:
            kept[name] = value
    return kept


def decode_add(fields: Mapping[str, str]) -> AddRequest:
    """The `add` in a request's fields: known fields only, lists with `\\n` between their lines.

    Raises:
        PanelError: no service is named, or the idempotency key is not 1 to 64 printable characters.
    """
    if "service" not in fields:
        raise PanelError(INCORRECT_SERVICE)
    key = fields.get("idempotency_key", "")
    if len(key) > _IDEMPOTENCY_KEY_CHARS_MAX or not key.isprintable():
        raise PanelError(INCORRECT_REQUEST)
    known: dict[str, str] = {}
    for name, value in fields.items():
        if name in LINE_FIELDS:
            lines = split_lines(value)
            if lines:
                known[name] = "\n".join(lines)
        elif name in _ADD_FIELDS:
            known[name] = value
    if "media_url" in fields:
        known.setdefault("media", fields["media_url"])
    return AddRequest(service=fields["service"].strip(), fields=known)


def parse_id(text: str) -> int | None:
    """An id that we may have handed out, also written `12.0` or `2.3501001e+07`; None for any other."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else exact_integer(text)
    return number if number is not None and 0 < number <= NUMBER_MAX else None


def decode_ids(text: str) -> list[tuple[str, int | None]]:
    """The ids of a comma list, each as it was sent and as a number; None where it cannot be one of ours.

    Raises:
        PanelError: more than 500 of them.
    """
    sent = [item for piece in text.split(",") if (item := piece.strip())]
    if len(sent) > IDS_MAX:
        raise PanelError(TOO_MANY_ORDERS)
    return [(item, parse_id(item)) for item in sent]


def parse_quantity(text: str) -> int | None:
    """One to nine ASCII digits and nothing else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def split_lines(text: str) -> list[str]:
    """The lines of a list field; `\\r\\n`, `\\n` and a written-out backslash-n all end one, blank ones go."""
    return [line for piece in text.replace("\\n", "\n").split("\n") if (line := piece.strip())]
