"""A way to PostgreSQL that knows the moment in which orders are committed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tests.support.processes import Running

ORDERED = b"https://example.com/p/"
COMMITTED = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery of PostgreSQL's wire protocol, with no transaction open: what a statement that orders ends with."""


@dataclass
class CommitGate:
    """Passes on what client and server say; a `victim` is killed when orders are committed, before it hears so."""

    url: str
    victim: Running | None = None
    pumps: set[asyncio.Task[None]] = field(default_factory=set)

    def arm(self, victim: Running) -> None:
        self.victim = victim

    async def from_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, placing: asyncio.Event
    ) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while chunk := await reader.read(65536):
                if ORDERED in chunk:
                    placing.set()
                writer.write(chunk)
                await writer.drain()

    async def from_server(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, placing: asyncio.Event
    ) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while chunk := await reader.read(65536):
                if placing.is_set() and COMMITTED in chunk:
                    placing.clear()
                    if self.victim is not None:
                        self.victim.kill()
                        self.victim = None
                        return
                writer.write(chunk)
                await writer.drain()


@contextlib.asynccontextmanager
async def commit_gate(database_url: str) -> AsyncIterator[CommitGate]:
    parts = urlsplit(database_url)
    gate = CommitGate("")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        placing = asyncio.Event()
        ways = gate.from_client(reader, server_writer, placing), gate.from_server(server_reader, writer, placing)
        for pump in ways:
            task = asyncio.create_task(pump)
            gate.pumps.add(task)
            task.add_done_callback(gate.pumps.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    user, _, _ = parts.netloc.rpartition("@")
    gate.url = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))
    async with listening:
        yield gate
        pumps = list(gate.pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
