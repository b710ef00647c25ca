"""A catalogue taken over from an upstream."""

import asyncio
from decimal import Decimal
from uuid import UUID

import pytest

from compat.kinds import Kind
from gateway.catalog import store
from gateway.catalog.editing.providers import set_active
from gateway.catalog.sync.syncing import sync_due, sync_provider
from gateway.db.engine import Database
from gateway.errors import Unavailable
from tests.integration.scripted_panel import ScriptedPanel
from tests.support.syncs import Sync, listed, panel, provider_id, sync, upstreams

__all__ = ["panel", "provider_id", "sync", "upstreams"]


async def test_new_services_go_on_sale_with_the_markup_and_a_route(db: Database, sync: Sync, provider_id: UUID) -> None:
    assert await sync() == (3, 0, 0, 0)
    async with db.connection() as connection:
        likes, _, package = await store.list_services(connection)
        (route,) = await store.routes_of(connection, [likes.id])
    assert (likes.number, likes.name, likes.rate, likes.currency) == (1, "Likes 1", Decimal("1.125"), "USD")
    assert (likes.platform, likes.type, likes.kind) == ("instagram", "likes", Kind.DEFAULT)
    assert (likes.min_quantity, likes.max_quantity, likes.refill, likes.cancel) == (10, 1000, True, False)
    assert (package.min_quantity, package.max_quantity) == (1, 1)
    assert likes.provider_id == provider_id
    assert (route.provider_service_id, route.cost_per_1000, route.usable) == ("1", Decimal("0.9"), True)


async def test_the_same_list_again_writes_no_row(sync: Sync) -> None:
    await sync()
    before = await sync.everything()
    assert await sync() == (0, 0, 0, 0)
    assert await sync.everything() == before


async def test_a_dry_run_counts_and_writes_nothing(sync: Sync) -> None:
    assert await sync(dry_run=True) == (3, 0, 0, 0)
    assert await sync.everything() == [[], []]


async def test_new_services_can_be_held_back(sync: Sync, panel: ScriptedPanel) -> None:
    await sync(hold_new=True)
    assert await sync.on_sale() == []
    assert await sync() == (0, 0, 0, 0)
    assert await sync.on_sale() == []


async def test_what_is_listed_for_nothing_is_not_sold(sync: Sync, panel: ScriptedPanel) -> None:
    panel.answers["services"].append(listed(4, rate="0"))
    assert await sync() == (4, 0, 0, 0)
    assert await sync.on_sale() == [1, 2, 3]


async def test_a_change_upstream_is_taken_over(db: Database, sync: Sync, panel: ScriptedPanel) -> None:
    await sync()
    panel.answers["services"][0] = listed(1, rate="1", min="5", max="50", name="Hearts", refill=False, cancel=True)
    assert await sync() == (0, 1, 0, 0)
    async with db.connection() as connection:
        hearts = (await store.list_services(connection))[0]
        (route,) = await store.routes_of(connection, [hearts.id])
    assert (hearts.number, hearts.name, hearts.rate) == (1, "Hearts", Decimal("1.25"))
    assert (hearts.min_quantity, hearts.max_quantity, hearts.refill, hearts.cancel) == (5, 50, False, True)
    assert (route.cost_per_1000, route.min_quantity, route.max_quantity) == (1, 5, 50)


async def test_another_markup_changes_every_price_at_the_next_sync(db: Database, sync: Sync) -> None:
    await sync()
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET markup_percent = 100")
    assert await sync() == (0, 3, 0, 0)


async def test_what_vanished_is_off_and_comes_back_as_it_was(db: Database, sync: Sync, panel: ScriptedPanel) -> None:
    panel.answers["services"].append(listed(4))
    await sync()
    async with db.transaction() as tx:
        await store.offer_service(tx, 2, False)
    everything = panel.answers["services"]
    panel.answers["services"] = [listed(3, type="Package"), listed(4)]
    assert await sync() == (0, 0, 2, 0)
    assert await sync.on_sale() == [3, 4]
    assert await sync() == (0, 0, 0, 0)
    panel.answers["services"] = everything
    assert await sync() == (0, 2, 0, 0)
    assert await sync.on_sale() == [1, 3, 4]
    async with db.connection() as connection:
        services = await store.list_services(connection)
        routes = await store.routes_of(connection, [service.id for service in services])
    assert all(route.usable for route in routes)


async def test_a_price_that_moves_too_far_takes_its_service_off_sale(
    db: Database, sync: Sync, panel: ScriptedPanel
) -> None:
    await sync()
    panel.answers["services"][0] = listed(1, rate="2.70")
    assert await sync() == (0, 1, 0, 0)
    assert await sync.on_sale() == [2, 3]
    async with db.connection() as connection:
        likes = (await store.list_services(connection))[0]
        [route] = await store.routes_of(connection, [likes.id])
    assert (likes.rate, likes.provider_id, route.cost_per_1000) == (Decimal("1.125"), None, Decimal("0.9"))
    assert route.off == "its price moved and waits for an operator"
    panel.answers["services"][0] = listed(1, rate="0.95")
    assert await sync() == (0, 1, 0, 0)
    assert await sync.on_sale() == [1, 2, 3]


