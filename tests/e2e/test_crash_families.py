"""A worker is killed at random while drip-feeds and subscriptions run: each run is sent once, all money exact."""

import os
import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from compat.simulator import CATALOGUE, Simulator
from gateway.db.engine import Database
from tests.support.accounts import Client, assert_ledger_is_clean
from tests.support.chain import Gateway, open_chain
from tests.support.checks import assert_followed
from tests.support.operators import ask_about_the_ended, meanwhile
from tests.support.processes import eventually, running_processes
from tests.support.truth import DRIPPED, differences

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
KEY = "panel-key"
SPEED = 10.0
HASTY = {"send_timeout_s": 1.9, "send_lease_s": 3, "poll_timeout_s": 2}
RUNS = 3 + ROUNDS
"""Of each drip-feed that the gateway runs: some are left after the last kill."""
POSTS = 30
FAULTS = {"timeout-after": 0.1, "http-502-after": 0.1, "reset-before": 0.05, "partial": 0.1, "cancel": 0.05}
KILL_WITHIN_S = 30.0
WITHIN_S = 90.0

pytestmark = pytest.mark.timeout(240 + 40 * ROUNDS)


async def test_a_worker_killed_while_families_run_sends_each_run_once(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    services = [msgspec.structs.replace(service, dripfeed=service.service != 1) for service in CATALOGUE]
    panel = Simulator(seed=SEED, key=KEY, services=services, accept_log=tmp_path / "log", speed=SPEED, idempotency=True)
    with running_processes(tmp_path) as processes:
        async with open_chain(processes, panel, KEY, [database_url], redis_url, HASTY) as ([gateway], _):
            for name, rate in FAULTS.items():
                panel.faults.set(name, rate)
            dripped, stopped = await place_families(gateway)
            assert await modes(gateway.db) == {"own", "upstream", "subscription"}
            choose = random.Random(SEED)
            async with meanwhile(lambda: let_runs_be_due(gateway.db)):
                for round_ in range(ROUNDS):
                    await kill_the_worker(gateway, panel, choose)
                    await assert_ledger_is_clean(gateway.db)
                    if round_ == ROUNDS // 2:
                        await cancel(gateway, stopped)
                    gateway.worker = gateway.installation.work()
                await all_is_as_the_panel_made_it(gateway, panel)
            await assert_ledger_is_clean(gateway.db)
            await assert_followed(gateway.db)
            sent = Counter(accepted.fields.get("link", "") for accepted in panel.panel.accepted)
            assert [sent[link] for link in dripped] == [RUNS] * len(dripped)


async def place_families(gateway: Gateway) -> tuple[list[str], list[int]]:
    """The links of the drip-feeds that the gateway runs to their end, and the numbers of families to be cancelled."""
    links = [f"{DRIPPED}{n}" for n in range(3)]
    async with Client(gateway.url, gateway.buyer.key) as client:
        services = await client.services()
        ours, theirs = services[0]["service"], services[1]["service"]
        subscription = (await client.service("Subscriptions"))["service"]

        async def add(service: int, **fields: object) -> int:
            number: int = (await client.get(action="add", service=service, **fields))["order"]
            return number

        async def drip(service: int, link: str, runs: int) -> int:
            return await add(service, link=link, quantity=101, runs=runs, interval=1)

        async def subscribe(name: str) -> int:
            return await add(subscription, username=name, min=11, max=37, posts=POSTS, delay=0)

        for link in links:
            await drip(ours, link, RUNS)
        await drip(theirs, "https://example.com/theirs", 3)
        await subscribe("somebody")
        stopped = [
            await drip(ours, f"{DRIPPED}stopped", RUNS),
            await drip(theirs, "https://example.com/stopped", 3),
            await subscribe("nobody"),
        ]
    return links, stopped


async def modes(db: Database) -> set[str]:
    async with db.connection() as connection:
        return {row["mode"] for row in await connection.fetch("SELECT mode FROM order_parents")}


async def kill_the_worker(gateway: Gateway, panel: Simulator, choose: random.Random) -> None:
    """At the next of a few calls to the panel, or of a few changes that it makes to the orders."""
    calls, changes = panel.requests, await count_changes(gateway.db)
    after = choose.randrange(1, 12)
    by_calls = choose.random() < 0.5

    async def its_time_has_come() -> bool:
        if by_calls:
            return panel.requests >= calls + after
        return await count_changes(gateway.db) >= changes + after

    await eventually(its_time_has_come, what="work to be killed at", within_s=KILL_WITHIN_S)
    gateway.worker.kill()


async def count_changes(db: Database) -> int:
    """Lines of the orders' histories: runs begun, sent, accepted and ended."""
    async with db.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM order_events")
    return count


async def cancel(gateway: Gateway, numbers: list[int]) -> None:
    async with Client(gateway.url, gateway.buyer.key) as client:
        await client.get(action="cancel", orders=",".join(str(number) for number in numbers))


async def let_runs_be_due(db: Database) -> None:
    """As if the minute between two runs were over."""
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE order_parents SET next_run_at = now() WHERE order_id IN (SELECT order_id FROM order_parents "
            "WHERE mode = 'own' AND next_run_at > now() FOR UPDATE SKIP LOCKED)"
        )


async def let_leases_end(db: Database) -> None:
    """As if the two minutes were over for which a wish rests that was in hand when its worker was killed."""
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE cancellations SET next_try_at = now() WHERE order_id IN (SELECT order_id FROM cancellations "
            "WHERE state = 'wanted' FOR UPDATE SKIP LOCKED)"
        )


async def all_is_as_the_panel_made_it(gateway: Gateway, panel: Simulator) -> None:
    left: list[str] = []

    async def is_so() -> bool:
        left[:] = await differences([gateway], panel.panel)
        return not left

    await let_leases_end(gateway.db)
    try:
        async with meanwhile(lambda: ask_about_the_ended(gateway.db)):
            await eventually(is_so, what="all as the panel made it", within_s=WITHIN_S)
    except* TimeoutError:
        raise AssertionError("\n".join(left)) from None
