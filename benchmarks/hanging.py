"""What a provider that hangs on every call costs the orders of another: from placing to acceptance, at p99.

The same number of orders goes beside them in every round, in turn to a provider that answers and to
the one that hangs. Times are of the database's clock.
"""

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from benchmarks.measure import Table, fresh_database
from gateway.db.engine import Database
from gateway.orders.placement import Placement
from gateway.providers.actions import set_api_key
from tests.support.factories import Shop, add_shop, draft
from tests.support.processes import Installation, eventually, running_processes
from tests.support.servers import ServerUrls

ROUNDS = 5
ORDERS = 300
A_SECOND = 30
SETTLE_S = 120.0


async def measure(urls: ServerUrls) -> Table:
    alone: list[float] = []
    beside: list[float] = []
    with tempfile.TemporaryDirectory() as folder, running_processes(Path(folder)) as processes:
        async with fresh_database(urls.database_url) as url, silent_panel() as silent:
            gateway = Installation(processes, url, urls.redis_url)
            db = await Database.open(url)
            good, quick, bad = [await add_shop(db, funds="100000") for _ in range(3)]
            simulator = processes.simulator()
            for shop in (good, quick):
                await lead(db, gateway, shop.provider_id, simulator.url, simulator.key)
            await lead(db, gateway, bad.provider_id, silent, "k")
            gateway.work()
            await place_round(db, good, quick)
            for _ in range(ROUNDS):
                alone.append(await place_round(db, good, quick))
                beside.append(await place_round(db, good, bad))
            await db.close()
    ratios = [with_it / without for with_it, without in zip(beside, alone, strict=True)]
    return Table(
        [
            ("p99 beside one that answers", [value * 1000 for value in alone], "ms"),
            ("p99 beside one that hangs", [value * 1000 for value in beside], "ms"),
            ("ratio", ratios, ""),
        ],
        [f"{ORDERS} orders a round at {A_SECOND} a second, as many again at the other."],
    )


@contextlib.asynccontextmanager
async def silent_panel() -> AsyncIterator[str]:
    """Takes every connection and request, and never says a word."""
    held = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.add(writer)
        await reader.read()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v2"
    finally:
        server.close()
        for writer in held:
            writer.close()


async def lead(db: Database, gateway: Installation, provider_id: UUID, url: str, key: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET api_endpoint = $2 WHERE id = $1", provider_id, url)
        await set_api_key(tx, gateway.keyring, provider_id, key)


async def place_round(db: Database, good: Shop, other: Shop) -> float:
    """The p99 of seconds from the placing of the good shop's orders to their acceptance."""
    placement = Placement(db)
    numbers: list[int] = []

    async def place(shop: Shop, number: int) -> None:
        link = f"https://example.com/{number}"
        placed = await placement.place(shop.account, shop.service, draft(link=link, quantity=100))
        if shop is good:
            numbers.append(placed)

    async with asyncio.TaskGroup() as group:
        for number in range(ORDERS):
            group.create_task(place(good, number))
            group.create_task(place(other, number))
            await asyncio.sleep(1 / A_SECOND)
    await placement.close()

    async def waits() -> list[float] | None:
        async with db.connection() as connection:
            rows = await connection.fetch(
                "SELECT extract(epoch FROM a.finished_at - o.created_at)::float8 AS wait_s FROM orders o "
                "JOIN dispatch_attempts a ON a.order_id = o.id AND a.state = 'accepted' WHERE o.number = ANY($1)",
                numbers,
            )
        return [row["wait_s"] for row in rows] if len(rows) == ORDERS else None

    return statistics.quantiles(await eventually(waits, what="all accepted", within_s=SETTLE_S), n=100)[98]
