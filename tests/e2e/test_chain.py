"""A gateway buys from a gateway, which buys from a panel: one order goes through both, and both charge it right."""

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from gateway.db import migrate
from gateway.db.engine import Database
from tests.support.accounts import (
    Client,
    add_provider,
    add_reseller,
    assert_ledger_is_clean,
    ledger_of_order,
)
from tests.support.processes import Installation, answering, eventually, running_processes

QUANTITY = 1003


async def test_an_order_placed_on_the_first_gateway_completes_through_both(
    tmp_path: Path, database_url: str, empty_database_url: str, redis_url: str
) -> None:
    urls = {"seller": database_url, "reseller": empty_database_url}
    await migrate.upgrade(urls["reseller"])
    sellers_db, resellers_db = await Database.open(urls["seller"]), await Database.open(urls["reseller"])
    with running_processes(tmp_path) as processes:
        seller = Installation(processes, urls["seller"], redis_url, name="seller")
        reseller = Installation(processes, urls["reseller"], redis_url, name="reseller")
        apis = [seller.begin_serving(), reseller.begin_serving()]
        panel = processes.simulator()
        seller_url, reseller_url = (answering(api).url for api in apis)

        await add_provider(sellers_db, seller.settings, panel.url, panel.key, markup="12.5")
        wholesale = await add_reseller(sellers_db, seller.keyring, "500", email="gateway@example.com")
        await add_provider(resellers_db, reseller.settings, seller_url, wholesale.key, markup="7.77")
        retail = await add_reseller(resellers_db, reseller.keyring, "500", email="shop@example.com")
        seller.work()
        reseller.work()
        async with Client(seller_url, wholesale.key) as at_seller, Client(reseller_url, retail.key) as at_reseller:
            bought, sold = await at_seller.service(), await at_reseller.service()
            number = await at_reseller.add(sold, "https://example.com/p/1", QUANTITY)

            async def completed() -> bool:
                status: str = (await at_reseller.status(number))["status"]
                return status == "Completed"

            await eventually(completed, what="the order completed", within_s=40)

            cost = rounded(Decimal("0.90") * Decimal("1.125")) * QUANTITY / 1000
            price = rounded(rounded(Decimal(bought["rate"]) * Decimal("1.0777")) * QUANTITY / 1000)
            [wholesale_number] = await numbers(sellers_db)
            below, above = await at_seller.status(wholesale_number), await at_reseller.status(number)
            assert (below["status"], Decimal(below["charge"])) == ("Completed", rounded(cost))
            assert (above["status"], Decimal(above["charge"])) == ("Completed", price)
            assert Decimal((await at_seller.get(action="balance"))["balance"]) == 500 - rounded(cost)
            assert Decimal((await at_reseller.get(action="balance"))["balance"]) == 500 - price

        [sent] = panel.accepted()
        assert (sent["fields"]["link"], sent["quantity"]) == ("https://example.com/p/1", QUANTITY)
        assert await ledger_of_order(urls["seller"], wholesale_number) == settled(rounded(cost))
        assert await ledger_of_order(urls["reseller"], number) == settled(price)
        for db in (sellers_db, resellers_db):
            await assert_ledger_is_clean(db)
            await db.close()


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.00000001"), ROUND_HALF_EVEN)


def settled(price: Decimal) -> Counter[tuple[str, Decimal]]:
    return Counter([("hold", price), ("withdraw", price)])


async def numbers(db: Database) -> list[int]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT number FROM orders")
    return [row["number"] for row in rows]
