"""A catalogue kept in memory: what it hears of, and what it still reads."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from gateway.catalog import store
from gateway.catalog.editing.providers import set_active
from gateway.catalog.snapshot import Catalog
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.providers import actions
from tests.integration.scripted_panel import ScriptedPanel, until
from tests.support.syncs import Sync, panel, provider_id, sync, upstreams

__all__ = ["panel", "provider_id", "sync", "upstreams"]


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[Listener]:
    """Not started yet: what listens is made first."""
    listener = Listener(database_url)
    yield listener
    await listener.stop()


async def test_the_catalogue_hears_of_changes(
    db: Database, sync: Sync, listener: Listener, panel: ScriptedPanel
) -> None:
    catalog = Catalog(db, listener)
    await listener.start()
    await until(lambda: listener.healthy)
    assert await catalog.sold_in("USD") == []
    version = catalog.version
    await sync()
    await until(lambda: catalog.version != version)
    assert [service.number for service in await catalog.sold_in("USD")] == [1, 2, 3]
    assert await catalog.sold_in("EUR") == []
    service = await catalog.service(2)
    assert service is not None
    assert service.name == "Likes 2"
    assert await catalog.service(99) is None


async def test_a_pause_leaves_the_catalogue_and_a_provider_switched_off_changes_it(
    db: Database, sync: Sync, listener: Listener, provider_id: UUID
) -> None:
    await sync()
    heard: list[str] = []
    listener.on("catalog_changed", heard.append)
    listener.on("test_end", heard.append)
    await listener.start()
    await until(lambda: listener.healthy)
    async with db.transaction() as tx:
        (route,) = await store.routes_of(tx, [(await store.list_services(tx))[0].id])
        await store.pause_route(tx, route.id, "disabled there", 60)
        await actions.pause(tx, provider_id, "no funds", 60)
        await tx.execute("SELECT pg_notify('test_end', 'paused')")
    await until(lambda: "paused" in heard)
    assert heard == ["paused"]
    async with db.transaction() as tx:
        await set_active(tx, provider_id, False)
    await until(lambda: heard == ["paused", ""])


async def test_a_healthy_listener_saves_the_reads(db: Database, sync: Sync, listener: Listener) -> None:
    await sync()
    catalog = Catalog(db, listener)
    await listener.start()
    await until(lambda: listener.healthy)
    assert await catalog.service(1) is await catalog.service(1)


async def test_without_a_listener_every_question_reads_the_database(
    db: Database, sync: Sync, listener: Listener
) -> None:
    catalog = Catalog(db, listener)
    assert await catalog.service(1) is None
    await sync()
    assert await catalog.service(1) is not None
    version, sold = catalog.version, await catalog.sold_in("USD")
    assert await catalog.sold_in("USD") is sold
    assert catalog.version == version
    async with db.transaction() as tx:
        await store.offer_service(tx, 1, False)
    assert [service.number for service in await catalog.sold_in("USD")] == [2, 3]
    assert catalog.version != version


async def test_a_service_that_is_off_is_known_and_not_sold(db: Database, sync: Sync, listener: Listener) -> None:
    await sync()
    async with db.transaction() as tx:
        await store.offer_service(tx, 1, False)
    catalog = Catalog(db, listener)
    service = await catalog.service(1)
    assert service is not None
    assert not service.is_active
    assert 1 not in [service.number for service in await catalog.sold_in("USD")]
