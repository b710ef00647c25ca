"""Operators' commands for unknown outcomes, and the worker that acts on them, as real processes."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from compat.simulator import Simulator
from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.keyring import Keyring
from gateway.orders.model import Dispatch
from gateway.providers import actions
from tests.integration.test_cli import SECRET, Done, Gateway, execute
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_shop, begin_attempt, open_alerts, place_order, read_order
from tests.support.faults import eventually
from tests.support.unknowns import KEY, add_panel_shop

WORDS = "This profile is private."


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_DATA_DIR": str(tmp_path / "data"),
        "GATEWAY_SECRET_KEY": SECRET,
        "GATEWAY_ALLOW_PRIVATE_ADDRESSES": "1",
        "GATEWAY_SEND_TIMEOUT_S": "1",
        "GATEWAY_SEND_LEASE_S": "2",
    }


@pytest.fixture
def gateway(environ: dict[str, str]) -> Gateway:
    async def run(*words: str, **more: Any) -> Done:
        return await execute(*words, **environ, **more)

    return run


@contextlib.asynccontextmanager
async def working(environ: dict[str, str]) -> AsyncIterator[None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "work"), env=inherited | environ, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield
        worker.send_signal(signal.SIGTERM)
        assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


async def name_of(db: Database, shop: Shop) -> str:
    async with db.connection() as connection:
        name: str = await connection.fetchval("SELECT name FROM providers WHERE id = $1", shop.provider_id)
    return name


def reached(db: Database, number: int, dispatch: Dispatch) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return (await read_order(db, number)).dispatch is dispatch

    return holds


async def test_a_worker_finds_an_order_whose_answer_was_lost(
    db: Database, gateway: Gateway, environ: dict[str, str]
) -> None:
    panel = Simulator(key=KEY)
    shop = await add_panel_shop(db, await panel.start())
    async with db.transaction() as tx:
        await actions.set_api_key(tx, Keyring((SECRET,)), shop.provider_id, KEY)
    name = await name_of(db, shop)
    assert (await gateway("provider", "probes", name, "on", "--json")).json() == {"provider": name, "probes": True}
    try:
        async with working(environ):
            first = await place_order(db, shop)
            await eventually(reached(db, first.number, Dispatch.ACCEPTED))
            panel.faults.next("timeout-after")
            lost = await place_order(db, shop)
            await eventually(reached(db, lost.number, Dispatch.UNKNOWN))
            await eventually(reached(db, lost.number, Dispatch.ACCEPTED))
    finally:
        await panel.stop()
    assert (await read_order(db, lost.number)).external_order_id == str(panel.panel.accepted[1].order)
    assert len(panel.panel.accepted) == 2
    await assert_ledger_is_clean(db)


async def test_words_are_taught_listed_and_forgotten(db: Database, gateway: Gateway) -> None:
    shop = await add_shop(db)
    name = await name_of(db, shop)
    order = await place_order(db, shop)
    answer = f'HTTP 200\nContent-Type: application/json\n{{"error": "{WORDS}"}}'
    unknown = Unknown("an error in unknown words", answer)
    await record(db, await begin_attempt(db, shop, order), unknown, timedelta())
    resolved = [{"order": order.number, "fault": "order", "text": WORDS}]
    teach = ("provider", "teach", name, WORDS, "refused", "--json")
    assert (await gateway(*teach, "--dry-run")).json() == {
        "provider": name, "meaning": "refused", "dry_run": True, "resolved": resolved
    }  # fmt: skip
    assert (await gateway("provider", "words", name, "--json")).json() == []
    assert (await read_order(db, order.number)).dispatch is Dispatch.UNKNOWN
    done: Any = (await gateway(*teach)).json()
    assert done["resolved"] == resolved
    assert (await read_order(db, order.number)).dispatch is Dispatch.QUEUED
    listed: Any = (await gateway("provider", "words", name, "--json")).json()
    assert [(row["words"], row["meaning"]) for row in listed] == [("this profile is private", "refused")]
    assert (await gateway("provider", "words", name, "--forget", WORDS.upper(), "--json")).json() == []
    again = await gateway("provider", "words", name, "--forget", WORDS)
    assert (again.code, again.err.count("\n")) == (1, 1)
    await assert_ledger_is_clean(db)


async def test_a_worker_pauses_a_provider_in_doubt_and_an_operator_resumes_it(
    db: Database, gateway: Gateway, environ: dict[str, str]
) -> None:
    shop = await add_shop(db)
    name = await name_of(db, shop)
    for _ in range(6):
        order = await place_order(db, shop)
        await record(db, await begin_attempt(db, shop, order), Unknown("no answer"), timedelta())

    async def is_paused() -> bool:
        return "provider_paused" in await open_alerts(db)

    async with working(environ):
        await eventually(is_paused)
        resumed = await gateway("provider", "resume", name, "--json")
        assert resumed.json() == {"provider": name, "unknown_acknowledged": 6}
    assert not await is_paused()
    missing = await gateway("provider", "resume", "nobody")
    assert (missing.code, missing.err) == (1, "gateway: provider nobody not found\n")
