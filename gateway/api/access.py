"""A request id and one log line for every HTTP request, without its query or body."""

import re
import secrets
import time
from typing import Any

import structlog

from compat.server import ASGIApp, Message, Receive, Scope, Send

_GIVEN_ID = re.compile(rb"[0-9A-Za-z_-]{1,64}")
_PATH_CHARS_MAX = 256
_CRASHED = 500

_log = structlog.get_logger("gateway.access")


def logged(app: ASGIApp) -> ASGIApp:
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

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await app(scope, receive, send_with_id)
            finally:
                _log.info("request", **_line(scope, status, time.perf_counter() - started))

    return answer


def _request_id(scope: Scope) -> bytes:
    for name, given in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(given):
            return bytes(given)
    return secrets.token_hex(8).encode()


def _line(scope: Scope, status: int, duration_s: float) -> dict[str, Any]:
    path = bytes(scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0][:_PATH_CHARS_MAX]
    return {
        "method": scope["method"],
        "path": path.decode("ascii", "backslashreplace"),
        "status": status,
        "duration_ms": round(duration_s * 1000, 2),
    }
