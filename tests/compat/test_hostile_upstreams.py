"""Sixty ways of an upstream to answer badly: each has its written outcome, ends by the deadline, and stays small."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from compat.client import PanelClient
from compat.failures import UpstreamError
from compat.wire import Accepted, NotSent, Refused, Unknown

TIMEOUT_S = 1.5
"""Half of it for the connection, which a busy machine may need."""
ENDED_S_MAX = 10.0
BODY_BYTES_MAX = 65_536
MEMORY_BYTES_MAX = 16 * 1024 * 1024

Play = Callable[[asyncio.StreamWriter], AsyncIterator[bytes]]


def said(body: bytes, status: bytes = b"200 OK", head: bytes = b"Content-Type: application/json\r\n") -> bytes:
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, len(body), body)


def bare(head: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body


BODIES: dict[str, tuple[bytes, type]] = {
    "an order": (said(b'{"order":1}'), Accepted),
    "a byte order mark": (said(b'\xef\xbb\xbf{"order":1}'), Accepted),
    "blanks round it": (said(b' \n {"order":"ord_9x"} \n'), Accepted),
    "gzip": (said(gzip.compress(b'{"order":1}'), head=b"Content-Encoding: gzip\r\n"), Accepted),
    "chunks": (bare(b"Transfer-Encoding: chunked\r\n", b'b\r\n{"order":1}\r\n0\r\n\r\n'), Accepted),
    "100 Continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + said(b'{"order":1}'), Accepted),
    "no length, and the end": (bare(b"Connection: close\r\n", b'{"order":1}'), Accepted),
    "HTML type": (said(b'{"order":1}', head=b"Content-Type: text/html\r\n"), Accepted),
    "a refusal": (said(b'{"error":"Incorrect link"}'), Refused),
    "a refusal with 400": (said(b'{"error":"Incorrect link"}', b"400 Bad Request"), Refused),
    "a list of refusals": (said(b'{"error":["Incorrect link"]}'), Refused),
    "a bare refusal": (said(b'"Incorrect link"'), Refused),
    "429": (said(b'{"error":"slow down"}', b"429 Too Many"), Refused),
    "order and error": (said(b'{"order":1,"error":"Incorrect link"}'), Unknown),
    "order 0": (said(b'{"order":0}'), Unknown),
    "order minus": (said(b'{"order":-5}'), Unknown),
    "order null": (said(b'{"order":null}'), Unknown),
    "order true": (said(b'{"order":true}'), Unknown),
    "order a fraction": (said(b'{"order":1.5}'), Unknown),
    "order a list": (said(b'{"order":[1]}'), Unknown),
    "order an object": (said(b'{"order":{"id":1}}'), Unknown),
    "order of 4 kB": (said(b'{"order":"' + b"9" * 4096 + b'"}'), Unknown),
    "order of other digits": (said('{"order":"٣"}'.encode()), Unknown),
    "order with a space": (said(b'{"order":"1 2"}'), Unknown),
    "order 1e400": (said(b'{"order":1e400}'), Unknown),
    "order of 400 digits": (said(b'{"order":' + b"1" * 400 + b"}"), Unknown),
    "two orders": (said(b'{"order":1,"order_id":2}'), Unknown),
    "NaN": (said(b'{"order":NaN}'), Unknown),
    "an error in strange words": (said(b'{"error":"computer says no"}'), Unknown),
    "an error that is a number": (said(b'{"error":7}'), Unknown),
    "an error that is an object": (said(b'{"error":{"code":1}}'), Unknown),
    "an empty object": (said(b"{}"), Unknown),
    "a list": (said(b"[]"), Unknown),
    "a number": (said(b"1"), Unknown),
    "null": (said(b"null"), Unknown),
    "nothing": (said(b""), Unknown),
    "half JSON": (said(b'{"order":12'), Unknown),
    "two documents": (said(b'{"order":1}{"order":2}'), Unknown),
    "UTF-16": (said('{"order":1}'.encode("utf-16")), Unknown),
    "not UTF-8": (said(b'{"order":"\xff"}'), Unknown),
    "half a surrogate": (said(b'{"order":"\\ud800"}'), Unknown),
    "deep nesting": (said(b"[" * 50_000), Unknown),
    "a PHP notice": (said(b'<br />Notice: x{"order":1}'), Unknown),
    "HTML with 200": (said(b"<html>", head=b"Content-Type: text/html\r\n"), Unknown),
    "500": (said(b'{"order":1}', b"500 Oops"), Unknown),
    "503 that claims": (said(b'{"error":"x","placed":false}', b"503 Busy"), Unknown),
    "201": (said(b'{"order":1}', b"201 Created"), Unknown),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Unknown),
    "a redirect": (said(b"", b"302 Found", b"Location: http://127.0.0.1:9/\r\n"), Unknown),
    "a redirect home": (said(b'{"order":1}', b"301 Moved", b"Location: /api/v2\r\n"), Unknown),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Unknown),
    "no bytes at all": (b"", Unknown),
    "a length too long": (bare(b"Content-Length: 500\r\n", b'{"order":1}'), Unknown),
    "a length that is none": (bare(b"Content-Length: x\r\n", b'{"order":1}'), Unknown),
    "broken chunks": (bare(b"Transfer-Encoding: chunked\r\n", b"zz\r\nrest"), Unknown),
    "cut chunks": (bare(b"Transfer-Encoding: chunked\r\n", b'b\r\n{"order":1}'), Unknown),
    "gzip that is none": (said(b"not gzip", head=b"Content-Encoding: gzip\r\n"), Unknown),
    "a gzip bomb": (said(gzip.compress(b" " * 40_000_000), head=b"Content-Encoding: gzip\r\n"), Unknown),
    "a huge head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, Unknown),
}


async def _drip(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    yield bare(b"Content-Length: 11\r\n")
    for byte in b'{"order":1}':
        await asyncio.sleep(1)
        yield bytes([byte])


async def _stream(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    yield bare(b"Content-Length: 1073741824\r\n")
    for _ in range(16_384):
        yield b" " * 65_536


async def _heads_without_end(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for _ in range(1_000):
        await asyncio.sleep(0.02)
        yield b"X: y\r\n"


async def _silence(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    await asyncio.sleep(60)
    yield b""


PLAYS: dict[str, Play] = {
    "one byte a second": _drip,
    "a stream of 1 GB": _stream,
    "a head without end": _heads_without_end,
    "silence": _silence,
}


@asynccontextmanager
async def upstream(play: Play) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            async for piece in play(writer):
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v2"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def at_once(reply: bytes) -> Play:
    async def play(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        yield reply

    return play


async def outcome_of(play: Play) -> object:
    """What `add` makes of it, and that every read ends too."""
    async with (
        asyncio.timeout(ENDED_S_MAX),
        upstream(play) as url,
        PanelClient(url, "key", timeout_s=TIMEOUT_S, max_body_bytes=BODY_BYTES_MAX) as panel,
    ):
        outcome = await panel.add("1", {"link": "https://example.com/p/1", "quantity": "100"})
        reads = (panel.statuses(["1"]), panel.refill("1"), panel.cancel(["1"]), panel.balance())
        failures = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(failure, UpstreamError) or not isinstance(failure, BaseException) for failure in failures)
        return outcome


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_answer_has_its_outcome(name: str) -> None:
    reply, wanted = BODIES[name]
    assert isinstance(await outcome_of(at_once(reply)), wanted)


@pytest.mark.parametrize("name", PLAYS)
async def test_what_does_not_end_is_ended_and_stays_small(name: str) -> None:
    tracemalloc.start()
    try:
        assert isinstance(await outcome_of(PLAYS[name]), Unknown)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()


async def test_an_upstream_that_is_not_there_was_not_sent_anything() -> None:
    async with PanelClient("http://127.0.0.1:9/api/v2", "key", timeout_s=TIMEOUT_S) as panel:
        assert isinstance(await panel.add("1", {}), NotSent)


def test_there_are_sixty() -> None:
    assert len(BODIES) + len(PLAYS) >= 60
