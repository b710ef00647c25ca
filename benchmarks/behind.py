"""The benchmark `behind`: what one worker process sends, asks and settles, beside aiohttp's bare client.

It ends with `gateway ledger verify`, and with the count of what was placed beside what the upstreams got and said.
"""

import asyncio
import dataclasses
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import msgspec
import uvloop

from benchmarks import behind_report as report
from benchmarks.behind_session import NEVER_S, Options, Session, Shop
from benchmarks.measure import rate
from benchmarks.stage import Stage, open_stage
from benchmarks.stock import QUANTITY, Size, add_stock
from benchmarks.upstream import KEY, Panel, open_panel
from gateway.db import migrate
from gateway.db.engine import Database
from gateway.providers.actions import set_api_key
from tests.support.factories import add_provider, add_service
from tests.support.processes import Installation, Simulator

QUICK = Options(rounds=2, retakes=0, orders=2000, seconds=3.0)
SHORTEST = Options(rounds=1, retakes=0, orders=60, connections=16, seconds=0.3, wallets=5, simulator=False)


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
            await _lead(db, gateway, None, panel.url, KEY, options.connections)
            simulator = gateway.processes.simulator() if options.simulator else None
            simulated = await _open_shop(db, gateway, simulator, options.connections) if simulator else None
            session = Session(stage, options, gateway, db, stock, panel, simulated)
            await session.measure()
            verified = await gateway.command("ledger", "verify")
            placed = await _prove(db, panel) + (await _prove_simulated(db, simulator) if simulator else 0)
    finally:
        await db.close()
    return report.Report.of(session.samples, msgspec.to_builtins(options), stage, placed, verified)


async def _open_shop(db: Database, gateway: Installation, simulator: Simulator, connections: int) -> Shop:
    provider_id = await add_provider(db)
    service = await add_service(db, provider_id=provider_id)
    await _lead(db, gateway, provider_id, simulator.url, simulator.key, connections)
    return Shop(msgspec.structs.replace(service, provider_id=provider_id), simulator.url, simulator.key)


async def _lead(
    db: Database, gateway: Installation, provider_id: UUID | None, url: str, key: str, connections: int
) -> None:
    """The provider, or the only one there is, is at that address."""
    async with db.transaction() as tx:
        found: UUID = await tx.fetchval(
            "UPDATE providers SET api_endpoint = $2, max_in_flight = $3 WHERE id = coalesce($1, id) RETURNING id",
            provider_id,
            url,
            connections,
        )
        await set_api_key(tx, gateway.keyring, found, key)


_PROVED = "link, external_order_id, status, remains, charge, price"


async def _prove(db: Database, panel: Panel) -> int:
    """Every order is at the panel once, and is here what was said of it there; how many there are."""
    async with db.connection() as connection:
        rows = await connection.fetch(f"SELECT {_PROVED} FROM orders WHERE link NOT LIKE '%/simulated/%'")
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


async def _prove_simulated(db: Database, simulator: Simulator) -> int:
    """The same of the simulator, which delivers all that it takes."""
    async with db.connection() as connection:
        rows = await connection.fetch(f"SELECT {_PROVED} FROM orders WHERE link LIKE '%/simulated/%'")
    taken = simulator.orders_by_link()
    came = {link: ids for link, ids in taken.items() if "/simulated/" in link}
    assert came == {row["link"]: [row["external_order_id"]] for row in rows}, f"{len(rows)} here, {len(came)} came"
    assert {(row["status"], row["remains"]) for row in rows} == {("completed", 0)}
    assert all(row["charge"] == row["price"] for row in rows)
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
    return rate(times)


def _main(words: Sequence[str]) -> None:
    url, key, count, connections = words
    print(uvloop.run(post_all(url, key, int(count), int(connections))))


if __name__ == "__main__":
    _main(sys.argv[1:])
