"""Whatever a receiver answers, the call ends in time, is written down, and is tried again or not as it should be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.webhooks.calling import _seconds
from gateway.webhooks.relay import relay_events
from tests.support.faults import eventually
from tests.support.hooks import add_endpoint, add_owner, delivering, tell

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def answering(answer: Answering) -> AsyncIterator[str]:
    """A server that reads a request and then does as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"}")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller has gone, which is what it should do
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def called(db: Database, answer: Answering, *, scheme: str = "http") -> tuple[Any, ...]:
    """The one call that is made of an event: its status, error and response, and the delivery's state."""
    owner = await add_owner(db)
    async with answering(answer) as place, delivering(db, delays_s=(), timeout_s=1.0):
        await add_endpoint(db, owner, f"{scheme}://{place}/")
        await tell(db, owner, uuid7(), "order.created")
        await relay_events(db)
        await eventually(lambda: _has_ended(db))
    async with db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT a.status, a.error, a.response, d.state, d.last_error "
            "FROM webhook_attempts a JOIN webhook_deliveries d ON d.id = a.delivery_id"
        )
    assert row is not None
    assert row["last_error"] == row["error"]
    return tuple(row)[:4]


async def _has_ended(db: Database) -> bool:
    async with db.connection() as connection:
        return bool(await connection.fetchval("SELECT bool_and(state <> 'pending') FROM webhook_deliveries"))


async def written(writer: asyncio.StreamWriter, *pieces: bytes) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)


async def for_ever(writer: asyncio.StreamWriter, piece: bytes, pause_s: float = 0.0) -> None:
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause_s)


async def test_the_first_kilobyte_is_kept_in_however_many_pieces_it_comes(db: Database) -> None:
    async def in_pieces(writer: asyncio.StreamWriter) -> None:
        await written(writer, OK + b"Content-Length: 1500\r\n\r\n", b"a" * 10, b"b" * 800, b"c" * 690)

    assert await called(db, in_pieces) == (200, None, "a" * 10 + "b" * 800 + "c" * 214, "delivered")


async def test_an_endless_body_is_taken_for_what_its_status_says(db: Database) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        await for_ever(writer, b"x" * 65_536)

    assert await called(db, endless) == (200, None, "x" * 1024, "delivered")


async def test_a_body_that_drips_ends_with_the_call(db: Database) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        await for_ever(writer, b"y", 0.2)

    status, error, response, state = await called(db, drip)
    assert (status, error, state) == (200, None, "delivered")
    assert 0 < len(response) < 10


async def test_a_body_that_breaks_off_changes_nothing(db: Database) -> None:
    async def broken(writer: asyncio.StreamWriter) -> None:
        await written(writer, OK + b"Content-Length: 100\r\n\r\nshort")

    assert await called(db, broken) == (200, None, "short", "delivered")


async def test_nothing_is_unpacked(db: Database) -> None:
    async def packed(writer: asyncio.StreamWriter) -> None:
        await written(writer, OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\xff")

    assert await called(db, packed) == (200, None, "\x1f\ufffd\ufffd\ufffd", "delivered")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 099999 what\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_answer_has_failed(db: Database, answer: bytes) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        await written(writer, answer)

    status, error, response, state = await called(db, say)
    assert (status, response, state) == (None, None, "failed")
    assert error is not None


@pytest.mark.parametrize("piece", [b"", b"x: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_one_that_never_comes_to_the_point_has_failed_in_time(db: Database, piece: bytes) -> None:
    async def on_and_on(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if piece.startswith(b"HTTP") else OK)
        await for_ever(writer, piece, 0.05)

    status, error, response, state = await called(db, on_and_on)
    assert (status, response, state) == (None, None, "failed")
    assert error is not None


async def test_one_that_hangs_in_tls_has_failed_in_time(db: Database) -> None:
    async def nothing(writer: asyncio.StreamWriter) -> None:
        await for_ever(writer, b"", 0.05)

    assert await called(db, nothing, scheme="https") == (None, "no answer within 1 s", None, "failed")


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u00b2", None),
        ("0", 0.0),
        ("120", 120.0),
        ("9" * 400, 999_999_999.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00", 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 99:99:99 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Mon, 01 Jan 2026 00:00:00 +999999999999", None),
    ],
)
def test_retry_after_is_read_or_passed_over(header: str | None, wait_s: float | None) -> None:
    assert _seconds(header) == wait_s


async def test_a_date_that_is_none_does_not_keep_a_failure_from_being_written(db: Database) -> None:
    async def absurd(writer: asyncio.StreamWriter) -> None:
        date = b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
        await written(writer, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: " + date + b"\r\n\r\n")

    assert await called(db, absurd) == (503, "it answered 503", "", "failed")


async def test_what_nobody_foresaw_is_a_failure_like_any_other(db: Database) -> None:
    owner = await add_owner(db)
    await add_endpoint(db, owner, "http://127.0.0.1:1/")
    await tell(db, owner, uuid7(), "order.created")
    async with delivering(db, delays_s=()) as deliverer:
        await deliverer._caller._session.close()
        await relay_events(db)
        await eventually(lambda: _has_ended(db))
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT last_error FROM webhook_deliveries") == "RuntimeError"
