"""Drip-feeds: run by us or by the upstream, the held money settled run by run."""

import asyncio
from decimal import Decimal

import pytest

from gateway.db.engine import Database
from gateway.errors import InsufficientFunds
from gateway.orders.families.model import State
from gateway.orders.families.runs import start_due_runs, start_run
from gateway.orders.model import Dispatch, Status
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import CancelWanted
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_shop, event_types, ledger_rows, open_alerts, read_order, read_wallet
from tests.support.families import (
    accept,
    children_of,
    drip,
    family_of,
    money_of_tree,
    pass_time,
    place,
    poll,
    report_on,
    said,
)


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


async def test_all_runs_are_paid_for_at_placement(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(quantity=1003, runs=3))
    assert (parent.quantity, parent.price, parent.dispatch) == (3009, Decimal("6.018"), Dispatch.PARENT)
    assert await ledger_rows(db, parent.id) == [("hold", Decimal("6.018"))]
    with pytest.raises(InsufficientFunds):
        await place(db, shop, drip(quantity=20_000, runs=3))
    await assert_ledger_is_clean(db)


async def test_a_run_begins_at_its_time_and_when_the_last_one_ended(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip())
    assert await start_due_runs(db) == 1
    assert await start_due_runs(db) == 0
    await pass_time(db, parent)
    assert await start_due_runs(db) == 0, "the first run is still open"
    [first] = await children_of(db, parent)
    assert (first.quantity, first.price, first.dispatch) == (1000, Decimal(2), Dispatch.QUEUED)
    assert (first.parent_id, first.details) == (parent.id, {})
    await accept(db, shop, first, "u1")
    assert (await read_order(db, parent.number)).status is Status.PROCESSING
    await report_on(db, first, "Completed")
    assert await start_due_runs(db) == 1
    assert len(await children_of(db, parent)) == 2
    await assert_ledger_is_clean(db)


async def test_runs_settle_their_share_and_the_parent_follows(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip())
    for run, (word, remains) in enumerate([("Completed", 0), ("Partial", 400), ("Canceled", 1000)]):
        await pass_time(db, parent)
        assert await start_due_runs(db) == 1
        child = (await children_of(db, parent))[run]
        await accept(db, shop, child, f"u{run}")
        await report_on(db, child, word, remains)
        await assert_ledger_is_clean(db)
    assert await start_due_runs(db) == 0
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.PARTIAL, Decimal("3.2"), 1400)
    assert await money_of_tree(db, parent) == {"hold": 6, "withdraw": Decimal("3.2"), "release": Decimal("2.8")}
    wallet = await read_wallet(db, shop.account.wallet_id)
    assert (wallet.balance, wallet.hold_amount) == (Decimal("96.8"), 0)
    assert await event_types(db, parent.id) == ["order.created", "order.processing", "order.partial"]


async def test_two_processes_never_start_the_same_run(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip())

    async def start() -> bool:
        async with db.transaction() as tx:
            return await start_run(tx, parent.id)

    assert sorted(await asyncio.gather(*(start() for _ in range(8)))) == [False] * 7 + [True]
    assert len(await children_of(db, parent)) == 1


async def test_stopping_releases_what_was_not_begun(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip())
    await start_due_runs(db)
    [child] = await children_of(db, parent)
    await accept(db, shop, child, "u1")
    for _ in range(2):
        async with db.transaction() as tx:
            await settle(tx, [Change(parent.id, CancelWanted())])
    assert await ledger_rows(db, parent.id) == [("hold", 6), ("release", 4)]
    assert (await read_order(db, parent.number)).status is Status.PROCESSING
    await report_on(db, child, "Completed")
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.PARTIAL, 2, 2000)
    await pass_time(db, parent)
    assert await start_due_runs(db) == 0
    await assert_ledger_is_clean(db)


