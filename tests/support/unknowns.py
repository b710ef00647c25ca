"""Orders sent to a simulated panel, with faults that leave it unknown what became of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from compat.kinds import Kind
from compat.simulator import Simulator
from compat.wire import AddRequest
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.model import Attempt, fields_sent
from gateway.dispatch.outcomes import record
from gateway.dispatch.unknowns.probing import probe_provider
from gateway.egress import open_session
from gateway.orders.model import Order
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_account, add_provider, add_route, add_service, place_order, read_order
from tests.support.faults import KEYRING

KEY = "a-key"
SETTINGS = Settings(send_timeout_s=0.3, send_lease_s=60, poll_timeout_s=5)


@dataclass(frozen=True)
class Counter:
    """A shop whose orders go to a simulated panel."""

    db: Database
    shop: Shop
    panel: Simulator
    upstreams: Upstreams

    async def send(self, fault: str | None = None, *, quantity: int = 1000) -> Order:
        """Place an order and send it, as a dispatcher does; its lease is over at once."""
        order = await place_order(self.db, self.shop, quantity=quantity)
        if fault is not None:
            self.panel.faults.next(fault)
        attempt = Attempt(uuid7(), order, Kind.DEFAULT, self.shop.route)
        async with self.db.transaction() as tx:
            await store.insert_attempts(tx, [attempt], timedelta(seconds=60))
        route = self.shop.route
        outcome = await self.upstreams.add(route.provider_id, route.provider_service_id, fields_sent(attempt))
        await record(self.db, attempt.id, outcome, timedelta())
        await self.sql("UPDATE dispatch_attempts SET lease_until = now() - interval '1 s' WHERE id = $1", attempt.id)
        return await read_order(self.db, order.number)

    async def probe(self) -> int:
        """One round over what is unknown, all of it due."""
        await self.sql("UPDATE dispatch_attempts SET next_probe_at = now() WHERE next_probe_at < 'infinity'")
        return await probe_provider(self.db, self.upstreams, self.shop.provider_id)

    def order_elsewhere(self, quantity: int) -> int:
        """An order of the same account that another program placed; its id."""
        fields = {"link": "https://example.com/elsewhere", "quantity": str(quantity)}
        return self.panel.panel.add(AddRequest(service="1", fields=fields))

    async def placed_as(self, order: Order) -> str:
        """The id under which the panel took it, by the key that was sent along."""
        attempt = await self.attempt(order)
        [taken] = [each for each in self.panel.panel.accepted if each.idempotency_key == str(attempt["id"])]
        return str(taken.order)

    async def attempt(self, order: Order) -> dict[str, Any]:
        """Its newest one."""
        async with self.db.connection() as connection:
            row = await connection.fetchrow(
                "SELECT * FROM dispatch_attempts WHERE order_id = $1 ORDER BY id DESC LIMIT 1", order.id
            )
        assert row is not None
        return dict(row)

    async def look(self, order: Order) -> tuple[str, str | None]:
        """Where it stands with its upstream, and its id there."""
        now = await read_order(self.db, order.number)
        return now.dispatch.value, now.external_order_id

    async def sql(self, query: str, *arguments: object) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(query, *arguments)

    async def assert_books_are_clean(self) -> None:
        await assert_ledger_is_clean(self.db)


async def add_panel_shop(db: Database, url: str, *, cost: str = "0.90") -> Shop:
    """A shop that buys service 1 of the simulator at its price."""
    provider_id = await add_provider(db, url=url)
    service = msgspec.structs.replace(await add_service(db), provider_id=provider_id)
    route = await add_route(db, service.id, provider_id, cost=cost)
    await unlock(db, provider_id)
    return Shop(await add_account(db, funds="1000"), service, provider_id, route)


async def unlock(db: Database, provider_id: UUID) -> None:
    """The provider has our key."""
    async with db.transaction() as tx:
        await actions.set_api_key(tx, KEYRING, provider_id, KEY)


@asynccontextmanager
async def open_counter(db: Database, *, probes: bool = True) -> AsyncIterator[Counter]:
    panel = Simulator(key=KEY)
    url = await panel.start()
    try:
        async with open_session(allow_private=True, limit=20) as session:
            shop = await add_panel_shop(db, url)
            upstreams = Upstreams(db, KEYRING, session, SETTINGS)
            async with db.transaction() as tx:
                await actions.set_probes(tx, shop.provider_id, probes)
            await upstreams.refresh()
            yield Counter(db, shop, panel, upstreams)
    finally:
        await panel.stop()


@pytest.fixture
async def counter(db: Database) -> AsyncIterator[Counter]:
    async with open_counter(db) as counter:
        yield counter
        await counter.assert_books_are_clean()
