"""A shop that buys from a simulated panel over HTTP, with a dispatcher and a poller at work in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from compat.simulator import Simulator
from gateway.db.engine import Database
from gateway.dispatch.sender import Dispatcher
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.orders.model import Order, Status
from gateway.providers import actions
from gateway.providers.money.balances import learn_balances
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from gateway.tracking.poller import Poller
from tests.support.factories import Shop, add_shop, place_order, read_order
from tests.support.faults import eventually

KEYRING = Keyring(("a secret that is long enough to be one",))
KEY = "a-key"
SPEED = 50.0
RATE = Decimal("0.90")
"""What the simulator asks for 1000 of its service 1."""


@dataclass(frozen=True)
class Trade:
    """Orders really go out and are really followed."""

    db: Database
    shop: Shop
    simulator: Simulator
    upstreams: Upstreams

    @property
    def provider_id(self) -> UUID:
        return self.shop.provider_id

    async def sql(self, query: str, *arguments: object) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(query, *arguments)

    async def row(self, query: str, *arguments: object) -> dict[str, Any]:
        async with self.db.connection() as connection:
            row = await connection.fetchrow(query, *arguments)
        return dict(row) if row else {}

    async def learn(self) -> None:
        """One reading of the balance."""
        await learn_balances(self.db, self.upstreams)

    async def order(self, quantity: int = 1000) -> Order:
        return await place_order(self.db, self.shop, quantity=quantity)

    async def status(self, order: Order) -> Status:
        return (await read_order(self.db, order.number)).status

    async def until(self, status: Status, *orders: Order) -> None:
        """Each of them is asked about at once, again and again, until all are so."""

        async def reached() -> bool:
            await self.sql(
                "UPDATE order_checks SET next_check_at = now() WHERE order_id IN "
                "(SELECT order_id FROM order_checks FOR UPDATE SKIP LOCKED)"
            )
            return {await self.status(order) for order in orders} == {status}

        await eventually(reached)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        dispatcher = Dispatcher(self.db, self.upstreams, lease_s=60, first_check_s=0.05)
        poller = Poller(self.db, self.upstreams, check_interval_min_s=0.05, check_interval_max_s=900)
        running = [asyncio.create_task(dispatcher.run()), asyncio.create_task(poller.run())]
        try:
            yield
        finally:
            await dispatcher.stop(15)
            await poller.stop()
            await asyncio.gather(*running)

    async def trade(self, status: Status, *quantities: int) -> list[Order]:
        """Orders of these quantities, sent and followed to this end."""
        orders = [await self.order(quantity) for quantity in quantities]
        async with self.at_work():
            await self.until(status, *orders)
        return orders


@asynccontextmanager
async def open_trade(
    db: Database, *, balance: Decimal | str = "100", cost: Decimal | str = RATE, rate: Decimal | str = "2"
) -> AsyncIterator[Trade]:
    """Service 1 of the simulator is bought at `cost` as we know it and sold at `rate`."""
    simulator = Simulator(key=KEY, speed=SPEED, balance=Decimal(balance))
    url = await simulator.start()
    shop = await add_shop(db, funds="1000", rate=rate)
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET api_endpoint = $1", url)
        await tx.execute("UPDATE service_routes SET cost_per_1000 = $1", Decimal(cost))
        await actions.set_api_key(tx, KEYRING, shop.provider_id, KEY)
    try:
        async with open_session(allow_private=True, limit=10) as session:
            upstreams = Upstreams(db, KEYRING, session, Settings())
            await upstreams.refresh()
            yield Trade(db, shop, simulator, upstreams)
    finally:
        await simulator.stop()
