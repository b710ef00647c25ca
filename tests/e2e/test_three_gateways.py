"""Three gateways in a row and a panel: every kind of order settles to the last digit at each, through faults."""

import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from compat.simulator import FAULTS, Simulator
from compat.simulator.faults import OF_STATUS
from gateway.db.engine import Database
from tests.conftest import on_database
from tests.support.accounts import Client, Reseller, add_provider, add_reseller, assert_ledger_is_clean
from tests.support.cutting import CuttingWire, cutting_wire
from tests.support.processes import Installation, Processes, eventually, running_processes
from tests.support.servers import ServerUrls

RATE = 0.05
SPEED = 10.0
"""Of the panel's clock: a run of a drip-feed comes six seconds after the one before."""
TOGETHER_S = 110.0
REFUSALS = ("refuse", "not-enough-funds")
"""Faults that end an order, or close its route for minutes: what is placed here is to be delivered."""
QUICK = {"send_timeout_s": 2, "send_lease_s": 5, "poll_timeout_s": 2, "refill_wait_s": 1}
FUNDS = Decimal(500)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def databases(servers: ServerUrls, database_url: str) -> AsyncIterator[list[str]]:
    """Two migrated databases more."""
    admin = await asyncpg.connect(servers.database_url)
    names = [f"test_{uuid.uuid4().hex}" for _ in range(2)]
    for name in names:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_gateway STRATEGY file_copy")
    yield [on_database(servers.database_url, name) for name in names]
    for name in names:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@dataclass
class Gateway:
    """One link of the chain: its database, and the key of who buys from it."""

    installation: Installation
    db: Database
    url: str
    buyer: Reseller


async def test_every_kind_of_order_settles_through_three_gateways(
    tmp_path: Path, database_url: str, redis_url: str, databases: list[str]
) -> None:
    panel = Simulator(seed=7, key="panel-key", accept_log=tmp_path / "accepted.jsonl", speed=SPEED, idempotency=True)
    with running_processes(tmp_path) as processes:
        async with AsyncExitStack() as stack:
            chain, wires = await open_chain(stack, processes, panel, [database_url, *databases], redis_url)
            for fault in set(FAULTS) - set(OF_STATUS) - set(REFUSALS):
                panel.faults.set(fault, RATE / 4)
            for wire in wires:
                wire.rate = RATE
            numbers = await place_and_follow(chain[0], panel)
            for gateway in chain:
                await eventually(lambda gateway=gateway: is_settled(gateway), what="all settled", within_s=TOGETHER_S)
                await assert_ledger_is_clean(gateway.db)
            await compare(chain, numbers)
            assert sum(wire.cuts for wire in wires) > 0
            sent = [
                (line.service, line.fields.get("link", line.fields.get("username"))) for line in panel.panel.accepted
            ]
            assert len(sent) == len(set(sent)) == len(numbers), "each was accepted once"


async def open_chain(
    stack: AsyncExitStack, processes: Processes, panel: Simulator, urls: list[str], redis_url: str
) -> tuple[list[Gateway], list[CuttingWire]]:
    """The gateways, the first one being where orders are placed; the last one buys from the panel."""
    upstream_url, upstream_key = await panel.start(), "panel-key"
    stack.push_async_callback(panel.stop)
    chain: list[Gateway] = []
    wires: list[CuttingWire] = []
    for place, url in enumerate(urls):
        db = await Database.open(url)
        stack.push_async_callback(db.close)
        installation = Installation(processes, url, redis_url, name=f"gateway{place}", extra=QUICK)
        api = installation.serve()
        if chain:
            wire, upstream_url = await stack.enter_async_context(cutting_wire(upstream_url, rate=0.0, seed=place))
            wires.append(wire)
        await add_provider(db, installation.settings, upstream_url, upstream_key, markup=f"{place + 7}.77")
        buyer = await add_reseller(db, installation.keyring, str(FUNDS))
        chain.append(Gateway(installation, db, api.url, buyer))
        upstream_url, upstream_key = api.url, buyer.key
        installation.work()
        await eventually(lambda db=db: has_learned(db), what="the extension is known", within_s=30)
    return chain[::-1], wires


async def has_learned(db: Database) -> bool:
    async with db.connection() as connection:
        return bool(await connection.fetchval("SELECT bool_and(honours_extension) FROM providers"))


