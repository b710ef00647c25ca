"""The whole way from one secret to another, with real processes that serve and send all the while."""

import asyncio
from pathlib import Path
from typing import Any

from gateway.db.engine import Database
from gateway.keyring import Keyring
from tests.support.accounts import Client, add_provider, add_reseller, assert_ledger_is_clean
from tests.support.processes import SECRET, Installation, eventually, running_processes

NEW_SECRET = "the-new-secret-for-the-tests-of-rotation-0123456789"
LISTS = (f"{SECRET},{NEW_SECRET}", f"{NEW_SECRET},{SECRET}", NEW_SECRET)


async def test_a_secret_is_replaced_while_orders_are_placed_and_sent(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        upstream = processes.simulator()
        first, second, last = (
            Installation(processes, database_url, redis_url, f"gateway{place}", {"secret_key": secrets})
            for place, secrets in enumerate(LISTS)
        )
        await add_provider(db, first.settings, upstream.url, upstream.key)
        reseller = await add_reseller(db, first.keyring, "100000")
        serving, working = first.serve(), first.work()
        await order(db, serving.url, reseller.key, "before")

        new_serving, new_working = second.serve(), second.work()
        await order(db, serving.url, reseller.key, "old first, in front")
        await order(db, new_serving.url, reseller.key, "new first")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(order(db, new_serving.url, reseller.key, "during"))
            rotated = await second.command("secrets", "rotate", "--json")
        assert '"providers":1' in rotated
        await order(db, serving.url, reseller.key, "after, by a process that has the new one second")

        async with db.transaction() as tx:
            await tx.execute("UPDATE api_keys SET name = name")  # what is known of keys is read again at once
        new_id = Keyring((NEW_SECRET,)).kid

        async def key_moved() -> bool:
            async with Client(new_serving.url, reseller.key) as client:
                await client.get(action="balance")
            async with db.connection() as connection:
                return bool(await connection.fetchval("SELECT secret_id = $1 FROM api_keys", new_id))

        await eventually(key_moved, what="the key under the new secret", within_s=60)
        await order(db, serving.url, reseller.key, "with its key moved")
        for running in (serving, working, new_serving, new_working):
            running.ask_to_stop()

        last_serving = last.serve()
        last.work()
        await order(db, last_serving.url, reseller.key, "without the old one")
        assert all(len(ids) == 1 for ids in upstream.orders_by_link().values())
        assert '"is_listed":false' not in await last.command("secrets", "status", "--json")
        await assert_ledger_is_clean(db)


async def order(db: Database, url: str, key: str, link: str) -> None:
    """Place one, and wait until its upstream has it."""
    async with Client(url, key) as client:
        service: dict[str, Any] = await client.service()
        number = await client.add(service, f"https://example.com/{link.replace(' ', '-')}", service["min"])

    async def is_sent() -> bool:
        async with db.connection() as connection:
            dispatch = await connection.fetchval("SELECT dispatch FROM orders WHERE number = $1", number)
        assert dispatch in ("queued", "sending", "accepted")
        return bool(dispatch == "accepted")

    await eventually(is_sent, what=f"order {link}")
