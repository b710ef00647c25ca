"""Faults of the transport as the simulated panel plays them (protocol §5)."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from compat.errors import INCORRECT_LINK, NOT_ENOUGH_FUNDS, TOO_MANY_REQUESTS, PanelError

HANG_S_MAX = 120.0
_HUGE_BYTES = 96 * 1024 * 1024
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>panel</body></html>"
_REFUSALS = {
    "refuse": (INCORRECT_LINK, 200),
    "not-enough-funds": (NOT_ENOUGH_FUNDS, 200),
    "too-many-requests": (TOO_MANY_REQUESTS, 429),
}


class Plays:
    """The replies that go wrong; `stopping` ends those that would go on."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    async def play(self, request: web.Request, fault: str, body: bytes) -> web.StreamResponse:
        """Raises PanelError for a fault that is a refusal."""
        if fault in _REFUSALS:
            text, status = _REFUSALS[fault]
            raise PanelError(text, status=status)
        plays: dict[str, Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]] = {
            "slow-drip": self._drip,
            "huge-body": self._flood,
            "timeout-before": self._hang,
            "timeout-after": self._hang,
        }
        if fault in plays:
            return await plays[fault](request, body)
        if fault.startswith("reset"):
            return reset(request)
        if fault == "truncated-json":
            return json_reply(body[: max(1, len(body) * 2 // 3)])
        if fault == "redirect":
            return web.Response(status=302, headers={"Location": "/moved"})
        failed = {"http-500": 500, "http-502-after": 502}.get(fault, 200)
        return web.Response(status=failed, body=_PAGE, content_type="text/html")

    async def _hang(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """No answer until the caller goes away, we stop, or two minutes are over."""
        await self._paused(HANG_S_MAX)
        return reset(request)

    async def _drip(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        ends = time.monotonic() + HANG_S_MAX
        while time.monotonic() < ends and not self._stopping.is_set():
            await response.write(b" ")
            await self._paused(0.05)
        return response

    async def _flood(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        block = b" " * 65536
        for _ in range(_HUGE_BYTES // len(block)):
            if self._stopping.is_set():
                break
            await response.write(block)
        await response.write(body)
        return response

    async def _paused(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def json_reply(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, headers={**(headers or {}), "Content-Type": "application/json"})


def reset(request: web.Request) -> web.Response:
    """Close with a reset, not an orderly end; what is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
