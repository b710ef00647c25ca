"""The benchmark `webhooks`: deliveries of one worker process beside aiohttp's bare client, in turn, in one run.

Both have one core, post the same bytes over as many connections and are answered by the same receiver, which is on
the other core with the servers. Then what one receiver that hangs costs the others: from an event's commit to
its arrival, at p99.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import uvloop
from uuid_utils.compat import uuid7

from benchmarks.cores import pin
from benchmarks.measure import Table, rate
from benchmarks.posts import answering_posts
from benchmarks.report import describe_machine, find_commit
from benchmarks.stage import PROJECT, Stage, open_stage, sync_ms
from gateway.db import migrate
from gateway.db.engine import Database
from gateway.events import store as events
from gateway.events.payloads import OrderData
from gateway.events.store import Event
from gateway.keyring import Keyring
from gateway.processes import spawn
from gateway.webhooks import endpoints, store
from tests.support.hooks import add_owner
from tests.support.processes import Installation, eventually, plain_environment

OBJECTS = 2000
ENDPOINTS = 8
CONNECTIONS = 200
WITHIN_S = 120.0
A_SECOND = 200
SAID = OrderData(number=100_001, status="completed", price="0.09", charge="0.09", remains=0, currency="USD")
BODY = msgspec.json.encode({"type": "order.completed", "version": 1, "sequence": 3, "data": SAID, "id": UUID(int=7)})
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Options(msgspec.Struct, frozen=True):
    """`deliveries` a round; `beside_s` is how long the latencies are looked at."""

    rounds: int = 5
    deliveries: int = 8000
    beside_s: float = 10.0


QUICK = Options(rounds=2, deliveries=2000, beside_s=2.0)
SHORTEST = Options(rounds=1, deliveries=400, beside_s=0.5)


class Found(msgspec.Struct):
    """The table, and what it was found on."""

    table: Table
    machine: dict[str, Any]

    def show(self) -> None:
        self.table.show("webhooks")

    def write(self, path: Path) -> None:
        self.table.write(path, self.machine, find_commit())


class Receiver:
    """Takes every POST and notes when it had it, by the id of its message; `/hang` is never answered."""

    def __init__(self) -> None:
        self.url = ""
        self.arrivals: dict[bytes, float] = {}

    def begin(self) -> None:
        self.arrivals = {}

    def take(self, head: bytes, _body: bytes) -> bytes | None:
        if head.startswith(b"post /hang"):
            return None
        name = head.partition(b"webhook-id: ")[2].partition(b"\r\n")[0]
        self.arrivals.setdefault(name, time.perf_counter())
        return TAKEN


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with answering_posts(receiver.take) as receiver.url:
        yield receiver


def run(options: Options) -> Found:
    """In the main thread; starts everything, measures and ends everything."""
    with open_stage() as stage, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        table = runner.run(_run(stage, options))
        return Found(table, describe_machine(stage.cores.told, [sync_ms(stage.folder)]))


async def _run(stage: Stage, options: Options) -> Table:
    await migrate.upgrade(stage.database_url)
    gateway = stage.gateway(stage.database_url)
    db = await Database.open(stage.database_url)
    async with receiving() as receiver:
        owners = [await add_owner(db) for _ in range(ENDPOINTS)]
        for owner in owners:
            await add_endpoint(db, gateway, owner, f"{receiver.url}/hook")
        worker = gateway.work()
        pin(worker.popen.pid, stage.cores.api)
        await deliver(db, owners, receiver, options.deliveries)
        ours, bare, alone, beside = list[float](), list[float](), list[float](), list[float]()
        for _ in range(options.rounds):
            bare.append(await floor(stage, receiver, options.deliveries))
            ours.append(await deliver(db, owners, receiver, options.deliveries))
        for _ in range(options.rounds):
            alone.append(await p99_ms(db, owners, receiver, options.beside_s))
            async with hanging(db, gateway, owners, f"{receiver.url}/hang"):
                beside.append(await p99_ms(db, owners, receiver, options.beside_s))
        async with db.connection() as connection:
            failed = await connection.fetchval("SELECT count(*) FROM webhook_deliveries WHERE state = 'failed'")
        assert failed == 0, f"{failed} deliveries failed"
    await db.close()
    return Table(
        [
            ("aiohttp's bare client", bare, "deliveries a second"),
            ("one worker process", ours, "deliveries a second"),
            ("ratio (at least 0.5)", [one / other for one, other in zip(ours, bare, strict=True)], ""),
            ("p99 of a delivery, alone", alone, "ms"),
            ("p99 of a delivery, beside receivers that hang", beside, "ms"),
            ("ratio (at most 1.05)", [one / other for one, other in zip(beside, alone, strict=True)], ""),
        ],
        [
            f"{options.deliveries} deliveries a round, of {OBJECTS} objects to {ENDPOINTS} endpoints.",
            f"{A_SECOND} events a second for the latencies, from their commit to their arrival.",
        ],
    )


async def add_endpoint(db: Database, gateway: Installation, owner: UUID, url: str) -> UUID:
    async with db.transaction() as tx:
        endpoint, _ = await endpoints.create(
            tx, Keyring(gateway.settings.secret_key), owner, url=url, wanted=["order.*"], description=None,
            allow_private=True,
        )  # fmt: skip
    return endpoint.id


async def deliver(db: Database, owners: list[UUID], receiver: Receiver, count: int) -> float:
    """Deliveries a second, of events that are all there when the first goes out, or nearly."""
    receiver.begin()
    things = [uuid7() for _ in range(OBJECTS)]
    turns = zip(itertools.cycle(things), itertools.cycle(owners), range(count), strict=False)
    async with db.transaction() as tx:
        await events.insert(tx, [Event("order.completed", owner, "order", thing, SAID) for thing, owner, _ in turns])
    await all_arrived(receiver, count)
    return rate(list(receiver.arrivals.values()))


async def all_arrived(receiver: Receiver, count: int) -> None:
    async def have() -> bool:
        return len(receiver.arrivals) >= count

    await eventually(have, what=f"{count} deliveries", within_s=WITHIN_S)


async def floor(stage: Stage, receiver: Receiver, count: int) -> float:
    receiver.begin()
    words = [sys.executable, "-m", "benchmarks.webhooks", f"{receiver.url}/hook", str(count)]
    client = spawn(words, env=plain_environment(), directory=PROJECT)
    pin(client.pid, stage.cores.api)
    await all_arrived(receiver, count)
    client.wait(WITHIN_S)
    return rate(list(receiver.arrivals.values()))


async def post_all(url: str, count: int) -> None:
    """The floor: nothing but aiohttp."""
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post() -> None:
            for number in numbers:
                headers = {"content-type": "application/json", "webhook-id": str(number)}
                async with session.post(url, data=BODY, headers=headers) as answer:
                    await answer.read()

        await asyncio.gather(*(post() for _ in range(CONNECTIONS)))


@asynccontextmanager
async def hanging(db: Database, gateway: Installation, owners: list[UUID], url: str) -> AsyncIterator[None]:
    """Half of the users have an endpoint more, which takes everything and answers nothing."""
    slow = [await add_endpoint(db, gateway, owner, url) for owner in owners[::2]]
    try:
        yield
    finally:
        async with db.transaction() as tx:
            for webhook_id in slow:
                await store.remove(tx, webhook_id)


async def p99_ms(db: Database, owners: list[UUID], receiver: Receiver, seconds: float) -> float:
    """Of events that are written one by one, by the clock."""
    receiver.begin()
    written: dict[bytes, float] = {}
    begin, count = time.perf_counter(), int(A_SECOND * seconds)
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / A_SECOND - time.perf_counter()))
        thing = uuid7()
        async with db.transaction() as tx:
            await events.insert(tx, [Event("order.completed", owners[number % len(owners)], "order", thing, SAID)])
            name = await tx.fetchval("SELECT id FROM events WHERE object_id = $1", thing)
        written[str(name).encode()] = time.perf_counter()
    await all_arrived(receiver, count)
    waits = [(receiver.arrivals[name] - at) * 1000 for name, at in written.items()]
    return statistics.quantiles(waits, n=100)[98]


if __name__ == "__main__":
    uvloop.run(post_all(sys.argv[1], int(sys.argv[2])))
