"""One run of the benchmark `behind`: the worker is held, given work, let go and watched."""

import asyncio
import os
import signal
import statistics
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec

from benchmarks.behind_report import NAMES
from benchmarks.cores import parent_of, pin, usage
from benchmarks.load import Ask, form, run_open
from benchmarks.measure import rate
from benchmarks.stage import PROJECT, Stage, port_of
from benchmarks.stock import QUANTITY, Stock
from benchmarks.upstream import FLOOR_KEY, Panel, ended, going_on
from compat.drafts import Draft
from gateway.catalog.model import Service
from gateway.db.engine import Database
from gateway.orders.placement import Placement
from gateway.processes import spawn
from tests.support.processes import Installation, Running, eventually, plain_environment

WITHIN_S = 120.0
PLACED_AT_ONCE = 1000
NEVER_S = 900.0
"""Between the polls of an order: here it is the bench that says when all are due."""
STRANGERS_MAX = 0.15
"""In cores. Beside more than that a round is taken again, while there are retakes left."""
_OPEN = "status = 'processing'"

Samples = dict[str, list[float]]


class Options(msgspec.Struct, frozen=True):
    """How much and how often; `connections` are those of a provider, to the floor as to the worker."""

    rounds: int = 5
    retakes: int = 3
    orders: int = 6000
    connections: int = 64
    a_second: int = 100
    seconds: float = 10.0
    wallets: int = 100
    simulator: bool = True


class Shop(msgspec.Struct, frozen=True):
    """A service, and where it is bought."""

    service: Service
    url: str
    key: str


