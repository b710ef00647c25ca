"""No order is sent twice, however many workers there are."""

import asyncio
from pathlib import Path

from gateway.db.engine import Database
from tests.support.accounts import Client, add_provider, add_reseller, assert_ledger_is_clean
from tests.support.processes import Installation, answering, eventually, running_processes

ORDERS = 200


async def test_three_workers_send_two_hundred_queued_orders_once_each(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        api = gateway.begin_serving()
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key)
        reseller = await add_reseller(db, gateway.keyring, "100000")
        links = [f"https://example.com/p/{n}" for n in range(ORDERS)]
        async with Client(answering(api).url, reseller.key) as client:
            service = await client.service()
            await asyncio.gather(*(client.add(service, link, service["min"]) for link in links))

        for _ in range(3):
            gateway.work()

        async def none_open() -> bool:
            async with db.connection() as connection:
                waiting: int = await connection.fetchval(
                    "SELECT count(*) FROM orders WHERE dispatch IN ('queued', 'sending')"
                )
            return waiting == 0

        await eventually(none_open, what="all orders sent", within_s=40)
        sent = upstream.orders_by_link()
        assert sorted(sent) == sorted(links)
        assert {link: len(ids) for link, ids in sent.items() if len(ids) != 1} == {}
        assert await accepted_as(db) == {link: ids[0] for link, ids in sent.items()}
        await assert_ledger_is_clean(db)


async def accepted_as(db: Database) -> dict[str, str]:
    """The upstream's id of each order, by link, as the gateway has it."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT link, external_order_id FROM orders WHERE dispatch = 'accepted'")
    return {row["link"]: row["external_order_id"] for row in rows}
