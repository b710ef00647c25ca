"""The lines of requests and of sends: as all other lines or, where thousands come a second, by a way of their own."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import structlog

from gateway.clock import utc_now
from gateway.settings import Settings
from gateway.telemetry import mask_text

_log = structlog.get_logger("gateway.access")
_sends = structlog.get_logger("gateway.sends")


class RequestLine(msgspec.Struct, frozen=True):
    """One request that was answered; `path` is without its query, and without secrets."""

    method: str
    path: str
    status: int
    duration_ms: float
    request_id: str


class SentLine(msgspec.Struct, frozen=True):
    """One send upstream, and what the answer was classed as."""

    order: int
    attempt: str
    outcome: str
    upstream_id: str | None


WriteLine: TypeAlias = Callable[[RequestLine], None]
TellSent: TypeAlias = Callable[[SentLine], None]


def write_with_structlog(line: RequestLine) -> None:
    """As any other line; the id of the request is bound already."""
    _log.info("request", method=line.method, path=line.path, status=line.status, duration_ms=line.duration_ms)


def tell_with_structlog(line: SentLine) -> None:
    _sends.info("sent", order=line.order, attempt=line.attempt, outcome=line.outcome, upstream_id=line.upstream_id)


def request_log(settings: Settings) -> WriteLine:
    """What writes these lines under the settings: JSON in the form of all others, but at a tenth of their cost."""
    if logging.getLevelNamesMapping()[settings.log_level.upper()] > logging.INFO:
        return lambda line: None
    return _JsonLines().of_request if settings.log_format == "json" else write_with_structlog


def sent_log(settings: Settings) -> TellSent:
    """The same for the lines that tell of sends."""
    if logging.getLevelNamesMapping()[settings.log_level.upper()] > logging.INFO:
        return lambda line: None
    return _JsonLines().of_send if settings.log_format == "json" else tell_with_structlog


class _Written(msgspec.Struct):
    """The fields of a line, in the order in which structlog has them."""

    method: str
    path: str
    status: int
    duration_ms: float
    event: str
    request_id: str
    level: str
    logger: str
    timestamp: str


class _Sent(msgspec.Struct):
    """Likewise."""

    order: int
    attempt: str
    outcome: str
    upstream_id: str | None
    event: str
    level: str
    logger: str
    timestamp: str


class _JsonLines:
    """Lines of one turn of the event loop go out in one write, with one time."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._waiting: list[bytes] = []
        self._timestamp = ""

    def of_request(self, line: RequestLine) -> None:
        self._add(
            _Written(
                line.method, line.path, line.status, line.duration_ms, "request", line.request_id, "info",
                "gateway.access", self._now(),
            )
        )  # fmt: skip

    def of_send(self, line: SentLine) -> None:
        upstream_id = None if line.upstream_id is None else mask_text(line.upstream_id)
        self._add(
            _Sent(line.order, line.attempt, line.outcome, upstream_id, "sent", "info", "gateway.sends", self._now())
        )

    def _now(self) -> str:
        if not self._waiting:
            self._timestamp = utc_now().isoformat().replace("+00:00", "Z")
        return self._timestamp

    def _add(self, line: msgspec.Struct) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(self._encode(line))

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        sys.stderr.buffer.write(b"\n".join([*lines, b""]))
        sys.stderr.buffer.flush()
