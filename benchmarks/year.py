"""The benchmark `year`: a past of 24 months with millions of orders, loaded, listed, and measured beside an empty one.

It ends with `gateway ledger verify` of both databases and the counts of their orders. Nothing is switched off to
load: months are filled before they join their tables, and every constraint is proven when they do.
"""

import asyncio
import os
import random
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from benchmarks import lists, serving, stock, subjects
from benchmarks.contenders import Asked
from benchmarks.cores import usage
from benchmarks.past.askers import Asker, find_askers
from benchmarks.past.loading import Loaded, load
from benchmarks.past.model import Past, Size, past_until
from benchmarks.past.values import find_ids
from benchmarks.report import describe_machine, find_commit
from benchmarks.serving import Session
from benchmarks.sizes import find_sizes
from benchmarks.stage import Stage, open_stage
from benchmarks.stock import Reseller, Stock
from benchmarks.year_report import COMPARED, YearReport
from gateway.accounts import store as accounts
from gateway.catalog.store import list_services
from gateway.db import migrate
from gateway.db.engine import Database
from gateway.ledger import booking
from gateway.orders.margin.adding_up import add_up_days
from tests.support.processes import Installation, Running

EMPTY = "empty"
FUNDS = Decimal(1_000_000)


class Options(msgspec.Struct, frozen=True):
    """How much of a past, how many requests of each list, and how both databases are compared."""

    size: Size = Size()
    requests: int = 100
    askers: int = 100
    crowd: int = 1000
    compared: serving.Options = serving.Options(rounds=5, seconds=2.0, retakes=10)


QUICK = Options(
    size=Size(users=1000, orders=100_000, webhooks=100, open_orders=500, audited=5000),
    requests=20,
    askers=50,
    crowd=100,
    compared=serving.QUICK,
)
SHORTEST = Options(
    size=Size(users=50, orders=4000, months=4, services=50, providers=5, webhooks=25, open_orders=200, audited=300),
    requests=1,
    askers=20,
    crowd=20,
    compared=serving.SHORTEST,
)


def run(options: Options) -> YearReport:
    """In the main thread. Starts everything, loads, measures, proves the books and ends everything.

    Raises:
        AssertionError: an answer was none, the books are not clean, or orders and answers do not agree.
    """
    with open_stage() as stage, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(stage, options))


async def _run(stage: Stage, options: Options) -> YearReport:
    commit, seconds = find_commit(), {}
    await migrate.upgrade(stage.database_url)
    full = stage.gateway(stage.database_url)
    past = past_until(datetime.now(UTC), options.size)
    with stage.everywhere():
        before = usage(os.getpid(), stage.cores.all)
        loaded = await load(full.database_url, full.keyring, past, stage.folder)
        load_processor_s = round(usage(os.getpid(), stage.cores.all).family - before.family, 1)
        _say(f"loaded in {loaded.seconds}")
        started = time.monotonic()
        await _add_up(full)
        seconds["margin_days"] = round(time.monotonic() - started, 1)
        empty = await _empty(stage)
    connection = await asyncpg.connect(full.database_url)
    tables = await find_sizes(connection)
    askers = await find_askers(connection, loaded, past, options.askers)
    shapes = lists.Shapes(past, loaded, askers, await find_ids(connection))
    await connection.close()
    full_stock, empty_stock = await _stock(full, loaded, past, askers, options), await _empty_stock(empty, options)
    api, other = stage.serve(full), stage.serve(empty)
    started = time.monotonic()
    taken = await lists.measure(api.url, shapes, options.requests, again=options.compared.retakes > 0)
    seconds["lists"] = round(time.monotonic() - started, 1)
    beyond = [f"{each.shape} {each.p99_ms:g} ms" for each in taken if each.p99_ms > lists.P99_MS_MAX]
    _say(f"{len(taken)} lists measured in {seconds['lists']} s, beyond the goal: {', '.join(beyond) or 'none'}")
    session = Session(stage, options.compared, full_stock, full)
    await _warm(full, full_stock)
    pairs = _pairs(stage, options, [("full", api, full_stock), (EMPTY, other, empty_stock)])
    samples = await session.in_turn(pairs, options.compared.rounds, options.compared.seconds)
    with stage.everywhere():
        verified, orders = {}, {}
        for name, gateway, there in (("full", full, options.size.orders), (EMPTY, empty, empty_stock.placed)):
            started = time.monotonic()
            verified[name] = await gateway.command("ledger", "verify")
            seconds[f"verify_{name}"] = round(time.monotonic() - started, 1)
            promised = there + sum(pair.placed for pair in pairs if pair.places and pair.name.endswith(name))
            orders[name] = (await serving.count_orders(gateway.database_url), promised)
            assert orders[name][0] == promised, f"{name}: {orders[name][0]} orders, {promised} loaded or promised"
    return YearReport(
        commit=commit,
        machine=describe_machine(stage.cores.told, session.syncs_ms),
        options=options,
        seconds={
            "load": loaded.seconds["all"],
            **{f"load_{name}": each for name, each in loaded.seconds.items()},
            **seconds,
        },
        load_processor_s=load_processor_s,
        lists=taken,
        samples=samples,
        tables=tables,
        orders=orders,
        verified=verified,
        retaken=session.retaken,
    )


