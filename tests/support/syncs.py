"""A provider with a list, and what its sync leaves in the catalogue."""

from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from gateway.catalog import store
from gateway.catalog.sync.syncing import SyncResult, sync_provider
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.integration.scripted_panel import ScriptedPanel, open_panel
from tests.support import market
from tests.support.market import KEYRING

listed = partial(market.listed, rate="0.90")


@pytest.fixture
async def panel() -> AsyncIterator[ScriptedPanel]:
    async with open_panel() as panel:
        panel.answers["services"] = [listed(1), listed(2), listed(3, type="Package")]
        yield panel


@pytest.fixture
async def upstreams(db: Database, panel: ScriptedPanel) -> AsyncIterator[Upstreams]:
    async with open_session(allow_private=True, limit=10) as session:
        yield Upstreams(db, KEYRING, session, Settings())


@pytest.fixture
async def provider_id(db: Database, panel: ScriptedPanel, upstreams: Upstreams) -> UUID:
    async with db.transaction() as tx:
        provider_id = await actions.add_provider(tx, KEYRING, "North", panel.url, "k", Decimal(25), 0)
    await upstreams.refresh()
    return provider_id


class Sync:
    """The sync of one provider, and what stands in the database after it."""

    def __init__(self, db: Database, upstreams: Upstreams, provider_id: UUID) -> None:
        self.db, self.upstreams, self.provider_id = db, upstreams, provider_id

    async def __call__(
        self, *, dry_run: bool = False, hold_new: bool = False, accept_shrunk: bool = False
    ) -> tuple[int, int, int, int]:
        result: SyncResult = await sync_provider(
            self.db,
            self.upstreams,
            self.provider_id,
            dry_run=dry_run,
            hold_new=hold_new,
            accept_shrunk=accept_shrunk,
        )
        return result.new, result.changed, result.vanished, result.skipped

    async def on_sale(self) -> list[int]:
        async with self.db.connection() as connection:
            return [service.number for service in await store.list_services(connection) if service.is_active]

    async def everything(self) -> list[Any]:
        """All rows with their versions, so that even a rewrite with the same values shows."""
        async with self.db.connection() as connection:
            return [
                await connection.fetch("SELECT xmin::text, * FROM services ORDER BY id"),
                await connection.fetch("SELECT xmin::text, * FROM service_routes ORDER BY id"),
            ]


@pytest.fixture
def sync(db: Database, upstreams: Upstreams, provider_id: UUID) -> Sync:
    return Sync(db, upstreams, provider_id)
