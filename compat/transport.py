"""One HTTP call to a panel: what is sent in its dialect, and what came back, up to a limit."""

import functools
import re
from collections.abc import Mapping
from typing import TypeVar, cast
from urllib.parse import quote, quote_plus

import aiohttp
import msgspec
from yarl import URL

from compat.dialects import Dialect
from compat.wire import CancelAnswer, RefillAnswer, RefillReport, UpstreamReport

T = TypeVar("T")

_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "smm-gateway",
}

NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
"""What aiohttp raises only while it has no connection yet: name, connect, TLS, the wait for a free slot."""


_is_plain = re.compile(r"[\w.~-]*", re.ASCII).fullmatch
"""Whether a text stands in a form as it is; most do, and quoting takes some microseconds for each."""

_EVIDENT = ("Content-Type", "Location", "Server", "Retry-After")


class Request(msgspec.Struct, frozen=True):
    """What is sent; its text form would hold the key, so it is not for logs."""

    url: URL
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: str = ""
    """Why the body is not whole; empty where it is."""


def request_to(url: URL, key: str, dialect: Dialect, action: str, fields: Mapping[str, str]) -> Request:
    """The call in the panel's dialect. Raises UnicodeEncodeError for half a character."""
    members = {**fields, "action": action}
    headers = dict(_HEADERS)
    if dialect.key == "bearer":
        headers["Authorization"] = f"Bearer {key}"
    else:
        members[dialect.key] = key
    if dialect.body == "json":
        headers["Content-Type"] = "application/json"
        return Request(url, headers, msgspec.json.encode(members))
    form = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in members.items())
    if dialect.body == "query":
        return Request(url.update_query(members), headers, b"")
    return Request(url, headers, form.encode("ascii"))


def _quoted(text: str) -> str:
    return text if _is_plain(text) else quote_plus(text)


async def post(
    session: aiohttp.ClientSession, request: Request, timeout: aiohttp.ClientTimeout, bytes_max: int
) -> Reply:
    """One request and all of its reply up to the limit; redirects are answers, not followed."""
    async with session.post(
        request.url,
        data=request.body,
        headers=request.headers,
        allow_redirects=False,
        raise_for_status=False,
        timeout=timeout,
    ) as response:
        return await read_reply(response, bytes_max)


async def read_reply(response: aiohttp.ClientResponse, bytes_max: int) -> Reply:
    """The reply, decoded and read to `bytes_max`; a body that breaks off is told in `cut`, not raised."""
    body = bytearray()
    cut = ""
    try:
        while chunk := await response.content.read(65536):
            body += chunk
            if len(body) > bytes_max:
                cut = f"a body of more than {bytes_max} bytes"
                break
    except Exception as error:  # whatever a hostile body sets off in the decoder; the caller is told in `cut`
        cut = f"the body broke off: {describe(error)}"
    if cut:
        response.close()
    return Reply(response.status, response.headers, bytes(body), cut)


def _evident(headers: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {headers[name][:200]}" for name in _EVIDENT if name in headers)


def evidence_of(reply: Reply, bytes_max: int) -> str:
    """The beginning of a reply as text that can be stored; the key is still in it."""
    start = reply.body[:bytes_max].decode("utf-8", "replace")
    return f"HTTP {reply.status}\n{_evident(reply.headers)}\n{start}".replace("\x00", "\N{REPLACEMENT CHARACTER}")


def read_evidence(text: str) -> tuple[int, str] | None:
    """Status and body of what `evidence_of` wrote; None where it is something else."""
    first, _, rest = text.partition("\n")
    if not re.fullmatch(r"HTTP \d{3}", first, re.ASCII):
        return None
    if rest.startswith("\n"):
        return int(first[5:]), rest[1:]
    while rest.startswith(tuple(f"{name}: " for name in _EVIDENT)):
        rest = rest.partition("\n")[2]
    return int(first[5:]), rest


def mask(text: str, key: str) -> str:
    """The text without the key, however it was quoted; no shorter, so that a cut key stays cut off."""
    for spelling in _spellings(key):
        text = text.replace(spelling, "*" * len(spelling))
    return text


def mask_words(said: T, key: str) -> T:
    """What was said of one, or of each, with no key in its words."""
    if isinstance(said, dict):
        return cast(T, {order: mask_words(of_one, key) for order, of_one in said.items()})
    if isinstance(said, UpstreamReport | RefillAnswer | RefillReport | CancelAnswer):
        texts = {name: getattr(said, name, None) for name in ("word", "error")}
        return msgspec.structs.replace(said, **{name: mask(text, key) for name, text in texts.items() if text})
    return said


@functools.lru_cache(maxsize=1024)
def _spellings(key: str) -> tuple[str, ...]:
    """The ways to quote it, the longest first."""
    escaped = msgspec.json.encode(key).decode()[1:-1]
    in_query = URL.build(query={"k": key}).raw_query_string[2:]
    spellings = {key, quote(key, safe=""), quote_plus(key), in_query, escaped, escaped.replace("/", "\\/")}
    return tuple(sorted(filter(None, spellings), key=len, reverse=True))


def describe(error: BaseException) -> str:
    """What went wrong in one line; some errors of time have no words of their own."""
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:300]
