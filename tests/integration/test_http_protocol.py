"""Requests below HTTP's surface: what is no request, heads without end, and offers to upgrade."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from gateway.api.protocol import HEAD_BYTES_MAX, PanelProtocol

ANSWER_WITHIN_S = 20.0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    names = b",".join(sorted(name for name, _ in scope["headers"]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-names", names)]})
    await send({"type": "http.response.body", "body": b"<%b>" % body})


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    config = uvicorn.Config(
        echo, port=0, http=PanelProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    try:
        while not running.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.01)
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        await task


async def answers_to(*chunks: bytes) -> bytes:
    """All that comes back until the server ends the connection."""
    async with asyncio.timeout(ANSWER_WITHIN_S), server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()
        return answer


def request(body: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body), *fields, b"", body])


UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQ")
LAST = b"Connection: close"


@pytest.mark.parametrize("text", [b"nonsense\r\n\r\n", b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"])
async def test_what_is_no_request_is_refused_in_json(text: bytes) -> None:
    answer = await answers_to(text)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"error":"Incorrect request"}')


@pytest.mark.parametrize(
    ("line", "slug"), [(b"A: " + b"x" * HEAD_BYTES_MAX, b"too-large"), (b"no header", b"bad-request")]
)
async def test_the_native_api_refuses_with_a_problem(line: bytes, slug: bytes) -> None:
    answer = await answers_to(b"GET /v1/balance HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n\r\n")
    assert b"content-type: application/problem+json\r\n" in answer
    assert b'{"type":"/problems/%b"' % slug in answer
    other = await answers_to(b"GET /api/v2 HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n\r\n")
    assert b'{"error":"' in other


async def test_a_body_is_read_in_spite_of_an_offer_to_upgrade() -> None:
    answer = await answers_to(request(b"a=1", *UPGRADE), request(b"b=2", *UPGRADE) + request(b"c=3", LAST))
    assert answer.count(b"HTTP/1.1 200") == 3
    assert [part in answer for part in (b"<a=1>", b"<b=2>", b"<c=3>")] == [True] * 3
    assert b"x-names: content-length,host\r\n" in answer


async def test_a_body_may_come_after_the_head_that_offers_an_upgrade() -> None:
    whole = request(b"key=k&action=balance", *UPGRADE, LAST)
    answer = await answers_to(whole[:30], whole[30:-10], whole[-10:])
    assert b"<key=k&action=balance>" in answer


async def test_chunks_are_read_in_spite_of_an_offer_to_upgrade() -> None:
    head = b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", b"Transfer-Encoding: chunked", *UPGRADE, LAST, b"", b""])
    assert b"<abcde>" in await answers_to(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")


@pytest.mark.parametrize("ends", [True, False])
async def test_a_head_beyond_the_bound_is_refused(ends: bool) -> None:
    start = b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: "
    pieces = [b"a" * 8192] * 60
    answer = await answers_to(start, *pieces, *([b"\r\n\r\n"] if ends else []))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'\r\n\r\n{"error":"Request too large"}')


async def test_many_fields_beyond_the_bound_are_refused() -> None:
    answer = await answers_to(request(b"", *[b"X-%d: %b" % (n, b"a" * 1000) for n in range(70)]))
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_large_head_and_a_larger_body_are_taken() -> None:
    body = b"b" * 200_000
    answer = await answers_to(request(body, b"X: " + b"a" * (HEAD_BYTES_MAX - 1000)) + request(body, LAST))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(body) == 2
