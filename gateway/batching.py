"""Natural batching: what arrives while one flush is under way goes together in the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

from gateway.errors import GatewayError, Unavailable

In = TypeVar("In")
Out = TypeVar("Out")


class Apart(Exception):
    """A flush did nothing: those at `places`, some and not all, are to be flushed before the others, alone."""

    def __init__(self, places: Collection[int]) -> None:
        super().__init__(f"{len(places)} apart from the others")
        self.places = places


class Batcher(Generic[In, Out]):
    """Shares one `flush` between the callers that wait at the same moment.

    There is no timer: an idle batcher flushes a lone item at once. At most `flights` flushes are
    under way at a time, and one beside another only once as many items wait as that has: so batches
    do not grow small. `flush` answers one result an item, in order; a result that is a `GatewayError` is
    raised to its own caller alone. When a flush fails as a whole, a `GatewayError` goes to all
    its callers, `Apart` parts the batch, and anything else is taken for the fault of one item: the batch
    is halved until that item stands alone. So `flush` must have left no effect behind when it raises something
    other than a `GatewayError`.
    """

    def __init__(
        self,
        flush: Callable[[list[In]], Awaitable[list[Out | GatewayError]]],
        *,
        max_batch: int,
        max_waiting: int,
        name: str,
        flights: int = 1,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._name = name
        self._waiting: deque[tuple[In, asyncio.Future[Out]]] = deque()
        self._max_flights = flights
        self._flights: set[asyncio.Task[None]] = set()
        self._in_flight = 0

    async def submit(self, item: In) -> Out:
        """The item's own result.

        A caller that is cancelled leaves its item in the batch: it may already be written.

        Raises:
            Unavailable: too many callers wait already; nothing was done for this one.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._name}: too many waiting", placed=False)
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._flights or (len(self._flights) < self._max_flights and self._in_flight and self._is_worth_it()):
            self._flights.add(asyncio.create_task(self._run(), name=f"batch {self._name}"))
        try:
            return await future
        finally:
            del future  # a refusal in it holds this frame, and with it all that waited until it is collected

    async def close(self) -> None:
        """Wait until all that was submitted is answered."""
        while self._flights:
            await asyncio.gather(*self._flights)

    def _is_worth_it(self) -> bool:
        return len(self._waiting) >= self._in_flight

    async def _run(self) -> None:
        flight = asyncio.current_task()
        try:
            while self._waiting and self._is_worth_it():
                size = min(len(self._waiting), self._max_batch)
                batch = [self._waiting.popleft() for _ in range(size)]
                self._in_flight += size
                try:
                    await self._answer(batch)
                finally:
                    self._in_flight -= size
                    for _, future in batch:
                        future.cancel()  # those that a cancelled flush left without an answer
        finally:
            assert flight is not None, "a flush is a task"
            self._flights.discard(flight)

    async def _answer(self, batch: list[tuple[In, asyncio.Future[Out]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except GatewayError as error:
            _fail(batch, error)
            del batch  # its futures have the error, which names this frame
            return
        except Exception as error:  # of any flush: whose item it was is found out, and his caller told
            if len(batch) > 1:
                first = error.places if isinstance(error, Apart) else range(len(batch) // 2)
                await self._answer([each for at, each in enumerate(batch) if at in first])
                await self._answer([each for at, each in enumerate(batch) if at not in first])
            else:
                _fail(batch, error)
            return
        if len(results) != len(batch):
            _fail(batch, RuntimeError(f"{self._name}: {len(results)} results for {len(batch)} items"))
            return
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, GatewayError):
                future.set_exception(result)
            else:
                future.set_result(result)


def _fail(batch: list[tuple[In, asyncio.Future[Out]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
