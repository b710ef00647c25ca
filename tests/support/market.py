"""Providers with lists that a test may change, their catalogue taken over, and an operator's hand on it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from gateway.catalog import store as catalog
from gateway.catalog.editing import providers, services
from gateway.catalog.editing.model import ProviderEdit, ServiceEdit, ServiceTerms
from gateway.catalog.model import Route
from gateway.catalog.sync.syncing import SyncResult, sync_provider
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.integration.scripted_panel import ScriptedPanel, open_panel

KEYRING = Keyring(("a secret of this test, long enough",))


def listed(service: int, **changes: Any) -> dict[str, Any]:
    row = {"service": service, "name": f"Likes {service}", "type": "Default", "category": "Instagram"}
    return {**row, "rate": "1", "min": "10", "max": "1000", "refill": True, "desc": "fast", **changes}


class Market:
    """What is listed where, and what we make of it."""

    def __init__(self, db: Database, upstreams: Upstreams, stack: AsyncExitStack) -> None:
        self.db, self.upstreams, self._stack = db, upstreams, stack
        self.panels: dict[str, ScriptedPanel] = {}
        self.ids: dict[str, UUID] = {}

    async def add(self, name: str, *rows: dict[str, Any], markup: str = "0", synced: bool = True) -> UUID:
        """A provider that lists these rows, taken over at once."""
        panel = await self._stack.enter_async_context(open_panel())
        panel.answers["services"] = list(rows)
        async with self.db.transaction() as tx:
            provider_id = await actions.add_provider(tx, KEYRING, name, panel.url, "k", Decimal(markup))
        self.panels[name], self.ids[name] = panel, provider_id
        await self.upstreams.refresh()
        if synced:
            await self.sync(name)
        return provider_id

    def lists(self, name: str, *rows: dict[str, Any]) -> None:
        self.panels[name].answers["services"] = list(rows)

    async def sync(self, name: str) -> SyncResult:
        return await sync_provider(self.db, self.upstreams, self.ids[name])

    async def set(self, number: int, **changes: Any) -> list[str]:
        async with self.db.transaction() as tx:
            return await services.set_service(tx, number, ServiceEdit(**changes))

    async def set_provider(self, name: str, **changes: Any) -> None:
        async with self.db.transaction() as tx:
            await providers.set_provider(tx, self.ids[name], ProviderEdit(**changes))

    async def service(self, number: int) -> ServiceTerms:
        async with self.db.connection() as connection:
            return await services.get_service(connection, number)

    async def price(self, number: int) -> Decimal:
        return (await self.service(number)).price

    async def on_sale(self) -> list[int]:
        async with self.db.connection() as connection:
            return [service.number for service in await catalog.list_services(connection) if service.is_active]

    async def routes(self, number: int) -> list[Route]:
        service = await self.service(number)
        async with self.db.connection() as connection:
            return await catalog.routes_of(connection, [service.id])


@asynccontextmanager
async def open_market(db: Database) -> AsyncIterator[Market]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(allow_private=True, limit=10))
        yield Market(db, Upstreams(db, KEYRING, session, Settings()), stack)


Stocked: TypeAlias = Callable[[Database], AbstractAsyncContextManager[Market]]
"""Opens a market in a database; a module that asks for `market` or `operator` has a fixture `stocked` of its own."""
