"""Gateways that buy from each other, the last one from a simulated panel, with wires between them that can be cut."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import asyncpg

from compat.simulator import Simulator
from gateway.db.engine import Database
from tests.conftest import on_database
from tests.support.accounts import Reseller, add_provider, add_reseller
from tests.support.cutting import CuttingWire, cutting_wire
from tests.support.processes import Installation, Processes, Running, eventually

FUNDS = Decimal(500)
QUICK = {"send_timeout_s": 2, "send_lease_s": 5, "poll_timeout_s": 2, "refill_wait_s": 1}


@dataclass
class Gateway:
    """One link of a chain: its database, its markup in percent, and the key of who buys from it."""

    installation: Installation
    db: Database
    url: str
    buyer: Reseller
    markup: Decimal
    worker: Running


@asynccontextmanager
async def migrated_databases(template: str, count: int) -> AsyncIterator[list[str]]:
    """So many databases more, on the server of that URL."""
    admin = await asyncpg.connect(template)
    names = [f"test_{uuid.uuid4().hex}" for _ in range(count)]
    try:
        for name in names:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_gateway STRATEGY file_copy")
        yield [on_database(template, name) for name in names]
    finally:
        for name in names:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


@asynccontextmanager
async def open_chain(
    processes: Processes,
    panel: Simulator,
    key: str,
    urls: Sequence[str],
    redis_url: str,
    extra: Mapping[str, object] = QUICK,
) -> AsyncIterator[tuple[list[Gateway], list[CuttingWire]]]:
    """The gateways, the first one being where orders are placed; the last one buys from the panel.

    Each takes over the catalogue of the next with a markup, and knows by now whether it honours keys.
    """
    async with AsyncExitStack() as stack:
        upstream_url, upstream_key = await panel.start(), key
        stack.push_async_callback(panel.stop)
        chain: list[Gateway] = []
        wires: list[CuttingWire] = []
        for place, url in enumerate(urls):
            db = await Database.open(url)
            stack.push_async_callback(db.close)
            installation = Installation(processes, url, redis_url, name=f"gateway{place}", extra=extra)
            api = installation.serve()
            if chain:
                wire, upstream_url = await stack.enter_async_context(cutting_wire(upstream_url, rate=0.0, seed=place))
                wires.append(wire)
            markup = Decimal(f"{place + 7}.77")
            await add_provider(db, installation.settings, upstream_url, upstream_key, markup=str(markup))
            buyer = await add_reseller(db, installation.keyring, str(FUNDS))
            chain.append(Gateway(installation, db, api.url, buyer, markup, installation.work()))
            upstream_url, upstream_key = api.url, buyer.key
            await eventually(lambda db=db: has_learned(db), what="the upstream's balance is known", within_s=30)
        yield chain[::-1], wires


async def has_learned(db: Database) -> bool:
    async with db.connection() as connection:
        return bool(await connection.fetchval("SELECT bool_and(balance IS NOT NULL) FROM providers"))
