"""What arrives while a flush is under way goes together; one item's failure is its own."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.batching import Apart, Batcher
from gateway.errors import GatewayError, InsufficientFunds, Unavailable
from tests.support.garbage import gone_at_once

Flush = Callable[[list[int]], Awaitable[list[int | GatewayError]]]


class Gate:
    """Doubles each item, and keeps each flush waiting until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def flush(self, items: list[int]) -> list[int | GatewayError]:
        self.batches.append(items)
        self.entered.set()
        await self.open.wait()
        return [item * 2 for item in items]


def batcher_of(flush: Flush, *, max_batch: int = 8, max_waiting: int = 100) -> Batcher[int, int]:
    return Batcher(flush, max_batch=max_batch, max_waiting=max_waiting, name="numbers")


async def begin(batcher: Batcher[int, int], items: list[int]) -> list[asyncio.Task[int]]:
    """Submit the items in order and let each reach the queue."""
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_a_lone_item_goes_at_once() -> None:
    gate = Gate()
    gate.open.set()
    assert await batcher_of(gate.flush).submit(4) == 8
    assert gate.batches == [[4]]


async def test_what_arrives_during_a_flush_goes_together_in_the_next() -> None:
    gate = Gate()
    batcher = batcher_of(gate.flush)
    first = await begin(batcher, [1])
    await gate.entered.wait()
    later = await begin(batcher, [2, 3, 4])
    gate.open.set()
    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8]
    assert gate.batches == [[1], [2, 3, 4]]


async def test_a_batch_is_never_larger_than_its_bound() -> None:
    gate = Gate()
    batcher = batcher_of(gate.flush, max_batch=3)
    first = await begin(batcher, [0])
    await gate.entered.wait()
    later = await begin(batcher, [1, 2, 3, 4, 5, 6, 7])
    gate.open.set()
    await asyncio.gather(*first, *later)
    assert gate.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]


async def test_one_flush_is_under_way_at_a_time() -> None:
    running = 0
    most = 0

    async def flush(items: list[int]) -> list[int | GatewayError]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return list(items)

    batcher = batcher_of(flush, max_batch=2)
    await asyncio.gather(*(batcher.submit(item) for item in range(20)))
    assert most == 1


async def test_a_second_flush_goes_beside_the_first_once_as_many_wait_as_that_has() -> None:
    gate = Gate()
    batcher = Batcher(gate.flush, max_batch=10, max_waiting=100, name="items", flights=2)
    tasks = await begin(batcher, [1, 2])
    await gate.entered.wait()
    tasks += await begin(batcher, [3])
    assert gate.batches == [[1, 2]]
    tasks += await begin(batcher, [4])
    assert gate.batches == [[1, 2], [3, 4]]
    tasks += await begin(batcher, [5, 6, 7, 8])
    assert gate.batches == [[1, 2], [3, 4]]
    gate.open.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert gate.batches[2:] == [[5, 6, 7, 8]]


async def test_more_than_may_wait_are_refused_and_nothing_is_done_for_them() -> None:
    gate = Gate()
    batcher = batcher_of(gate.flush, max_waiting=2)
    first = await begin(batcher, [1])
    await gate.entered.wait()
    waiting = await begin(batcher, [2, 3])
    with pytest.raises(Unavailable) as refusal:
        await batcher.submit(4)
    assert refusal.value.placed is False
    gate.open.set()
    assert await asyncio.gather(*first, *waiting) == [2, 4, 6]
    assert gate.batches == [[1], [2, 3]]


async def test_a_refusal_goes_to_its_own_caller_alone() -> None:
    async def flush(items: list[int]) -> list[int | GatewayError]:
        return [InsufficientFunds() if item == 2 else item for item in items]

    batcher = batcher_of(flush)
    results = await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3)), return_exceptions=True)
    assert [type(result) for result in results] == [int, InsufficientFunds, int]


