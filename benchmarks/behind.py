"""The benchmark `behind`: what one worker process sends, asks and settles, beside aiohttp's bare client.

It ends with `gateway ledger verify`, and with the count of what was placed beside what the upstream got and said.
"""

import asyncio
import dataclasses
import os
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import msgspec
import uvloop

from benchmarks import behind_report as report
from benchmarks.cores import parent_of, pin, usage
from benchmarks.load import Ask, form, run_open
from benchmarks.stage import PROJECT, Stage, open_stage, port_of
from benchmarks.stock import QUANTITY, Size, Stock, add_stock
from benchmarks.upstream import FLOOR_KEY, KEY, Panel, ended, going_on, open_panel
from compat.drafts import Draft
from gateway.db import migrate
from gateway.db.engine import Database
from gateway.orders.placement import Placement
from gateway.processes import spawn
from gateway.providers.actions import set_api_key
from tests.support.processes import UPSTREAM_KEY, Installation, Running, eventually, plain_environment

WITHIN_S = 120.0
PLACED_AT_ONCE = 1000
NEVER_S = 900.0
"""Between the polls of an order: here it is the bench that says when all are due."""


class Options(msgspec.Struct, frozen=True):
    """How much and how often; `connections` are those of a provider, to the floor as to the worker."""

    rounds: int = 5
    orders: int = 6000
    connections: int = 64
    a_second: int = 100
    seconds: float = 10.0
    wallets: int = 100
    simulator: bool = True


QUICK = Options(rounds=2, orders=2000, seconds=3.0)
SHORTEST = Options(rounds=1, orders=60, connections=16, seconds=0.3, wallets=5, simulator=False)


def run(options: Options) -> report.Report:
    """In the main thread. Starts everything, measures, proves what came of each order, and ends everything.

    Raises:
        AssertionError: an order is lost, was sent twice or is not what the upstream said; or the books are not clean.
    """
    with open_stage() as stage, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(stage, options))


async def _run(stage: Stage, options: Options) -> report.Report:
    await migrate.upgrade(stage.database_url)
    plain = stage.gateway(stage.database_url)
    rarely = {"check_interval_min_s": NEVER_S, "check_interval_max_s": NEVER_S}
    gateway = dataclasses.replace(plain, extra={**plain.extra, **rarely})
    db = await Database.open(stage.database_url)
    try:
        async with open_panel() as panel:
            stock = await add_stock(db, gateway.keyring, Size(options.wallets, 1, 0, 0))
            await _lead(db, gateway, panel, options.connections)
            session = Session(stage, options, gateway, db, stock, panel)
            await session.measure()
            verified = await gateway.command("ledger", "verify")
            placed = await _prove(db, panel)
    finally:
        await db.close()
    return report.Report.of(session.samples, msgspec.to_builtins(options), stage, placed, verified)


async def _lead(db: Database, gateway: Installation, panel: Panel, connections: int) -> None:
    async with db.transaction() as tx:
        provider_id: UUID = await tx.fetchval(
            "UPDATE providers SET api_endpoint = $1, max_in_flight = $2 RETURNING id", panel.url, connections
        )
        await set_api_key(tx, gateway.keyring, provider_id, KEY)


