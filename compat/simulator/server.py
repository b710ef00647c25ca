"""The simulated panel over HTTP; faults of the transport are played here."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from compat.codec import PanelRequest, decode_add, decode_ids, decode_request
from compat.encode import (
    encode_added,
    encode_balance,
    encode_cancels,
    encode_error,
    encode_refill,
    encode_refill_status,
    encode_refill_statuses,
    encode_refills,
    encode_services,
)
from compat.errors import (
    INCORRECT_LINK,
    INCORRECT_ORDER,
    INCORRECT_REQUEST,
    INVALID_KEY,
    NOT_ENOUGH_FUNDS,
    REFILL_NOT_FOUND,
    REQUEST_TOO_LARGE,
    TOO_MANY_REQUESTS,
    PanelError,
)
from compat.forms import BODY_BYTES_MAX
from compat.simulator.catalogue import CATALOGUE
from compat.simulator.faults import AFTER_ACCEPTING, ANYWHERE, BEFORE_ACCEPTING, Faults
from compat.simulator.log import AcceptLog
from compat.simulator.panel import Panel
from compat.wire import Service

Answer = TypeVar("Answer")

HANG_S_MAX = 120.0
_HUGE_BYTES = 96 * 1024 * 1024
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>panel</body></html>"
_REFUSALS = {
    "refuse": (INCORRECT_LINK, 200),
    "not-enough-funds": (NOT_ENOUGH_FUNDS, 200),
    "too-many-requests": (TOO_MANY_REQUESTS, 429),
}


class Simulator:
    """A panel to run beside a test or a demo; `panel.accepted` is what it accepted, in order.

    `speed` divides the 2–6 seconds that an order takes. With an accept log, orders and the last id
    live on across restarts as long as the clock does (the default is the time of day).
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        key: str,
        services: Sequence[Service] = CATALOGUE,
        accept_log: Path | None = None,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.time,
        speed: float = 1.0,
        balance: Decimal = Decimal(100_000),
        idempotency: bool = False,
    ) -> None:
        self.faults = faults if faults is not None else Faults(seed=seed)
        self._log = AcceptLog(accept_log)
        self.panel = Panel(
            seed=seed,
            services=services,
            log=self._log,
            faults=self.faults,
            clock=clock,
            speed=speed,
            balance=balance,
            idempotency=idempotency,
        )
        self._key = key
        self._random = random.Random(f"replies {seed}")
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.requests = 0
        """How many requests came, those with a wrong key included."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and give the address of the panel; port 0 takes a free one."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0][1]
        return f"http://{host}:{bound}/api/v2"

    async def stop(self) -> None:
        """Let go of every call that hangs and stop listening."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._log.close()

    # requests ----------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        try:
            asked = await _decode(request)
            if asked.key != self._key:
                raise PanelError(INVALID_KEY)
            return await self._answer(request, asked)
        except PanelError as error:
            return _json(encode_error(error.text, error.placed), error.status, error.headers)

    async def _answer(self, request: web.Request, asked: PanelRequest) -> web.StreamResponse:
        if asked.action == "add":
            return await self._add(request, asked)
        read = {
            "services": self._services,
            "status": self._status,
            "statuses": self._status,
            "balance": self._balance,
            "refill": self._refill,
            "refill_status": self._refill_status,
            "cancel": self._cancel,
        }.get(asked.action)
        if read is None:
            raise PanelError(INCORRECT_REQUEST)
        name = "status" if asked.action == "statuses" else asked.action
        fault = self.faults.pick([f"{name}:{fault}" for fault in ANYWHERE])
        if fault is None:
            return _json(read(asked))
        played = fault.partition(":")[2]
        body = b"" if played in BEFORE_ACCEPTING else read(asked)
        return await self._play(request, played, body)

    async def _add(self, request: web.Request, asked: PanelRequest) -> web.StreamResponse:
        wanted = decode_add(asked.fields)
        fault = self.faults.pick((*BEFORE_ACCEPTING, *AFTER_ACCEPTING))
        if fault in BEFORE_ACCEPTING:
            return await self._play(request, fault, b"")
        order = self.panel.add(wanted)
        if fault == "wrong-types":
            return _json(self._nonsense(order))
        if fault == "duplicate-id":
            return _json(encode_added(self.panel.before(order)))
        return await self._play(request, fault, encode_added(order)) if fault else _json(encode_added(order))

    def _nonsense(self, order: int) -> bytes:
        answers: tuple[object, ...] = (
            {"order": True},
            {"order": {"number": order}},
            {"order": [order]},
            {"order": order + 0.5},
            {"order": f"#{order} placed!"},
            [order],
            order,
        )
        return msgspec.json.encode(self._random.choice(answers))

    def _services(self, asked: PanelRequest) -> bytes:
        return encode_services(self.panel.services.values())

    def _balance(self, asked: PanelRequest) -> bytes:
        return encode_balance(self.panel.balance())

    def _status(self, asked: PanelRequest) -> bytes:
        many = asked.fields.get("orders")
        text = many or asked.fields.get("order", "")
        found = {sent: self.panel.status(number or 0) for sent, number in decode_ids(text)}
        if not found:
            raise PanelError(INCORRECT_ORDER)
        if many is None and asked.action == "status" and len(found) == 1:
            status = next(iter(found.values()))
            if status is None:
                raise PanelError(INCORRECT_ORDER)
            return msgspec.json.encode(status)
        return msgspec.json.encode({sent: status or {"error": INCORRECT_ORDER} for sent, status in found.items()})

    def _refill(self, asked: PanelRequest) -> bytes:
        ids, is_many = _ids(asked, "order")
        if not is_many:
            return encode_refill(self.panel.refill(ids[0][1] or 0))
        return encode_refills(ids, {number: _answer_of(self.panel.refill, number) for _, number in ids if number})

    def _refill_status(self, asked: PanelRequest) -> bytes:
        ids, is_many = _ids(asked, "refill")
        found = {number: self.panel.refills.status(number) for _, number in ids if number}
        known = {number: status for number, status in found.items() if status is not None}
        if is_many:
            return encode_refill_statuses(ids, known)
        if not known:
            raise PanelError(REFILL_NOT_FOUND)
        return encode_refill_status(next(iter(known.values())))

    def _cancel(self, asked: PanelRequest) -> bytes:
        ids, _ = _ids(asked, "order")
        return encode_cancels(ids, {number: _answer_of(self.panel.cancel, number) for _, number in ids if number})

    # faults of the transport -------------------------------------------------------------

    async def _play(self, request: web.Request, fault: str, body: bytes) -> web.StreamResponse:
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
            return _reset(request)
        if fault == "truncated-json":
            return _json(body[: max(1, len(body) * 2 // 3)])
        if fault == "redirect":
            return web.Response(status=302, headers={"Location": "/moved"})
        failed = {"http-500": 500, "http-502-after": 502}.get(fault, 200)
        return web.Response(status=failed, body=_PAGE, content_type="text/html")

    async def _hang(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """No answer until the caller goes away, we stop, or two minutes are over."""
        await self._paused(HANG_S_MAX)
        return _reset(request)

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


def _ids(asked: PanelRequest, name: str) -> tuple[list[tuple[str, int | None]], bool]:
    """The ids under the name or its plural, and whether the answer is that of many."""
    many = asked.fields.get(f"{name}s")
    ids = decode_ids(many or asked.fields.get(name, ""))
    if not ids:
        raise PanelError(INCORRECT_ORDER if name == "order" else REFILL_NOT_FOUND)
    return ids, many is not None or len(ids) > 1


def _answer_of(act: Callable[[int], Answer], number: int) -> Answer | PanelError:
    try:
        return act(number)
    except PanelError as refusal:
        return refusal


async def _decode(request: web.Request) -> PanelRequest:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise PanelError(REQUEST_TOO_LARGE, status=413) from error
    headers = [(name.lower(), value) for name, value in request.raw_headers]
    return decode_request(request.method, request.rel_url.raw_query_string.encode(), headers, body)


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, headers={**(headers or {}), "Content-Type": "application/json"})


def _reset(request: web.Request) -> web.Response:
    """Close with a reset, not an orderly end; what is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def run_simulator(
    *,
    port: int,
    key: str,
    faults: Iterable[str] = (),
    seed: int = 0,
    accept_log: Path | None = None,
    host: str = "127.0.0.1",
    speed: float = 1.0,
    idempotency: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until cancelled; `faults` are `NAME[=RATE]`, `ready` is told the address once it listens.

    Raises:
        UnknownFault: a fault that there is not.
    """
    simulator = Simulator(
        seed=seed,
        key=key,
        accept_log=accept_log,
        faults=Faults.parse(faults, seed=seed),
        speed=speed,
        idempotency=idempotency,
    )
    try:
        ready(await simulator.start(host, port))
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