async def test_a_refusal_is_gone_once_its_caller_has_it() -> None:
    async def flush(items: list[int]) -> list[int | GatewayError]:
        return [InsufficientFunds() for _ in items]

    batcher, refused = batcher_of(flush), False
    with gone_at_once(InsufficientFunds):
        try:
            await batcher.submit(1)
        except InsufficientFunds:  # not by pytest, which keeps what it saw
            refused = True
        await asyncio.sleep(0)  # the turn of the loop in which the future woke us holds it
    assert refused


async def test_a_failure_of_the_whole_batch_goes_to_all_its_callers() -> None:
    flushed: list[list[int]] = []

    async def flush(items: list[int]) -> list[int | GatewayError]:
        flushed.append(items)
        raise Unavailable("the database does not answer", placed=False)

    batcher = batcher_of(flush)
    results = await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert flushed == [[1, 2, 3]]


@pytest.mark.parametrize("culprit", range(8))
async def test_an_unexpected_failure_is_halved_until_the_culprit_stands_alone(culprit: int) -> None:
    done: list[int] = []

    async def flush(items: list[int]) -> list[int | GatewayError]:
        if culprit in items:
            raise ZeroDivisionError("a fault of one item")
        done.extend(items)
        return list(items)

    batcher = batcher_of(flush)
    results = await asyncio.gather(*(batcher.submit(item) for item in range(8)), return_exceptions=True)
    assert [item for item, result in enumerate(results) if isinstance(result, ZeroDivisionError)] == [culprit]
    assert sorted(done) == [item for item in range(8) if item != culprit]


async def test_a_batch_is_parted_as_its_flush_says() -> None:
    batches: list[list[int]] = []

    async def flush(items: list[int]) -> list[int | GatewayError]:
        batches.append(items)
        odd = [at for at, item in enumerate(items) if item % 2]
        if 0 < len(odd) < len(items):
            raise Apart(odd)
        return [item * 2 for item in items]

    batcher = batcher_of(flush)
    assert await asyncio.gather(*(batcher.submit(item) for item in range(5))) == [0, 2, 4, 6, 8]
    assert batches == [[0, 1, 2, 3, 4], [1, 3], [0, 2, 4]]


async def test_a_batcher_works_on_after_a_failure() -> None:
    async def flush(items: list[int]) -> list[int | GatewayError]:
        if 0 in items:
            raise ZeroDivisionError
        return list(items)

    batcher = batcher_of(flush)
    with pytest.raises(ZeroDivisionError):
        await batcher.submit(0)
    assert await batcher.submit(7) == 7


async def test_a_cancelled_caller_leaves_its_item_and_its_neighbours_alone() -> None:
    gate = Gate()
    batcher = batcher_of(gate.flush)
    first = await begin(batcher, [1])
    await gate.entered.wait()
    gone, stays = await begin(batcher, [2, 3])
    gone.cancel()
    gate.open.set()
    assert await stays == 6
    assert await first[0] == 2
    assert gate.batches == [[1], [2, 3]]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_close_waits_until_all_is_answered() -> None:
    gate = Gate()
    batcher = batcher_of(gate.flush)
    tasks = await begin(batcher, [1])
    closing = asyncio.create_task(batcher.close())
    await gate.entered.wait()
    assert not closing.done()
    gate.open.set()
    await closing
    assert [task.done() for task in tasks] == [True]
    await batcher_of(gate.flush).close()


async def test_a_flush_that_answers_too_few_tells_every_caller() -> None:
    async def flush(items: list[int]) -> list[int | GatewayError]:
        return list(items[1:])

    batcher = batcher_of(flush)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(batcher.submit(item) for item in (1, 2)), return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)


async def test_callers_of_a_halved_flush_that_is_cancelled_are_answered_all() -> None:
    halves = asyncio.Event()

    async def flush(items: list[int]) -> list[int | GatewayError]:
        if len(items) > 1:
            raise ZeroDivisionError
        halves.set()
        await asyncio.Event().wait()
        return []

    batcher = batcher_of(flush)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in (1, 2, 3)]
    await halves.wait()
    [flight] = [task for task in asyncio.all_tasks() if task.get_name().startswith("batch ")]
    flight.cancel()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 3
