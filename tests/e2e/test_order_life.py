"""An order's life through real processes, to each of its ends, with its money to the last digit."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

from gateway.db.engine import Database
from tests.support.accounts import (
    Client,
    add_provider,
    add_reseller,
    assert_ledger_is_clean,
    ledger_of_order,
)
from tests.support.processes import Installation, Processes, Simulator, answering, eventually, running_processes

MONEY = Decimal("1000")
QUANTITY = 1003
"""Odd, so that half of it is not a round price."""
ENDED = ("Completed", "Partial", "Canceled")


@dataclass
class Shop:
    """A gateway that serves one reseller and sells what simulated upstreams have; its worker is not started."""

    gateway: Installation
    processes: Processes
    db: Database
    client: Client

    async def sell(self, name: str, *faults: str) -> tuple[Simulator, dict[str, Any]]:
        """A new upstream with these faults, and its first plain service as the shop lists it."""
        folder = self.processes.folder / name
        folder.mkdir()
        upstream = self.processes.simulator(*faults, folder=folder)
        known = {row["service"] for row in await self.client.services()}
        await add_provider(self.db, self.gateway.settings, upstream.url, upstream.key, markup="12.5", name=name)

        async def listed() -> dict[str, Any] | None:
            rows = await self.client.services()
            return next((row for row in rows if row["service"] not in known and row["type"] == "Default"), None)

        return upstream, await eventually(listed, what=f"the services of {name}")

    async def spendable(self) -> Decimal:
        return Decimal((await self.client.get(action="balance"))["balance"])


@asynccontextmanager
async def open_shop(folder: Path, db: Database, database_url: str, redis_url: str) -> AsyncIterator[Shop]:
    with running_processes(folder) as processes:
        gateway = Installation(processes, database_url, redis_url)
        api = gateway.begin_serving()
        reseller = await add_reseller(db, gateway.keyring, str(MONEY))
        async with Client(answering(api).url, reseller.key) as client:
            yield Shop(gateway, processes, db, client)
            await assert_ledger_is_clean(db)


def price_of(service: dict[str, Any], quantity: int) -> Decimal:
    return to_eight_places(Decimal(service["rate"]) * quantity / 1000)


def to_eight_places(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.00000001"), ROUND_HALF_EVEN)


async def follow(client: Client, number: int) -> tuple[list[str], dict[str, Any]]:
    """The statuses that a reseller sees, in their order, and the last answer."""
    seen: list[str] = []

    async def ended() -> dict[str, Any] | None:
        answer = await client.status(number)
        if answer["status"] not in seen[-1:]:
            seen.append(answer["status"])
        return answer if answer["status"] in ENDED else None

    return seen, await eventually(ended, what="the order's end", within_s=30)


async def test_an_order_is_sent_followed_and_completed_and_its_price_withdrawn(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    async with open_shop(tmp_path, db, database_url, redis_url) as shop:
        upstream, service = await shop.sell("upstream")
        price = price_of(service, QUANTITY)

        number = await shop.client.add(service, "https://example.com/p/1", QUANTITY)
        waiting = await shop.client.status(number)
        assert (waiting["status"], Decimal(waiting["charge"])) == ("Pending", price)
        assert await shop.spendable() == MONEY - price
        shop.gateway.work()
        seen, last = await follow(shop.client, number)

        assert [word for word in seen if word != "Pending"] == ["Processing", "In progress", "Completed"]
        assert (Decimal(last["charge"]), last["remains"], last["currency"]) == (price, "0", "USD")
        assert await ledger_of_order(database_url, number) == Counter([("hold", price), ("withdraw", price)])
        assert await shop.spendable() == MONEY - price
        [sent] = upstream.accepted()
        assert (sent["fields"]["link"], sent["quantity"]) == ("https://example.com/p/1", QUANTITY)
        assert "clean" in (await shop.gateway.command("ledger", "verify"))


async def test_a_partial_and_a_cancelled_order_are_charged_for_what_was_delivered(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    async with open_shop(tmp_path, db, database_url, redis_url) as shop:
        _, halved = await shop.sell("halving", "partial")
        _, dropped = await shop.sell("cancelling", "cancel")
        shop.gateway.work()
        partial = await shop.client.add(halved, "https://example.com/p/1", QUANTITY)
        cancelled = await shop.client.add(dropped, "https://example.com/p/2", QUANTITY)

        _, last = await follow(shop.client, partial)
        price, remains = price_of(halved, QUANTITY), QUANTITY // 2
        charge = to_eight_places(price * (QUANTITY - remains) / QUANTITY)
        assert (last["status"], Decimal(last["charge"]), last["remains"]) == ("Partial", charge, str(remains))
        assert await ledger_of_order(database_url, partial) == Counter(
            [("hold", price), ("withdraw", charge), ("release", price - charge)]
        )

        _, last = await follow(shop.client, cancelled)
        price = price_of(dropped, QUANTITY)
        assert (last["status"], Decimal(last["charge"]), last["remains"]) == ("Canceled", Decimal(0), str(QUANTITY))
        assert await ledger_of_order(database_url, cancelled) == Counter([("hold", price), ("release", price)])
        assert await shop.spendable() == MONEY - charge


async def test_an_order_that_the_upstream_refuses_is_cancelled_and_its_money_released(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    async with open_shop(tmp_path, db, database_url, redis_url) as shop:
        upstream, service = await shop.sell("refusing", "refuse")
        shop.gateway.work()
        number = await shop.client.add(service, "https://example.com/p/1", QUANTITY)

        _, last = await follow(shop.client, number)
        price = price_of(service, QUANTITY)
        assert (last["status"], Decimal(last["charge"]), last["remains"]) == ("Canceled", Decimal(0), str(QUANTITY))
        assert await ledger_of_order(database_url, number) == Counter([("hold", price), ("release", price)])
        assert await shop.spendable() == MONEY
        assert upstream.accepted() == []


async def test_an_upstream_that_lacks_our_money_rests_and_the_order_waits(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    async with open_shop(tmp_path, db, database_url, redis_url) as shop:
        upstream, service = await shop.sell("poor", "not-enough-funds")
        shop.gateway.work()
        number = await shop.client.add(service, "https://example.com/p/1", QUANTITY)

        async def alerts() -> list[str]:
            async with db.connection() as connection:
                rows = await connection.fetch("SELECT kind FROM alerts WHERE cleared_at IS NULL")
            return [row["kind"] for row in rows]

        assert await eventually(alerts, what="the alert") == ["provider_funds"]
        async with db.connection() as connection:
            paused = await connection.fetchval(
                "SELECT count(*) FROM service_routes WHERE paused_until > now() + interval '1 minute'"
            )
            dispatch = await connection.fetchval("SELECT dispatch FROM orders")
        assert (paused, dispatch) == (1, "queued")
        assert (await shop.client.status(number))["status"] == "Pending"
        price = price_of(service, QUANTITY)
        assert await ledger_of_order(database_url, number) == Counter([("hold", price)])
        assert await shop.spendable() == MONEY - price
        assert upstream.accepted() == []