async def test_a_list_of_less_than_half_is_the_fault_of_the_upstream(
    db: Database, sync: Sync, panel: ScriptedPanel
) -> None:
    await sync()
    before = await sync.everything()
    panel.answers["services"] = [listed(1), listed(8), listed(9)]
    with pytest.raises(Unavailable, match="less than half of the 3"):
        await sync()
    assert await sync.everything() == before
    async with db.connection() as connection:
        assert "less than half" in await connection.fetchval("SELECT sync_error FROM providers")
    assert await sync(accept_shrunk=True) == (2, 0, 2, 0)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT sync_error FROM providers") is None


async def test_the_difference_is_told_before_anything_is_done(sync: Sync, panel: ScriptedPanel) -> None:
    await sync()
    before = await sync.everything()
    panel.answers["services"] = [listed(1, rate="1"), listed(3, type="Package", name="Pack"), listed(4)]
    result = await sync_provider(sync.db, sync.upstreams, sync.provider_id, dry_run=True)
    assert [(line.change, line.upstream_id, line.before, line.after) for line in result.lines] == [
        ("cost", "1", "0.9", "1"),
        ("price", "1", "1.125", "1.25"),
        ("gone", "2", "", ""),
        ("name", "3", "Likes 3", "Pack"),
        ("new", "4", "", "1.125"),
    ]
    assert await sync.everything() == before


async def test_a_service_below_the_floor_is_off_until_it_is_above(
    db: Database, sync: Sync, panel: ScriptedPanel
) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET margin_floor_percent = 10")
    await sync()
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET hand_set = '{price}', price_per_1000 = 1 WHERE number = 1")
    panel.answers["services"][0] = listed(1, rate="0.91")
    await sync()
    assert await sync.on_sale() == [2, 3]
    panel.answers["services"][0] = listed(1, rate="0.90")
    await sync()
    assert await sync.on_sale() == [1, 2, 3]


async def test_a_worker_syncs_what_was_synced_before_and_is_due(db: Database, sync: Sync, panel: ScriptedPanel) -> None:
    assert await sync_due(db, sync.upstreams, 60) == 0
    await sync()
    assert await sync_due(db, sync.upstreams, 60) == 0
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET sync_tried_at = now() - interval '61 s'")
    panel.answers["services"].append(listed(4))
    assert await asyncio.gather(*(sync_due(db, sync.upstreams, 60) for _ in range(3))) in (
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    )
    assert await sync.on_sale() == [1, 2, 3, 4]


async def test_every_change_is_in_the_feed_with_its_event(db: Database, sync: Sync, panel: ScriptedPanel) -> None:
    await sync()
    panel.answers["services"] = [listed(1, rate="1", max="500"), listed(2)]
    await sync()
    panel.answers["services"].append(listed(3, type="Package"))
    await sync()
    async with db.connection() as connection:
        changes = await connection.fetch("SELECT number, kind, before, after FROM catalog_changes ORDER BY xid, id")
        events = await connection.fetch("SELECT type FROM events WHERE object_type = 'service'")
    told = [(row["number"], row["kind"]) for row in changes]
    assert told == [(1, "new"), (2, "new"), (3, "new"), (1, "price"), (1, "limits"), (3, "off"), (3, "on")]
    assert (changes[3]["before"]["price"], changes[3]["after"]["price"]) == ("1.12500000", "1.25000000")
    assert sorted(event["type"] for event in events) == sorted(f"service.{kind}" for _, kind in told)


async def test_a_list_without_anything_to_sell_is_the_fault_of_the_upstream(sync: Sync, panel: ScriptedPanel) -> None:
    await sync()
    for answer in ([], [listed(1, type="Mind Reading")], "<html>", {"error": "Invalid API key"}):
        panel.answers["services"] = answer
        with pytest.raises(Unavailable, match="North"):
            await sync()
    assert await sync.on_sale() == [1, 2, 3]


async def test_rows_that_cannot_be_sold_are_counted(sync: Sync, panel: ScriptedPanel) -> None:
    panel.answers["services"] += [listed(4, type="Mind Reading"), listed(5, rate="free"), listed(1)]
    assert await sync() == (3, 0, 0, 3)


async def test_costs_in_another_currency_come_at_the_operators_rate(db: Database, sync: Sync) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET currency = 'EUR', exchange_rate = 1.1")
    await sync()
    async with db.connection() as connection:
        [likes, *_] = await store.list_services(connection)
        [route] = await store.routes_of(connection, [likes.id])
    assert (likes.rate, likes.currency) == (Decimal("1.2375"), "USD")
    assert (route.cost_per_1000, route.exchange_rate) == (Decimal("0.9"), Decimal("1.1"))


async def test_syncs_at_the_same_time_insert_each_service_once(sync: Sync) -> None:
    results = await asyncio.gather(*(sync() for _ in range(3)))
    assert sorted(new for new, *_ in results) == [0, 0, 3]


async def test_a_paused_route_and_a_provider_that_is_off_are_not_usable(
    db: Database, sync: Sync, provider_id: UUID
) -> None:
    await sync()
    async with db.transaction() as tx:
        first, second, *_ = await store.list_services(tx)
        (route,) = await store.routes_of(tx, [first.id])
        assert await store.pause_route(tx, route.id, "disabled there", 60)
        usable = {route.service_id: route.usable for route in await store.routes_of(tx, [first.id, second.id])}
        assert usable == {first.id: False, second.id: True}
        (paused,) = await store.routes_of(tx, [first.id])
        assert paused.active
        await set_active(tx, provider_id, False)
        assert not any(route.usable or route.active for route in await store.routes_of(tx, [first.id, second.id]))
        assert all(service.provider_id is None for service in await store.list_services(tx))