def _say(text: str) -> None:
    print(text, flush=True)


async def _add_up(full: Installation) -> None:
    """What a worker does once: the sums of all days that are over, with what autovacuum does then."""
    db = await Database.open(full.database_url)
    try:
        await add_up_days(db)
    finally:
        await db.close()
    connection = await asyncpg.connect(full.database_url)
    await connection.execute("VACUUM ANALYZE margin_days, margin_sums")
    await connection.close()


async def _empty(stage: Stage) -> Installation:
    """A database beside the full one, on the same server."""
    admin = await asyncpg.connect(stage.database_url)
    await admin.execute(f"CREATE DATABASE {EMPTY}")
    await admin.close()
    url = f"{stage.database_url.rpartition('/')[0]}/{EMPTY}"
    await migrate.upgrade(url)
    return stage.gateway(url)


async def _empty_stock(empty: Installation, options: Options) -> Stock:
    size = stock.Size(wallets=options.crowd, services=options.size.services, askers_of_many=options.askers)
    return await serving.add_stock_to(empty, size)


async def _stock(full: Installation, loaded: Loaded, past: Past, askers: list[Asker], options: Options) -> Stock:
    """Wallets with money and an order each of some month; those who ask for many are the askers."""
    db = await Database.open(full.database_url)
    try:
        crowd = await _crowd(db, full, loaded, past, options.crowd)
        many = [Reseller(asker.key, crowd[0].account, asker.numbers) for asker in askers if len(asker.numbers) == 100]
        async with db.connection() as connection:
            service = next(each for each in await list_services(connection) if each.currency == "USD")
    finally:
        await db.close()
    assert many, "nobody has a hundred orders"
    return Stock(
        service=service,
        crowd=crowd,
        hot=crowd[0],
        askers=many,
        exhausted=crowd,
        broke=crowd,
        pgbench_crowd=crowd,
        pgbench_hot=crowd[0],
        placed=options.size.orders,
    )


async def _crowd(db: Database, full: Installation, loaded: Loaded, past: Past, count: int) -> list[Reseller]:
    chance = random.Random(4)
    users = chance.sample(range(past.size.users), past.size.users)
    found: list[Reseller] = []
    for user in users:
        if len(found) == count:
            break
        key = loaded.keys[2 * user]
        async with db.transaction() as tx:
            [account] = (await accounts.find_by_key_hashes(tx, full.keyring.api_key_hashes(key))).values()
            number = await tx.fetchval(
                "SELECT number FROM orders WHERE user_id = $1 AND currency = 'USD' AND id >= $2 ORDER BY id LIMIT 1",
                account.user_id,
                UUID(int=chance.randrange(past.first_ms, past.last_ms) << 80),
            )
            if number is not None:
                await booking.deposit(tx, account.wallet_id, FUNDS)
                found.append(Reseller(key, account, [number]))
    return found


async def _warm(full: Installation, stocked: Stock) -> None:
    """Read what will be asked for once: of thousands of orders drawn from years, few are in memory by chance, and what
    is compared is no disk."""
    numbers = [number for reseller in (*stocked.crowd, *stocked.askers) for number in reseller.orders]
    connection = await asyncpg.connect(full.database_url)
    try:
        for start in range(0, len(numbers), 100):
            await connection.fetch("SELECT link FROM orders WHERE number = ANY($1)", numbers[start : start + 100])
    finally:
        await connection.close()


def _pairs(stage: Stage, options: Options, both: list[tuple[str, Running, Stock]]) -> list[Asked]:
    """What is compared, each on one and then on the other."""
    found: dict[str, Any] = {}
    for which, api, stocked in both:
        for asked in subjects.subjects(api, stage.cores, stocked, options.compared.connections):
            found[asked.name, which] = asked
            asked.name = f"{asked.name}_{which}"
    return [found[name, which] for name in COMPARED for which, _, _ in both]