async def test_stopping_before_the_first_run_gives_all_back(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip())
    async with db.transaction() as tx:
        await settle(tx, [Change(parent.id, CancelWanted())])
    after = await read_order(db, parent.number)
    assert (after.status, after.charge) == (Status.CANCELLED, 0)
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 0
    await assert_ledger_is_clean(db)


async def test_a_run_that_is_refunded_later_shows_in_the_parent(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(runs=2))
    for run in range(2):
        await pass_time(db, parent)
        await start_due_runs(db)
        child = (await children_of(db, parent))[run]
        await accept(db, shop, child, f"u{run}")
        await report_on(db, child, "Completed")
    assert (await read_order(db, parent.number)).status is Status.COMPLETED
    await report_on(db, child, "Partial", 500)
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.PARTIAL, 3, 500)
    await assert_ledger_is_clean(db)


async def test_runs_of_an_upstream_are_adopted_once_and_settled_at_their_share(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(), native=True)
    assert parent.details == {"runs": "3", "interval": "60"}
    await accept(db, shop, parent, "p1")
    runs = {"c1": said("Completed"), "c2": said("In progress", remains=300)}
    for _ in range(2):
        await poll(db, shop, parent, said("In progress", orders=("c1", "c2")), runs)
    assert [child.external_order_id for child in await children_of(db, parent)] == ["c1", "c2"]
    await assert_ledger_is_clean(db)
    runs = {"c2": said("Completed"), "c3": said("Partial", remains=250)}
    await poll(db, shop, parent, said("Partial", remains=250, orders=("c1", "c2", "c3")), runs)
    second = (await children_of(db, parent))[1]
    assert (await read_order(db, parent.number)).status is Status.PROCESSING, "the second run is open still"
    await report_on(db, second, "Completed")
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.PARTIAL, Decimal("5.5"), 250)
    assert (await family_of(db, parent)).state is State.CANCELED
    await assert_ledger_is_clean(db)


async def test_the_last_word_waits_for_runs_that_cannot_be_read_yet(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(runs=2), native=True)
    await accept(db, shop, parent, "p1")
    done = said("Completed", orders=("c1", "c2"))
    await poll(db, shop, parent, done, {"c1": said("Completed")})
    assert (await read_order(db, parent.number)).status is Status.PROCESSING
    await poll(db, shop, parent, done, {"c2": said("Completed")})
    after = await read_order(db, parent.number)
    assert (after.status, after.charge) == (Status.COMPLETED, 4)
    await assert_ledger_is_clean(db)


async def test_a_drip_feed_without_visible_runs_is_settled_whole(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(), native=True)
    await accept(db, shop, parent, "p1")
    await poll(db, shop, parent, said("Partial", remains=300), {})
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.PARTIAL, Decimal("5.4"), 300)
    await poll(db, shop, parent, said("Canceled"), {})
    assert (await read_order(db, parent.number)).charge == 0
    await assert_ledger_is_clean(db)


async def test_runs_that_an_upstream_completed_unseen_are_charged(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(), native=True)
    await accept(db, shop, parent, "p1")
    await poll(db, shop, parent, said("Completed", orders=("c1",)), {"c1": said("Completed")})
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.COMPLETED, 6, 0)
    await assert_ledger_is_clean(db)


async def test_a_run_too_many_and_a_strange_one_are_told_of_and_cost_nothing(db: Database, shop: Shop) -> None:
    other = await place(db, shop, drip(runs=2), native=True)
    await accept(db, shop, other, "x1")
    parent = await place(db, shop, drip(runs=2), native=True)
    await accept(db, shop, parent, "p1")
    runs = {name: said("Completed") for name in ("c1", "c2", "c3", "x1")}
    await poll(db, shop, parent, said("In progress", orders=("x1", "c1", "c2", "c3")), runs)
    assert [child.external_order_id for child in await children_of(db, parent)] == ["c1", "c2"]
    assert await open_alerts(db) == ["surplus_run"]
    await assert_ledger_is_clean(db)
