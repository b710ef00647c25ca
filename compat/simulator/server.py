"""The simulated panel over HTTP; faults of the transport are played here."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
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
    INCORRECT_ORDER,
    INCORRECT_REQUEST,
    INVALID_KEY,
    REFILL_NOT_FOUND,
    REQUEST_TOO_LARGE,
    PanelError,
)
from compat.forms import BODY_BYTES_MAX
from compat.simulator.catalogue import CATALOGUE
from compat.simulator.faults import AFTER_ACCEPTING, ANYWHERE, BEFORE_ACCEPTING, Faults
from compat.simulator.log import AcceptLog
from compat.simulator.panel import Panel
from compat.simulator.plays import Plays, json_reply
from compat.wire import Service

Answer = TypeVar("Answer")


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
        self._plays = Plays(self._stopping)
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
            return json_reply(encode_error(error.text, error.placed), error.status, error.headers)

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
            return json_reply(read(asked))
        played = fault.partition(":")[2]
        body = b"" if played in BEFORE_ACCEPTING else _answered(read, asked)
        return await self._plays.play(request, played, body)

    async def _add(self, request: web.Request, asked: PanelRequest) -> web.StreamResponse:
        wanted = decode_add(asked.fields)
        fault = self.faults.pick((*BEFORE_ACCEPTING, *AFTER_ACCEPTING))
        if fault in BEFORE_ACCEPTING:
            return await self._plays.play(request, fault, b"")
        order = self.panel.add(wanted)
        if fault == "wrong-types":
            return json_reply(self._nonsense(order))
        if fault == "duplicate-id":
            return json_reply(encode_added(self.panel.before(order)))
        return await self._plays.play(request, fault, encode_added(order)) if fault else json_reply(encode_added(order))

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
        return encode_services(self.panel.listed)

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


def _ids(asked: PanelRequest, name: str) -> tuple[list[tuple[str, int | None]], bool]:
    """The ids under the name or its plural, and whether the answer is that of many."""
    many = asked.fields.get(f"{name}s")
    ids = decode_ids(many or asked.fields.get(name, ""))
    if not ids:
        raise PanelError(INCORRECT_ORDER if name == "order" else REFILL_NOT_FOUND)
    return ids, many is not None or len(ids) > 1


def _answered(read: Callable[[PanelRequest], bytes], asked: PanelRequest) -> bytes:
    """The answer, which may be a refusal."""
    try:
        return read(asked)
    except PanelError as refusal:
        return encode_error(refusal.text, refusal.placed)


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