class Session:
    """One run on its stage; the worker has the core of what is measured."""

    def __init__(
        self,
        stage: Stage,
        options: Options,
        gateway: Installation,
        db: Database,
        stock: Stock,
        panel: Panel,
        simulated: Shop | None,
    ) -> None:
        self._stage, self._options, self._gateway = stage, options, gateway
        self._db, self._stock, self._panel, self._simulated = db, stock, panel, simulated
        self._placed = 0
        self._taking: Samples = {}
        self.samples: Samples = {}

    async def measure(self) -> None:
        self._worker = self._gateway.work()
        pin(self._worker.popen.pid, self._stage.cores.api)
        self._servers = await _parent_of_backend(self._db)
        await self._all_accepted(self._stock.placed)
        await self._send("warm-up", self._options.orders // 10)
        self.samples = await self._least_disturbed(self._round)
        if self._simulated is not None:
            self.samples |= await self._least_disturbed(self._simulated_round)
        self._taking = self.samples
        await self._by_the_clock()
        await self._end()

    async def _round(self) -> None:
        self._add("floor", await self._floor(self._panel.url, FLOOR_KEY, self._options.orders))
        self._add("sends", await self._send("sends", self._options.orders))
        self._add("polls_moved", await self._poll("polls_moved", QUANTITY - 10))
        self._add("polls", await self._poll("polls", QUANTITY - 10))
        self._add("settles", await self._settle())

    async def _simulated_round(self) -> None:
        if self._simulated is not None:
            count = self._options.orders // 4
            self._add("simulator", await self._floor(self._simulated.url, self._simulated.key, count))
            self._add("simulated", await self._send("simulated", count, self._simulated.service))

    async def _least_disturbed(self, measure: Callable[[], Awaitable[None]]) -> Samples:
        """What was measured in the rounds beside which strangers did the least on these cores."""
        options, taken = self._options, list[tuple[float, Samples]]()
        while len(taken) < options.rounds + options.retakes:
            before, self._taking = usage(os.getpid(), self._stage.cores.all), defaultdict(list)
            await measure()
            _, strangers = usage(os.getpid(), self._stage.cores.all).since(before)
            taken.append((strangers, self._taking))
            if sum(strangers <= STRANGERS_MAX for strangers, _ in taken) >= options.rounds:
                break
        best = sorted(taken, key=lambda each: each[0])[: options.rounds]
        return {name: [value for _, samples in best for value in samples[name]] for name in best[0][1]}

    def _add(self, name: str, value: float) -> None:
        self._taking.setdefault(name, []).append(value)

    async def _send(self, name: str, count: int, service: Service | None = None) -> float:
        """Orders a second. All are there when the first goes out; counted between the first tenth done and the last."""
        with _held(self._worker):
            await self._place(name, count, service or self._stock.service)
        before = self._panel.arrived()
        came = before if service else before + count
        await self._costed(name, count, lambda: self._all_accepted(came))
        return await self._rate_of("a.finished_at", count)

    async def _place(self, name: str, count: int, service: Service) -> None:
        placement = Placement(self._db)
        crowd = self._stock.crowd

        async def place(at: int) -> None:
            draft = Draft(f"https://example.com/{name}/{at}", QUANTITY, {})
            await placement.place(crowd[at % len(crowd)].account, service, draft)

        links = range(self._placed, self._placed + count)
        for start in range(0, count, PLACED_AT_ONCE):
            await asyncio.gather(*(place(at) for at in links[start : start + PLACED_AT_ONCE]))
        self._placed += count
        await placement.close()

    async def _all_accepted(self, arrived: int) -> None:
        """So many have come to the panel, and none is on its way anywhere."""

        async def is_so() -> bool:
            if self._panel.arrived() < arrived or await self._count("dispatch = 'queued'"):
                return False
            async with self._db.connection() as connection:
                return not await connection.fetchval("SELECT count(*) FROM dispatch_attempts WHERE state = 'sending'")

        await eventually(is_so, what=f"{arrived} orders upstream", within_s=WITHIN_S)

    async def _count(self, condition: str) -> int:
        async with self._db.connection() as connection:
            count: int = await connection.fetchval(f"SELECT count(*) FROM orders WHERE {condition}")
        return count

    async def _rate_of(self, column: str, count: int) -> float:
        """Orders a second, of those that were the last to have it."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                f"SELECT extract(epoch FROM {column})::float8 AS at FROM orders o "
                f"JOIN dispatch_attempts a ON a.order_id = o.id ORDER BY {column} DESC NULLS LAST LIMIT $1",
                count,
            )
        return rate([row["at"] for row in rows])

    async def _poll(self, name: str, remains: int) -> float:
        """States a second. All that are open are due at once; at most the remains of each are new."""
        self._panel.tell = going_on(remains)
        self._panel.asked = []
        count = await self._make_due()

        async def asked() -> bool:
            return len(self._panel.asked) >= count and not await self._count(f"{_OPEN} AND remains <> {remains}")

        await self._costed(name, count, lambda: eventually(asked, what=f"{count} states", within_s=WITHIN_S))
        return rate(self._panel.asked)

    async def _settle(self) -> float:
        """Orders a second."""
        self._panel.tell = ended
        self._panel.asked = []
        count = await self._make_due()

        async def settled() -> bool:
            return len(self._panel.asked) >= count and not await self._count(_OPEN)

        await self._costed("settles", count, lambda: eventually(settled, what=f"{count} ends", within_s=WITHIN_S))
        return await self._rate_of("o.completed_at", count)

    async def _end(self) -> None:
        """Until nothing is open; the simulator takes some seconds for each of its own."""
        self._panel.tell = ended
        for _ in range(int(WITHIN_S)):
            if not await self._make_due():
                return
            await asyncio.sleep(1.0)
        raise TimeoutError("orders are still open")

    async def _make_due(self) -> int:
        async with self._db.transaction() as tx:
            done = await tx.execute(
                f"UPDATE order_checks SET next_check_at = now() WHERE order_id IN (SELECT id FROM orders WHERE {_OPEN})"
            )
        return int(done.split()[-1])

    async def _costed(self, name: str, count: int, wait: Callable[[], Awaitable[object]]) -> None:
        """Processor time an order meanwhile, of the worker and of PostgreSQL, in microseconds."""
        pids = {"worker": self._worker.popen.pid, "postgres": self._servers}
        before = {who: usage(pid, frozenset()).process for who, pid in pids.items()}
        await wait()
        for who, pid in pids.items():
            used = usage(pid, frozenset()).process - before[who]
            if (cost := f"{name}_{who}_us") in NAMES:
                self._add(cost, used / count * 1e6)

    async def _floor(self, url: str, key: str, count: int) -> float:
        """Nothing but aiohttp, on the worker's core, which the worker leaves to it."""
        output = self._stage.folder / "floor.txt"
        words = [sys.executable, "-m", "benchmarks.behind", url, key]
        words += [str(count), str(self._options.connections)]
        with output.open("wb") as out:
            client = spawn(words, env=plain_environment(), directory=PROJECT, stdout=out)
        pin(client.pid, self._stage.cores.api)
        assert await asyncio.to_thread(client.wait, WITHIN_S) == 0, "the bare client failed"
        return float(output.read_text())

    async def _by_the_clock(self) -> None:
        """From an order's transaction to its arrival: its time is the beginning of that, so the commit is in it."""
        options, api = self._options, self._stage.answering(self._gateway.begin_serving(), self._stage.cores.rest)
        port = port_of(api)
        service, crowd = str(self._stock.service.number), self._stock.crowd
        fields = {"action": "add", "service": service, "quantity": str(QUANTITY)}
        total = round(options.a_second * options.seconds)
        requests = [
            form(port, {"key": crowd[at % len(crowd)].key, **fields, "link": f"https://example.com/clock/{at}"})
            for at in range(total + 1)
        ]
        before = self._panel.arrived()
        ask = Ask(requests, (b'200 {"order":',))
        await run_open(port, ask, connections=16, seconds=options.seconds, a_second=options.a_second)
        await self._all_accepted(before + total)
        api.ask_to_stop()
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                "SELECT link, extract(epoch FROM created_at)::float8 AS at FROM orders WHERE link LIKE '%/clock/%'"
            )
        waits = [(self._panel.arrivals[row["link"]][0].at - row["at"]) * 1000 for row in rows]
        self._add("latency_p50_ms", statistics.median(waits))
        self._add("latency_p99_ms", statistics.quantiles(waits, n=100)[98])


@contextmanager
def _held(worker: Running) -> Iterator[None]:
    """The worker does nothing in the block, so that it finds all of what is prepared there at once."""
    os.kill(worker.popen.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.popen.pid, signal.SIGCONT)


async def _parent_of_backend(db: Database) -> int:
    async with db.connection() as connection:
        pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return parent_of(pid)
