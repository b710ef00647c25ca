"""A wire between the gateway and PostgreSQL that can break at the moment of a commit."""

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


class Break(enum.Enum):
    """When the connection is lost."""

    NEVER = "never"
    BEFORE_COMMIT = "the commit never reaches the server"
    AFTER_COMMIT = "the server commits, its answer is lost"
    DURING_COMMIT = "the connection is lost while the server commits"
    AFTER_ANSWER = "the commit is answered, and the connection is lost right after"
    FOR_GOOD = "the server commits, its answer is lost, and nothing connects after that"
    ON_ITS_WAY = "the connection is lost, and the server hears of the commit once `arrive` is set"


class Wire:
    """Forwards bytes; the first commit that passes meets `broken`, those after it pass.

    What commits is known by `word`: that of a transaction, or one of a statement that stands for itself.
    """

    def __init__(self, host: str, port: int) -> None:
        self.word = b"COMMIT"
        self.broken = Break.NEVER
        self.commits = 0
        self.outlives_the_server = False
        self.server_left = asyncio.Event()
        self.arrive = asyncio.Event()
        self._host, self._port = host, port
        self._closed = False
        self._on_its_way = b""
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        answer_is_lost, answer_is_last = asyncio.Event(), asyncio.Event()
        pumps = [
            asyncio.create_task(self._forward(reader, up_writer, answer_is_lost, answer_is_last)),
            asyncio.create_task(self._back(up_reader, writer, answer_is_lost, answer_is_last)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        if self.outlives_the_server:
            if not pumps[1].done():  # who hears the good-bye may hang up before the server does
                with contextlib.suppress(OSError):
                    up_writer.write_eof()
                await asyncio.wait([pumps[1]])
            self.server_left.set()
            await asyncio.wait([pumps[0]])
        for pump in pumps:
            pump.cancel()
        writer.close()
        if self._on_its_way:
            data, self._on_its_way = self._on_its_way, b""
            await self.arrive.wait()
            up_writer.write(data)
        up_writer.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_is_lost: asyncio.Event,
        answer_is_last: asyncio.Event,
    ) -> None:  # fmt: skip
        while data := await reader.read(65536):
            if self.word in data:
                self.commits += 1
                if self.broken is Break.BEFORE_COMMIT:
                    self.broken = Break.NEVER
                    return
                if self.broken in (Break.AFTER_COMMIT, Break.FOR_GOOD):
                    self._closed = self.broken is Break.FOR_GOOD
                    self.broken = Break.NEVER
                    answer_is_lost.set()
                if self.broken is Break.DURING_COMMIT:
                    self.broken = Break.NEVER
                    writer.write(data)
                    return
                if self.broken is Break.ON_ITS_WAY:
                    self.broken = Break.NEVER
                    self._on_its_way = data
                    return
                if self.broken is Break.AFTER_ANSWER:
                    self.broken = Break.NEVER
                    answer_is_last.set()
            writer.write(data)
            await writer.drain()

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_is_lost: asyncio.Event,
        answer_is_last: asyncio.Event,
    ) -> None:  # fmt: skip
        while data := await reader.read(65536):
            if answer_is_lost.is_set():
                return
            writer.write(data)
            await writer.drain()
            if answer_is_last.is_set():
                return


@asynccontextmanager
async def wire_to(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire, and the database's URL through it."""
    parts = urlsplit(database_url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    credentials, _, _ = parts.netloc.rpartition("@")
    netloc = f"{credentials}@127.0.0.1:{port}" if credentials else f"127.0.0.1:{port}"
    try:
        yield wire, urlunsplit(parts._replace(netloc=netloc))
    finally:
        server.close()