async def place_and_follow(gateway: Gateway, panel: Simulator) -> dict[str, int]:
    """Place an order of each kind and act on it as a customer would; their numbers."""
    async with Client(gateway.url, gateway.buyer.key) as client:
        services = {row["type"]: row for row in reversed(await client.services()) if row["type"] != "Default"}
        refillable = next(row for row in await client.services() if row["refill"])
        dripping = next(row for row in await client.services() if row["dripfeed"] and row["cancel"])
        numbers: dict[str, int] = {}

        async def add(name: str, service: dict[str, Any], **fields: object) -> None:
            answer = await client.get(action="add", service=service["service"], **fields)
            numbers[name] = answer["order"]

        async def ended(name: str) -> bool:
            status: str = (await client.status(numbers[name]))["status"]
            return status in ("Completed", "Partial", "Canceled", "Expired")

        panel.faults.next("partial")
        comments = "\n".join(f"comment {line}" for line in range(9))
        await add("comments", services["Custom Comments"], link="https://example.com/c", comments=comments)
        await eventually(lambda: ended("comments"), what="the comments ended", within_s=TOGETHER_S)
        await add("drip", dripping, link="https://example.com/d", quantity=101, runs=3, interval=1)
        await add("stopped", dripping, link="https://example.com/s", quantity=103, runs=4, interval=1)
        await add("subscription", services["Subscriptions"], username="somebody", min=11, max=37, posts=3, delay=0)
        await add("refilled", refillable, link="https://example.com/r", quantity=107)

        async def has_run() -> bool:
            return bool((await client.status(numbers["stopped"]))["orders"])

        await eventually(has_run, what="a run began", within_s=TOGETHER_S)
        assert await client.get(action="cancel", orders=numbers["stopped"]) == [
            {"order": numbers["stopped"], "cancel": 1}
        ]
        await eventually(lambda: ended("refilled"), what="the order to be refilled ended", within_s=TOGETHER_S)

        async def refill_asked() -> bool:
            answer = await client.get(action="refill", order=numbers["refilled"])
            if "refill" in answer:
                numbers_of_refills.append(answer["refill"])
            return "refill" in answer

        numbers_of_refills: list[str] = []
        await eventually(refill_asked, what="a refill was taken", within_s=10)

        async def refilled() -> bool:
            answer = await client.get(action="refill_status", refill=numbers_of_refills[0])
            return bool(answer == {"status": "Completed"})

        await eventually(refilled, what="the refill completed", within_s=TOGETHER_S)
        for name in numbers:
            await eventually(lambda name=name: ended(name), what=f"{name} ended", within_s=TOGETHER_S)
        return numbers


async def is_settled(gateway: Gateway) -> bool:
    async with gateway.db.connection() as connection:
        held = await connection.fetchval("SELECT sum(hold_amount) FROM wallets")
        open_refills = await connection.fetchval(
            "SELECT count(*) FROM refills WHERE state IN ('requested', 'accepted')"
        )
    return held == 0 and open_refills == 0


async def compare(chain: list[Gateway], numbers: dict[str, int]) -> None:
    """Every order of the first is one of the second, and so on, with the same end; each charges its own price."""
    levels = [await rows_of(gateway.db) for gateway in chain]
    assert [len(rows) for rows in levels] == [len(levels[0])] * 3
    for above, below in itertools.pairwise(levels):
        by_number = {row["number"]: row for row in below}
        for row in above:
            bought = by_number[int(row["external_order_id"])]
            assert (row["status"], row["remains"], row["quantity"]) == (
                bought["status"],
                bought["remains"],
                bought["quantity"],
            )
    for gateway, rows in zip(chain, levels, strict=True):
        async with gateway.db.connection() as connection:
            balance = await connection.fetchval("SELECT balance FROM wallets")
        assert FUNDS - balance == sum(row["charge"] for row in rows if row["parent_id"] is None)
    ends = {row["number"]: row["status"] for row in levels[0]}
    assert ends[numbers["comments"]] == "partial"
    assert ends[numbers["drip"]] == "completed"
    assert ends[numbers["stopped"]] in ("partial", "cancelled")
    assert ends[numbers["subscription"]] == "completed"
    assert ends[numbers["refilled"]] == "completed"


async def rows_of(db: Database) -> list[Any]:
    async with db.connection() as connection:
        return list(await connection.fetch("SELECT * FROM orders ORDER BY number"))
