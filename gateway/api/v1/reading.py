"""Reading requests of the native API: strict, bounded, and with the path of whatever is at fault."""

import asyncio
import functools
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from gateway.errors import BadRequest, Invalid, TooLarge, UnsupportedMediaType

BODY_BYTES_MAX = 8 * 1024 * 1024
"""A thousand orders with long links and lists fit in."""
VALUES_MAX = 200_000
"""Fields and items of a body: a thousand orders with all their fields, and a hundred lines each."""
BODY_TIMEOUT_S = 30.0
QUERY_FIELDS_MAX = 50

_FAULT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_DATED = re.compile(r"\d{4}-", re.ASCII)
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")

Body = TypeVar("Body", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form of what takes no field."""


def headers_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """By lower-case name; one that is sent more than once is the list of its values (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def read_body(request: Request[Any, Any, Any], headers: Mapping[str, str], form: type[Body]) -> Body:
    """The JSON body in its form; nothing is converted: a number in quotes is no number.

    Raises:
        UnsupportedMediaType: it is not called JSON, or is compressed.
        TooLarge: it is above `BODY_BYTES_MAX`, or has more values than `VALUES_MAX`.
        BadRequest: it is not JSON, or not sent within `BODY_TIMEOUT_S`.
        Invalid: a field is at fault, or given twice.
    """
    _check_media(headers)
    return _formed(await _receive(request), form)


async def read_nothing(request: Request[Any, Any, Any], headers: Mapping[str, str]) -> None:
    """For what takes no body: who sends one with fields in it means something that would not be done.

    Raises:
        As `read_body`, but for no body at all.
    """
    body = await _receive(request)
    if body:
        _check_media(headers)
        _formed(body, Nothing)


def _check_media(headers: Mapping[str, str]) -> None:
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if media_type != "application/json" or coding != "identity":
        raise UnsupportedMediaType


def _formed(body: bytes, form: type[Body]) -> Body:
    if body.count(b"[") + body.count(b"{") > VALUES_MAX:  # to make millions of lists takes seconds already
        raise TooLarge
    try:
        bound = _Bound()
        value = _storable(_parse(body.decode(), bound), "$", bound)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON, or nested too deep") from None
    try:
        return _within_calendar(msgspec.convert(value, form, str_keys=True))
    except msgspec.ValidationError as error:
        raise Invalid([_fault(str(error), "$")]) from None


class _Repeated(dict[str, Any]):
    """An object of which a name is given more than once: whichever is taken, another reader takes the other."""

    def __init__(self, pairs: list[tuple[str, Any]], name: str) -> None:
        super().__init__(pairs)
        self.name = name


class _Bound:
    """Counts the values of a body as they are met: millions of them would keep all other requests waiting."""

    def __init__(self) -> None:
        self._left = VALUES_MAX

    def take(self, count: int) -> None:
        """Raises TooLarge where there are more than `VALUES_MAX`."""
        self._left -= count
        if self._left < 0:
            raise TooLarge


def _object(bound: _Bound, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    bound.take(len(pairs) + 1)
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            return _Repeated(pairs, name)
        fields[name] = value
    return fields


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number beyond what a double holds")
    return value


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _parse(text: str, bound: _Bound) -> Any:
    """By Python's own reader, since msgspec's passes over a name that comes twice."""
    hook = functools.partial(_object, bound)
    return json.JSONDecoder(object_pairs_hook=hook, parse_float=_float, parse_constant=_no_number).decode(text)


def read_query(query: str, form: type[Body]) -> Body:
    """The query's fields in their form, each given at most once.

    Raises:
        Invalid: a field is unknown, given twice or not of its form.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=False, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise BadRequest(f"the query has more than {QUERY_FIELDS_MAX} fields") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Invalid([("query", "a field is given more than once")])
    try:
        read = msgspec.convert(_storable(fields, "query", _Bound()), form, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid([_fault(str(error), "query")]) from None
    faults = [(f"query.{name}", what) for name in fields if (what := _loosely_read(getattr(read, name), fields[name]))]
    if faults:
        raise Invalid(faults)
    return _within_calendar(read)


def _within_calendar(read: Body) -> Body:
    """With times that the database and a sum with a margin can hold; before and after those there is nothing."""
    times = {name: value for name, value in _times_of(read) if not _EARLIEST <= value <= _LATEST}
    if not times:
        return read
    held = {name: _EARLIEST if value < _EARLIEST else _LATEST for name, value in times.items()}
    return msgspec.structs.replace(read, **held)


def _times_of(read: msgspec.Struct) -> Iterator[tuple[str, datetime]]:
    for name in read.__struct_fields__:
        value = getattr(read, name)
        if isinstance(value, datetime):
            yield name, value


def _loosely_read(value: object, text: str) -> str | None:
    """What is wrong with a text that msgspec takes for the value, but the description does not."""
    if value is None:
        return "a field without a value is left out"
    if isinstance(value, datetime) and not _DATED.match(text):
        return "it is not a time of RFC 3339"
    if isinstance(value, bool) and text not in ("true", "false"):
        return "it is neither true nor false"
    return None


async def _receive(request: Request[Any, Any, Any]) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise TooLarge
                parts.append(part)
    except TimeoutError:
        raise BadRequest(f"the body did not come within {BODY_TIMEOUT_S:.0f} s") from None
    return b"".join(parts)


def _fault(text: str, root: str) -> tuple[str, str]:
    """`(path, what is wrong)` of what msgspec says."""
    found = _FAULT.fullmatch(text)
    assert found is not None, "the pattern takes any text"
    path = root + (found["path"] or "$").removeprefix("$")
    field = _FIELD.fullmatch(found["what"])
    return (f"{path}.{field['name']}" if field else path), found["what"]


def _storable(value: Any, path: str, bound: _Bound) -> Any:
    """The value, with whole numbers as such, however they are written.

    Raises:
        TooLarge: there are more values than `VALUES_MAX`.
        Invalid: a text has what no row can hold: NUL, or half of a surrogate pair.
    """
    match value:
        case str():
            if _UNWRITABLE.search(value):
                raise Invalid([(path, "it has a character that cannot be stored")])
        case float():
            return int(value) if value.is_integer() else value
        case _Repeated():
            raise Invalid([(f"{path}.{_storable(value.name, path, bound)}", "it is given more than once")])
        case dict():
            return {
                _storable(name, path, bound): _storable(each, f"{path}.{name}", bound) for name, each in value.items()
            }
        case list():
            bound.take(len(value))
            return [_storable(each, f"{path}[{index}]", bound) for index, each in enumerate(value)]
    return value
