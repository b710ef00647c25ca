"""No wallet is overspent and no key goes beyond its cap, whatever arrives at once."""

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.accounts.keys import change_key, find_key
from gateway.accounts.terms.model import KeyEdit
from gateway.db.engine import Database
from tests.support.accounts import Client, add_provider, add_reseller, assert_ledger_is_clean
from tests.support.processes import Installation, answering, running_processes

ORDERS = 500
AFFORDABLE = 100
QUANTITY = 1000


async def test_five_hundred_simultaneous_adds_spend_what_there_is_for_a_hundred(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url, extra={"rate_enterprise": 6000})
        starting = [gateway.begin_serving(), gateway.begin_serving()]
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key)
        rate = await db_rate(db)
        reseller = await add_reseller(db, gateway.keyring, str(rate * AFFORDABLE))
        urls = [answering(api).url for api in starting]

        answers = await place_at_once(urls, reseller.key)

        assert {status for status, _ in answers} == {200}
        said = Counter("accepted" if "order" in body else body["error"] for _, body in answers)
        assert said == {"accepted": AFFORDABLE, "Not enough funds on balance": ORDERS - AFFORDABLE}
        assert len({body["order"] for _, body in answers if "order" in body}) == AFFORDABLE
        async with Client(urls[0], reseller.key) as client:
            assert Decimal((await client.get(action="balance"))["balance"]) == 0
        await assert_ledger_is_clean(db)


async def test_five_hundred_simultaneous_adds_spend_a_cap_to_the_last_digit(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    """There is money for all of them, the cap is for a hundred, and one digit less for the last."""
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url, extra={"rate_enterprise": 6000})
        starting = [gateway.begin_serving(), gateway.begin_serving()]
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key)
        rate = await db_rate(db)
        reseller = await add_reseller(db, gateway.keyring, str(rate * ORDERS))
        cap = rate * (AFFORDABLE + 1) - Decimal("0.00000001")
        async with db.transaction() as tx:
            await change_key(tx, reseller.key_id, KeyEdit(daily_spend_cap=cap))
        urls = [answering(api).url for api in starting]

        answers = await place_at_once(urls, reseller.key)

        said = Counter("accepted" if "order" in body else body["error"] for _, body in answers)
        assert said == {"accepted": AFFORDABLE, "Not enough funds on balance": ORDERS - AFFORDABLE}
        async with Client(urls[0], reseller.key) as client:
            assert Decimal((await client.get(action="balance"))["balance"]) == rate * (ORDERS - AFFORDABLE)
        async with db.connection() as connection:
            shown = await find_key(connection, reseller.key_id)
        assert shown is not None
        assert shown.spent_today == rate * AFFORDABLE
        await assert_ledger_is_clean(db)


async def db_rate(db: Database) -> Decimal:
    """The price of one order of `QUANTITY` of the first plain service."""
    async with db.connection() as connection:
        rate: Decimal = await connection.fetchval(
            "SELECT price_per_1000 FROM services WHERE kind = 'Default' ORDER BY number LIMIT 1"
        )
    return rate * QUANTITY / 1000


async def place_at_once(urls: list[str], key: str) -> list[tuple[int, Any]]:
    """All connections are open before the first order goes out."""
    async with Client(urls[0], key, connections=0) as first, Client(urls[1], key, connections=0) as second:
        service = await first.service()
        await second.service()
        clients = (first, second)
        return await asyncio.gather(
            *(
                clients[n % 2].ask(
                    action="add", service=service["service"], link=f"https://example.com/p/{n}", quantity=QUANTITY
                )
                for n in range(ORDERS)
            )
        )
