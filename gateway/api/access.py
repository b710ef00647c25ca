"""A request id and one log line for every HTTP request, without its query or body."""

import random
import re
import time

import structlog

from compat.server import ASGIApp, Message, Receive, Scope, Send
from gateway.api.routing import PANEL_PATHS
from gateway.request_log import RequestLine, WriteLine, write_with_structlog
from gateway.telemetry import mask_text

_GIVEN_ID = re.compile(rb"[0-9A-Za-z_-]{1,64}")
_PATH_CHARS_MAX = 256
_CRASHED = 500
_PANEL_PATHS = frozenset(path.encode() for path in PANEL_PATHS)


def logged(app: ASGIApp, write: WriteLine = write_with_structlog) -> ASGIApp:
    """The app with `X-Request-Id` in its replies, taken from the request where one is well formed."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = _CRASHED
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        name = request_id.decode()
        structlog.contextvars.bind_contextvars(request_id=name)  # a request has a task, and so a context, of its own
        try:
            await app(scope, receive, send_with_id)
        finally:
            duration_ms = round((time.perf_counter() - started) * 1000, 2)
            write(RequestLine(scope["method"], _path(scope), status, duration_ms, name))

    return answer


def _request_id(scope: Scope) -> bytes:
    for name, given in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(given):
            return bytes(given)
    return b"%016x" % random.getrandbits(64)


def _path(scope: Scope) -> str:
    if scope.get("raw_path") in _PANEL_PATHS:  # nothing in it that a caller chose
        return str(scope["path"])
    path = bytes(scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0][:_PATH_CHARS_MAX]
    return mask_text(path.decode("ascii", "backslashreplace"))
