"""The listener trusts what it heard no longer than a second, counted from the question and not from the answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import pytest

from gateway.db.listener import Listener

HEARD_WITHIN_S = 10.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class SlowWire:
    """Forwards what the client says; while it holds, answers pass one at a time as they are let through."""

    def __init__(self, host: str, port: int) -> None:
        self.holding = False
        self.held = 0
        self._host, self._port = host, port
        self._let_through = asyncio.Semaphore(0)

    def let_one_through(self) -> None:
        self._let_through.release()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        pumps = [
            asyncio.create_task(self._forward(reader, up_writer)),
            asyncio.create_task(self._back(up_reader, writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        up_writer.close()
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.holding:
                self.held += 1
                await self._let_through.acquire()
            writer.write(data)


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[tuple[SlowWire, str]]:
    parts = urlsplit(database_url)
    wire = SlowWire(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    credentials, _, _ = parts.netloc.rpartition("@")
    yield wire, parts._replace(netloc=f"{credentials}@127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
    server.close()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEARD_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_an_answer_that_took_its_time_is_as_old_as_its_question(wire: tuple[SlowWire, str]) -> None:
    slow, url = wire
    clock = Clock()
    listener = Listener(url, clock)
    await listener.start()
    await until(lambda: listener.healthy)
    slow.holding = True
    await until(lambda: slow.held == 1)
    clock.now = 100.6
    slow.let_one_through()
    await until(lambda: slow.held == 2)
    clock.now = 101.0
    assert not listener.healthy
    await listener.stop()


async def test_nothing_is_trusted_once_a_second_went_by_without_an_answer(wire: tuple[SlowWire, str]) -> None:
    slow, url = wire
    clock = Clock()
    listener = Listener(url, clock)
    await listener.start()
    await until(lambda: listener.healthy)
    slow.holding = True
    await until(lambda: slow.held == 1)
    clock.now = 101.0
    assert not listener.healthy
    await listener.stop()
