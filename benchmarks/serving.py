"""The benchmark `requests`: one API process beside floors that do nothing, in turn, in one run.

It ends with `gateway ledger verify` and with the count of orders beside that of the answers that promised one.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

import asyncpg
import msgspec
import uvloop

from benchmarks import floors, pgbench, subjects
from benchmarks.contenders import Asked, Contender, Sample
from benchmarks.load import fetch
from benchmarks.report import Proof, Report, Samples, describe_machine, find_commit, median_rate
from benchmarks.stage import Stage, count_lines, open_stage, port_of, sync_ms
from benchmarks.stock import Size, Stock, add_stock
from gateway.db import migrate
from gateway.db.engine import Database
from tests.support.processes import Installation, Running

STRANGERS_MAX = 0.15
"""In cores. A sample beside more than that is taken again, while there are retakes left."""


ORDER = (
    *("socket", "asgi", "pgbench", "pgbench_hot", "add_hot_wallet", "fastapi", "add", "form", "status", "wrong_key"),
    *("new_wrong_key", "limit_reached", "no_funds", "bytes", "services", "status_100"),
)
"""Of a round: a floor beside what is compared with it, since a machine may be slower a minute later."""
PAIR = ("status", "add")
"""What one client alone, and two processes beside one, are measured with."""


class Options(msgspec.Struct, frozen=True):
    """How long and how often; `retakes` are for samples that strangers on the same cores disturbed."""

    rounds: int = 5
    seconds: float = 4.0
    warm_up_s: float = 2.0
    connections: int = 256
    retakes: int = 30
    size: Size = Size()


QUICK = Options(rounds=2, seconds=0.7, warm_up_s=0.25, retakes=0)
SHORTEST = Options(
    rounds=1,
    seconds=0.12,
    warm_up_s=0.05,
    connections=16,
    retakes=0,
    size=Size(wallets=50, services=200, askers_of_many=5, orders_of_many=100),
)


def run(options: Options) -> Report:
    """In the main thread. Starts everything, measures, proves the books and ends everything.

    Raises:
        BrokenLoad: an answer was wrong or lost.
        AssertionError: the books are not clean, or orders and answers do not agree.
    """
    with open_stage() as stage, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(stage, options))


async def _run(stage: Stage, options: Options) -> Report:
    url, commit = stage.database_url, find_commit()
    servers = {name: stage.begin_floor(name) for name in ("socket", *floors.APPS) if name != "bytes"}
    await migrate.upgrade(url)
    gateway = stage.gateway(url)
    stock = await add_stock_to(gateway, options.size)
    await pgbench.prepare(url, stock)
    session = Session(stage, options, stock, gateway)
    samples = await session.measure(servers)
    orders = await prove_orders(gateway, stock.placed + session.placed)
    return Report(
        commit=commit,
        machine=describe_machine(stage.cores.told, session.syncs_ms),
        options=options,
        samples=samples,
        orders=orders,
        retaken=session.retaken,
        local_limits=session.local_limits,
    )


async def add_stock_to(gateway: Installation, size: Size) -> Stock:
    db = await Database.open(gateway.database_url)
    try:
        stock = await add_stock(db, gateway.keyring, size)
    finally:
        await db.close()
    admin = await asyncpg.connect(gateway.database_url)
    try:
        await admin.execute("VACUUM ANALYZE")  # what autovacuum has done a minute later
    finally:
        await admin.close()
    return stock


async def prove_orders(gateway: Installation, answered: int) -> Proof:
    """The command fails where the books are not clean."""
    verified = await gateway.command("ledger", "verify")
    there = await count_orders(gateway.database_url)
    assert there == answered, f"{there} orders, but {answered} answers that promised one"
    return Proof(there, answered, verified)


async def count_orders(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM orders")
    finally:
        await connection.close()
    return count


class Session:
    """One run on its stage: `placed` counts the orders that answers promised, `retaken` the samples taken again.

    `local_limits` is how often Redis did not answer in time, after which a process limits by itself for a while.
    """

    def __init__(self, stage: Stage, options: Options, stock: Stock, gateway: Installation) -> None:
        self._stage, self._options, self._stock, self._gateway = stage, options, stock, gateway
        self._met: list[Contender] = []
        self.retaken = self.local_limits = 0
        self.syncs_ms: list[float] = []

    @property
    def placed(self) -> int:
        return sum(contender.placed for contender in self._met if contender.places)

    async def measure(self, floors: Mapping[str, Running]) -> Samples:
        """Everything, beside floors that were begun."""
        options = self._options
        api = self._stage.serve(self._gateway)
        contenders = sorted(
            [*self._floors(floors), *await self._subjects(api)], key=lambda each: ORDER.index(each.name)
        )
        samples = await self.in_turn(contenders, options.rounds, options.seconds)
        idle = [self._idle(api, name) for name in PAIR]
        samples |= await self.in_turn(idle, options.rounds, options.seconds / 2)
        half = max(median_rate(samples["add"]) / 2, 1.0)
        clock = subjects.add_by_the_clock(api, self._stage.cores, self._stock, options.connections, half)
        samples |= await self.in_turn([clock], options.rounds, 2 * options.seconds)
        two = self._stage.serve(self._gateway, workers=2)
        pairs = [self._named(server, name, suffix) for server, suffix in ((api, "one"), (two, "two")) for name in PAIR]
        samples |= await self.in_turn(pairs, options.rounds, options.seconds)
        self.local_limits = sum(count_lines(server, b"rate limits are local") for server in (api, two))
        return samples

    def _floors(self, servers: Mapping[str, Running]) -> list[Contender]:
        stage, cores, connections = self._stage, self._stage.cores, self._options.connections
        found: list[Contender] = [
            subjects.floor(name, stage.answering(server), cores, connections) for name, server in servers.items()
        ]
        for name, hot in (("pgbench", False), ("pgbench_hot", True)):
            found.append(pgbench.Pgbench(name, stage.database_url, cores, self._stock, stage.folder, hot=hot))
        return found

    async def _subjects(self, api: Running) -> list[Contender]:
        stage, connections = self._stage, self._options.connections
        _, listed = await fetch(port_of(api), subjects.services_request(api, self._stock))
        server = stage.answering(stage.begin_floor("bytes", listed))
        same = subjects.floor("bytes", server, stage.cores, connections, b'200 [{"service":')
        return [same, *subjects.subjects(api, stage.cores, self._stock, connections)]

    def _idle(self, api: Running, name: str) -> Asked:
        """One client alone."""
        return self._named(api, name, "idle", connections=1)

    def _named(self, server: Running, name: str, suffix: str, connections: int | None = None) -> Asked:
        found = subjects.subjects(server, self._stage.cores, self._stock, connections or self._options.connections)
        [asked] = [asked for asked in found if asked.name == name]
        asked.name = f"{name}_{suffix}"
        return asked

    async def in_turn(self, contenders: Sequence[Contender], rounds: int, seconds: float) -> Samples:
        """One sample of each a round, forwards and backwards by turns, after a warm-up that counts nothing."""
        self._met += contenders
        for contender in contenders:
            await contender.sample(self._options.warm_up_s)
        samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
        for number in range(rounds):
            self.syncs_ms.append(sync_ms(self._stage.folder))
            for contender in contenders if number % 2 == 0 else reversed(contenders):
                samples[contender.name].append(await self._calm(contender, seconds))
        return samples

    async def _calm(self, contender: Contender, seconds: float) -> Sample:
        """The sample that strangers disturbed least, of one or of two."""
        sample = await contender.sample(seconds)
        if sample.strangers > STRANGERS_MAX and self.retaken < self._options.retakes:
            self.retaken += 1
            await asyncio.sleep(random.uniform(0.5, 1.5))  # what disturbs often comes in turns, too
            sample = min(sample, await contender.sample(seconds), key=lambda each: each.strangers)
        return sample
