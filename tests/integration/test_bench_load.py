"""The load of the benchmarks: a wrong or lost answer is no figure, and a stall is felt by all who were due in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import Ask, BrokenLoad, fetch, form, run_closed, run_open

RIGHT = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"order":1}'
Answer = Callable[[int], Awaitable[bytes]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    """Its port; `answer` gives the bytes for the request of that number, none of them to hang up."""
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and await reader.readexactly(length_of(head)):
                asked += 1
                said = await answer(asked)
                writer.write(said)
                if not said:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the load is over
        finally:
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def length_of(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])


def ask(port: int) -> Ask:
    return Ask([form(port, {"key": "k", "action": "add"})], (b'200 {"order":',))


async def test_a_closed_loop_counts_each_right_answer() -> None:
    async def right(number: int) -> bytes:
        counted.append(number)
        return RIGHT

    counted: list[int] = []
    async with server(right) as port:
        outcome = await run_closed(port, ask(port), connections=4, seconds=0.1)
        assert outcome.right == len(counted) > 4
        assert outcome.in_time <= outcome.right
        assert (await fetch(port, ask(port).requests[0]))[1] == b'{"order":1}'


@pytest.mark.parametrize(
    "wrong",
    [b'HTTP/1.1 503 No\r\nContent-Length: 11\r\n\r\n{"order":1}', RIGHT.replace(b"order", b"error"), b""],
    ids=["status", "body", "hung up"],
)
async def test_an_answer_that_is_wrong_or_lost_leaves_no_figure(wrong: bytes) -> None:
    async def third_is_wrong(number: int) -> bytes:
        return wrong if number == 3 else RIGHT

    async with server(third_is_wrong) as port:
        with pytest.raises(BrokenLoad):
            await run_closed(port, ask(port), connections=2, seconds=5)


async def test_a_stall_counts_for_every_request_that_was_due_in_it() -> None:
    async def first_stalls(number: int) -> bytes:
        await asyncio.sleep(0.3 if number == 1 else 0)
        return RIGHT

    async with server(first_stalls) as port:
        by_the_clock = await run_open(port, ask(port), connections=1, seconds=0.4, a_second=100)
    assert by_the_clock.right == 40
    assert sum(latency > 0.05 for latency in by_the_clock.latencies) >= 20


async def test_the_rate_of_an_open_loop_is_what_was_answered_not_what_was_asked() -> None:
    async def none_within_the_seconds(number: int) -> bytes:
        await asyncio.sleep(0.3)
        return RIGHT

    async with server(none_within_the_seconds) as port:
        outcome = await run_open(port, ask(port), connections=20, seconds=0.1, a_second=200)
    assert outcome.right == 20
    assert outcome.rate < 100


async def test_a_long_answer_is_read_to_its_end() -> None:
    long = b'HTTP/1.1 200 OK\r\ncontent-length: 1000011\r\n\r\n{"order":1}' + b" " * 1_000_000

    async def at_length(number: int) -> bytes:
        return long

    async with server(at_length) as port:
        outcome = await run_closed(port, ask(port), connections=2, seconds=0.1)
    assert outcome.right > 2
