"""A wire between a gateway and its upstream that is cut now and then, before or after the answer."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class CuttingWire:
    """Forwards HTTP connections; some are cut once the request is through, others before any of it is."""

    def __init__(self, port: int, *, rate: float, seed: int) -> None:
        self._port = port
        self.rate = rate
        self._random = random.Random(seed)
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._pass_on(head + await reader.readexactly(_length(head)), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _pass_on(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        fate = self._random.random()
        if fate < self.rate / 2:
            self._cut(writer)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            upstream.write(request)
            head = await upstream_reader.readuntil(b"\r\n\r\n")
            body = await upstream_reader.readexactly(_length(head))
        finally:
            upstream.close()
        if fate < self.rate:
            self._cut(writer)
        writer.write(head + body)
        await writer.drain()

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        self.cuts += 1
        writer.transport.abort()
        raise ConnectionResetError


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


@asynccontextmanager
async def cutting_wire(url: str, *, rate: float, seed: int) -> AsyncIterator[tuple[CuttingWire, str]]:
    """The wire, and the panel's URL through it."""
    parts = urlsplit(url)
    wire = CuttingWire(parts.port or 80, rate=rate, seed=seed)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        yield wire, parts._replace(netloc=f"127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
    finally:
        server.close()