class Session:
    """One run on its stage; the worker has the core of what is measured."""

    def __init__(
        self, stage: Stage, options: Options, gateway: Installation, db: Database, stock: Stock, panel: Panel
    ) -> None:
        self._stage, self._options, self._gateway = stage, options, gateway
        self._db, self._stock, self._panel = db, stock, panel
        self._links = 0
        self.samples: dict[str, list[float]] = {}

    async def measure(self) -> None:
        options = self._options
        self._worker = self._gateway.work()
        pin(self._worker.popen.pid, self._stage.cores.api)
        self._servers = await _parent_of_backend(self._db)
        await self._all_arrived(self._stock.placed)
        await self._send(options.orders // 10, "warm-up")
        for _ in range(options.rounds):
            self._add("floor", await self._floor(self._panel.url, FLOOR_KEY))
            await self._send(options.orders, "sends")
            await self._poll("polls_moved", QUANTITY - 10)
            await self._poll("polls", QUANTITY - 10)
            await self._settle()
        if options.simulator:
            upstream = self._gateway.processes.simulator()
            self._add("simulator", await self._floor(upstream.url, UPSTREAM_KEY))
        await self._by_the_clock()
        await self._settle("ends")
        del self.samples["warm-up"], self.samples["ends"]

    def _add(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)

    async def _send(self, count: int, name: str) -> None:
        """All are there when the first goes out; a rate is that between the first tenth that is done and the last."""
        with _held(self._worker):
            await self._place(count)
        before = self._panel.arrived()
        await self._costed(name, count, lambda: self._all_arrived(before + count))
        self._add(name, await self._rate_of("a.finished_at", count))

    async def _place(self, count: int) -> None:
        placement = Placement(self._db)
        crowd = self._stock.crowd

        async def place(at: int) -> None:
            draft = Draft(f"https://example.com/behind/{at}", QUANTITY, {})
            await placement.place(crowd[at % len(crowd)].account, self._stock.service, draft)

        links = range(self._links, self._links + count)
        for start in range(0, count, PLACED_AT_ONCE):
            await asyncio.gather(*(place(at) for at in links[start : start + PLACED_AT_ONCE]))
        self._links += count
        await placement.close()

    async def _all_arrived(self, count: int) -> None:
        """And are recorded as accepted."""

        async def have() -> bool:
            return self._panel.arrived() >= count and not await self._count("dispatch <> 'accepted'")

        await eventually(have, what=f"{count} orders upstream", within_s=WITHIN_S)

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
        return report.rate([row["at"] for row in rows])

    async def _poll(self, name: str, remains: int) -> None:
        """All that are open are due at once, and of none there is anything new but, the first time, its remains."""
        self._panel.tell = going_on(remains)
        self._panel.asked = []
        count = await self._make_due()

        async def asked() -> bool:
            return len(self._panel.asked) >= count and not await self._count(f"{_OPEN} AND remains <> {remains}")

        await self._costed(name, count, lambda: eventually(asked, what=f"{count} states", within_s=WITHIN_S))
        self._add(name, report.rate(self._panel.asked))

    async def _settle(self, name: str = "settles") -> None:
        self._panel.tell = ended
        count = await self._make_due()

        async def settled() -> bool:
            return not await self._count(_OPEN)

        await self._costed(name, count, lambda: eventually(settled, what=f"{count} ends", within_s=WITHIN_S))
        self._add(name, await self._rate_of("o.completed_at", count))

    async def _make_due(self) -> int:
        async with self._db.transaction() as tx:
            done = await tx.execute(f"UPDATE orders SET next_check_at = now() WHERE {_OPEN}")
        return int(done.split()[-1])

    async def _costed(self, name: str, count: int, wait: Callable[[], Awaitable[object]]) -> None:
        """Processor time an order meanwhile, of the worker and of PostgreSQL, in microseconds."""
        pids = {"worker": self._worker.popen.pid, "postgres": self._servers}
        before = {who: usage(pid, frozenset()).process for who, pid in pids.items()}
        await wait()
        for who, pid in pids.items():
            used = usage(pid, frozenset()).process - before[who]
            if name in ("sends", "polls", "polls_moved", "settles"):
                self._add(f"{name}_{who}_us", used / count * 1e6)

    async def _floor(self, url: str, key: str) -> float:
        """Nothing but aiohttp, on the worker's core, which the worker leaves to it."""
        output = self._stage.folder / "floor.txt"
        words = [sys.executable, "-m", "benchmarks.behind", url, key]
        words += [str(self._options.orders), str(self._options.connections)]
        with output.open("wb") as out:
            client = spawn(words, env=plain_environment(), directory=PROJECT, stdout=out)
        pin(client.pid, self._stage.cores.api)
        assert await asyncio.to_thread(client.wait, WITHIN_S) == 0, "the bare client failed"
        return float(output.read_text())

    async def _by_the_clock(self) -> None:
        """From an order's transaction to its arrival: its time is the beginning of that, so the commit is in it."""
        options, port = self._options, port_of(api := self._stage.answering(self._gateway.begin_serving(), self._rest))
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
        await self._all_arrived(before + total)
        api.ask_to_stop()
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                "SELECT link, extract(epoch FROM created_at)::float8 AS at FROM orders WHERE link LIKE '%/clock/%'"
            )
        waits = [(self._panel.arrivals[row["link"]][0].at - row["at"]) * 1000 for row in rows]
        self._add("latency_p50_ms", statistics.median(waits))
        self._add("latency_p99_ms", statistics.quantiles(waits, n=100)[98])

    @property
    def _rest(self) -> frozenset[int]:
        return self._stage.cores.rest


_OPEN = "status = 'processing'"


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


async def _prove(db: Database, panel: Panel) -> int:
    """Every order is at the upstream once, and is here what was said of it there; how many there are."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT link, external_order_id, status, remains, charge, price FROM orders")
    came = sorted((link, str(arrival.number)) for link, each in panel.arrivals.items() for arrival in each)
    assert came == sorted((row["link"], row["external_order_id"]) for row in rows), (
        f"{len(rows)} here, {len(came)} came"
    )
    for row in rows:
        word, remains = panel.said[int(row["external_order_id"])]
        assert row["status"] == {"Canceled": "cancelled"}.get(word, word.lower()), (row, word)
        assert row["remains"] == remains, row
        assert row["charge"] == row["price"] * (QUANTITY - remains) / QUANTITY, row
    return len(rows)


async def post_all(url: str, key: str, count: int, connections: int) -> float:
    """The floor: answers a second."""
    links = iter(range(count))
    times: list[float] = []
    sent = {"service": "1", "quantity": str(QUANTITY), "idempotency_key": str(UUID(int=7)), "action": "add", "key": key}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def post() -> None:
            for link in links:
                body = urlencode({"link": f"https://example.com/floor/{link}", **sent})
                async with session.post(url, data=body.encode(), headers=headers) as answer:
                    assert (await answer.read()).startswith(b'{"order":')
                times.append(time.perf_counter())

        await asyncio.gather(*(post() for _ in range(connections)))
    return report.rate(times)


def _main(words: Sequence[str]) -> None:
    url, key, count, connections = words
    print(uvloop.run(post_all(url, key, int(count), int(connections))))


if __name__ == "__main__":
    _main(sys.argv[1:])
