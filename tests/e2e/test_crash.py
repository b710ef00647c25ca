"""Processes end at the worst moments: no order is lost, none is sent twice; the upstream's accept log is the judge."""

import asyncio
import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from gateway.db.engine import Database
from gateway.dispatch.resolve import PlacedAs, resolve
from gateway.processes import find_free_port
from tests.support.accounts import Client, add_provider, add_reseller, assert_ledger_is_clean
from tests.support.checks import assert_followed
from tests.support.commit_gate import commit_gate
from tests.support.processes import Installation, Running, Simulator, answering, eventually, running_processes

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
ORDERS_A_ROUND = 10
CLIENTS = 16

pytestmark = pytest.mark.timeout(120 + 20 * ROUNDS)


async def test_a_worker_killed_between_attempt_and_answer_sends_nothing_twice(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        unpaused = {"unknown_open_max": 100_000, "unknown_percent_max": 100}
        quick = {"send_timeout_s": 2, "send_lease_s": 4}
        gateway = Installation(processes, database_url, redis_url, extra=quick | unpaused)
        api = gateway.begin_serving()
        upstream = Simulator(tmp_path, find_free_port())
        hanging = processes.simulate(upstream, "timeout-after=0.5")
        await add_provider(db, gateway.settings, upstream.url, upstream.key)
        reseller = await add_reseller(db, gateway.keyring, "10000")
        cut_off: set[int] = set()
        async with Client(answering(api).url, reseller.key) as client:
            for _ in range(ROUNDS):
                cut_off |= await kill_a_worker_while_it_waits(gateway, client, upstream, db)
                await assert_ledger_is_clean(db)
            hanging.kill()
            processes.simulate(upstream)
            gateway.work()
            await eventually(lambda: none_is_under_way(db), what="the leases' end")

            assert set(await numbers(db, "unknown")) == cut_off
            assert await open_alerts(db, "unknown_order") == len(cut_off)
            assert set(await places(db)) == set(once_each(upstream))
            await say_where_they_are(gateway, db, upstream, sorted(cut_off))
            await eventually(lambda: all_completed(db), what="all orders completed", within_s=30)
            assert (await client.status(min(cut_off)))["status"] == "Completed"
        assert await open_alerts(db, "unknown_order") == 0
        assert await places(db) == once_each(upstream)
        await assert_ledger_is_clean(db)
        await assert_followed(db)


async def kill_a_worker_while_it_waits(
    gateway: Installation, client: Client, upstream: Simulator, db: Database
) -> set[int]:
    """The numbers of the orders whose answer it did not live to read, or gave up waiting for before."""
    before = len(upstream.accepted())
    worker = gateway.work()
    service = await client.service()
    await asyncio.gather(
        *(client.add(service, f"https://example.com/p/{before + n}", service["min"]) for n in range(ORDERS_A_ROUND))
    )

    async def upstream_has_them() -> bool:
        return len(upstream.accepted()) == before + ORDERS_A_ROUND

    await eventually(upstream_has_them, what="all orders at the upstream")
    worker.kill()
    left = set(await numbers(db, "sending"))
    given_up = set(await numbers(db, "unknown"))
    assert left | given_up
    return left | given_up


async def say_where_they_are(gateway: Installation, db: Database, upstream: Simulator, lost: list[int]) -> None:
    """An operator looks at the upstream for each order of unknown outcome, the first time by the command."""
    ids = once_each(upstream)
    links = await links_by_number(db)
    said = await gateway.command("order", "resolve", str(lost[0]), "--placed-as", ids[links[lost[0]]])
    assert "accepted" in said
    for number in lost[1:]:
        await resolve(db, number, PlacedAs(ids[links[number]]), "test")


async def test_an_api_killed_right_after_its_commit_loses_no_order(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key)
        reseller = await add_reseller(db, gateway.keyring, "100000")
        gateway.work()
        links = (f"https://example.com/p/{n}" for n in itertools.count())
        given: dict[int, str] = {}
        async with commit_gate(database_url) as gate:
            for _ in range(ROUNDS):
                api = gateway.begin_serving(database_url=gate.url, database_direct_url=database_url)
                await asyncio.to_thread(answering, api)
                given |= await place_until_ended(api, functools.partial(gate.arm, api), reseller.key, links)
                placed = await links_by_number(db)
                assert given.items() <= placed.items()
                assert set(placed) - set(given), "the commit that the process did not live to tell of"
                await assert_ledger_is_clean(db)

        await eventually(lambda: none_is_under_way(db), what="all orders sent", within_s=30)
        placed = await links_by_number(db)
        assert len(placed) == len(set(placed.values()))
        assert await places(db) == once_each(upstream)
        async with Client(gateway.serve().url, reseller.key) as client:
            for number in set(placed) - set(given):
                assert (await client.status(number))["status"] != "Canceled"
        await assert_ledger_is_clean(db)
        await assert_followed(db)


async def test_processes_that_are_asked_to_stop_leave_nothing_half_done(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        api = gateway.begin_serving()
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key)
        reseller = await add_reseller(db, gateway.keyring, "100000")
        links = (f"https://example.com/p/{n}" for n in itertools.count())

        given = await place_until_ended(answering(api), api.ask_to_stop, reseller.key, links)
        assert await ended(api) == 0
        assert given == await links_by_number(db)

        worker = gateway.work()

        async def some_were_sent() -> bool:
            return bool(upstream.accepted())

        await eventually(some_were_sent, what="the first order at the upstream")
        worker.ask_to_stop()
        assert await ended(worker) == 0
        assert await numbers(db, "sending") == []
        assert set(once_each(upstream)) == set(await links_with_an_id(db))

        gateway.work()
        await eventually(lambda: none_is_under_way(db), what="all orders sent")
        assert await places(db) == once_each(upstream)
        await assert_ledger_is_clean(db)
        await assert_followed(db)


async def ended(process: Running) -> int:
    """The exit code of a process that was asked to stop."""

    async def gone() -> bool:
        return process.popen.poll() is not None

    await eventually(gone, what=f"the end of {process.name}")
    return process.popen.wait()


async def place_until_ended(api: Running, end: Callable[[], None], key: str, links: Iterator[str]) -> dict[int, str]:
    """Many clients place orders; after some, `end` is called: the numbers that went out until the process was gone."""
    given: dict[int, str] = {}

    async def place(client: Client, service: dict[str, object]) -> None:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            while True:
                link = next(links)
                given[await client.add(service, link, 1000)] = link

    async with Client(api.url, key) as client:
        service = await client.service()
        placing = [asyncio.create_task(place(client, service)) for _ in range(CLIENTS)]

        async def some_went_out() -> bool:
            return len(given) >= 2 * CLIENTS

        await eventually(some_went_out, what="the first orders")
        end()
        await asyncio.gather(*placing)
    return given


# What is true afterwards -------------------------------------------------------------------------


def once_each(upstream: Simulator) -> dict[str, str]:
    """The upstream's id of each link, of which it accepted none twice."""
    found = upstream.orders_by_link()
    assert {link: ids for link, ids in found.items() if len(ids) > 1} == {}
    return {link: ids[0] for link, ids in found.items()}


async def places(db: Database) -> dict[str, str | None]:
    """By link the upstream's id of each order, as we know it."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT link, external_order_id FROM orders")
    return {row["link"]: row["external_order_id"] for row in rows}


async def links_with_an_id(db: Database) -> list[str]:
    return [link for link, upstream_id in (await places(db)).items() if upstream_id is not None]


async def links_by_number(db: Database) -> dict[int, str]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT number, link FROM orders")
    return {row["number"]: row["link"] for row in rows}


async def numbers(db: Database, dispatch: str) -> list[int]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT number FROM orders WHERE dispatch = $1", dispatch)
    return [row["number"] for row in rows]


async def none_is_under_way(db: Database) -> bool:
    return not await numbers(db, "queued") and not await numbers(db, "sending")


async def all_completed(db: Database) -> bool:
    async with db.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM orders WHERE status <> 'completed'")
    return count == 0


async def open_alerts(db: Database, kind: str) -> int:
    async with db.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM alerts WHERE kind = $1 AND cleared_at IS NULL", kind
        )
    return count
