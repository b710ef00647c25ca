"""Load over raw sockets: closed loops, and an open loop by the clock; every answer is looked at.

The bytes of the requests are made ahead, and of an answer only the status, the length and the beginning
are read, so that one core asks more than a server in Python can answer: `floors.py` has a floor to prove it.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

BUFFER_BYTES = 1 << 17
WRONG_KEPT_MAX = 5
TICK_S = 0.001
"""The least that a loop waits for a timer without spinning on the core of the servers."""
STUCK_S = 60.0
"""Beyond the time of a load; a server that owes answers for longer is broken."""


class Ask(msgspec.Struct, frozen=True):
    """What is asked, request by request in turn, and how each right answer begins (`b"200 {..."`)."""

    requests: Sequence[bytes]
    begins: tuple[bytes, ...]


class Outcome(msgspec.Struct):
    """Of one load: `right` counts all right answers, `in_time` those within its seconds; latencies are in seconds.

    An open loop's seconds go on until its last answer, so that its rate is what was answered, not what was asked.
    """

    seconds: float
    right: int = 0
    in_time: int = 0
    latencies: list[float] = []
    late_s: list[float] = []
    """How far behind its schedule the open loop itself was when it sent."""

    @property
    def rate(self) -> float:
        return self.in_time / self.seconds

    def percentile(self, percent: int) -> float:
        """By the nearest rank, so of however few answers; in seconds."""
        return sorted(self.latencies)[max(0, math.ceil(len(self.latencies) * percent / 100) - 1)]


class BrokenLoad(Exception):
    """An answer was wrong or did not come: there is no figure."""


def form(port: int, fields: dict[str, str], *, path: str = "/api/v2", headers: str = "") -> bytes:
    """A POST of a form whose values need no escaping."""
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n{body}"
    ).encode()


async def run_closed(port: int, ask: Ask, *, connections: int, seconds: float) -> Outcome:
    """As many clients as connections, each with its next request as soon as it has its answer.

    Raises:
        BrokenLoad: an answer was wrong or lost.
    """
    load = _Closed(ask, seconds)
    return await _run(load, port, connections)


async def run_open(port: int, ask: Ask, *, connections: int, seconds: float, a_second: float) -> Outcome:
    """Requests when the clock says so, whatever became of the others; latency counts from that moment.

    Raises:
        BrokenLoad: an answer was wrong or lost.
    """
    load = _Open(ask, seconds, a_second)
    return await _run(load, port, connections)


async def fetch(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of one answer that has a length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        return head, await reader.readexactly(_length_of(head))
    finally:
        writer.close()


async def _run(load: "_Load", port: int, connections: int) -> Outcome:
    loop = asyncio.get_running_loop()
    made = []
    try:
        for _ in range(connections):
            transport, connection = await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
            made.append((transport, connection))
        load.begin([connection for _, connection in made])
        async with asyncio.timeout(load.outcome.seconds + STUCK_S):
            await load.done
    finally:
        load.is_over = True
        for transport, _ in made:
            transport.abort()
    return load.outcome


class _Load:
    """Hands out requests and takes answers; `done` once all that was asked is answered.

    Where fewer than `least` came in time, it goes on for as long again.
    """

    def __init__(self, ask: Ask, seconds: float) -> None:
        self.ask = ask
        self.outcome = Outcome(seconds)
        self._seconds = seconds
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over = False
        self.begins_bytes = max(map(len, ask.begins)) - 4
        self.least = 2
        self.asked = 0
        self.deadline = 0.0

    def begin(self, connections: "list[_Connection]") -> None:
        raise NotImplementedError

    def answered(self, connection: "_Connection", now: float) -> None:
        raise NotImplementedError

    def next_request(self) -> bytes:
        self.asked += 1
        return self.ask.requests[self.asked % len(self.ask.requests)]

    def take(self, now: float, latency_s: float, said: bytes) -> None:
        if not said.startswith(self.ask.begins):
            self.fail(f"an answer began with {said!r}")
        self.outcome.right += 1
        while now > self.deadline and self.outcome.in_time < self.least:
            self.deadline += self._seconds
            self.outcome.seconds += self._seconds
        if now <= self.deadline:
            self.outcome.in_time += 1
            self.outcome.latencies.append(latency_s)

    def fail(self, why: str) -> None:
        if not self.done.done() and not self.is_over:
            self.done.set_exception(BrokenLoad(why))

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _Closed(_Load):
    def begin(self, connections: "list[_Connection]") -> None:
        self._busy = self.least = len(connections)
        now = time.perf_counter()
        self.deadline = now + self.outcome.seconds
        for connection in connections:
            connection.ask(self.next_request(), now)

    def answered(self, connection: "_Connection", now: float) -> None:
        if now < self.deadline:
            connection.ask(self.next_request(), now)
            return
        self._busy -= 1
        if self._busy == 0:
            self.finish()


class _Open(_Load):
    def __init__(self, ask: Ask, seconds: float, a_second: float) -> None:
        super().__init__(ask, seconds)
        self._interval_s = 1 / a_second
        self._total = round(seconds * a_second)
        self._due = 0
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()

    def begin(self, connections: "list[_Connection]") -> None:
        self._idle.extend(connections)
        self._started = time.perf_counter()
        self.deadline = float("inf")
        self._tick()

    def answered(self, connection: "_Connection", now: float) -> None:
        if self._waiting:
            connection.ask(self.next_request(), self._waiting.popleft())
        else:
            self._idle.append(connection)
        if self.outcome.right == self._total:
            self.outcome.seconds = max(self.outcome.seconds, now - self._started)
            self.finish()

    def _tick(self) -> None:
        now = time.perf_counter()
        while self._due < self._total and (intended := self._started + self._due * self._interval_s) <= now:
            self._due += 1
            if self._idle:
                self.outcome.late_s.append(now - intended)
                self._idle.popleft().ask(self.next_request(), intended)
            else:
                self._waiting.append(intended)
        if self._due < self._total and not self.is_over:
            wait_s = self._started + self._due * self._interval_s - time.perf_counter()
            asyncio.get_running_loop().call_later(max(wait_s, TICK_S), self._tick)


class _Connection(asyncio.BufferedProtocol):
    """One request under way at a time. Of a long answer only the beginning is kept."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._left: int | None = None
        self._said = b""
        self._since = 0.0

    def connection_made(self, transport: Any) -> None:
        self._write = transport.write

    def ask(self, request: bytes, since: float) -> None:
        self._since = since
        self._write(request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view if self._left else self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._left is None:
            self._filled += nbytes
            if not self._read_beginning():
                return
        else:
            self._left -= nbytes
        if self._left == 0:
            self._filled, self._left = 0, None
            now = time.perf_counter()
            self._load.take(now, now - self._since, self._said)
            self._load.answered(self, now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.fail(f"a connection was lost: {exc!r}")

    def _read_beginning(self) -> bool:
        """Whether head and the first of the body are there, and so what is left of the answer known."""
        end = self._buffer.find(b"\r\n\r\n", 0, self._filled) + 4
        if end == 3:
            return False
        length = _length_of(self._buffer[:end])
        wanted = min(length, self._load.begins_bytes)
        if self._filled - end < wanted:
            return False
        self._said = bytes(self._buffer[9:13] + self._buffer[end : end + wanted])
        self._left = end + length - self._filled
        return True


def _length_of(head: bytes | bytearray) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        raise BrokenLoad(f"an answer without a length: {bytes(head)!r}")
    return int(lower[at + 17 : lower.find(b"\r\n", at + 17)])
