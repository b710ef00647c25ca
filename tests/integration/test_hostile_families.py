"""Upstreams that tell strange things of the runs they began: nobody pays too much, and no parent is stuck unseen."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from compat.failures import UpstreamRefusal
from compat.kinds import Kind
from compat.reports import read_statuses
from compat.wire import UpstreamReport
from gateway.catalog.model import QUANTITY_MAX
from gateway.db.engine import Database
from gateway.ledger.booking import deposit
from gateway.orders.cancels.wishing import cancel_orders
from gateway.orders.families import store as families
from gateway.orders.families.runs import start_due_runs
from gateway.orders.model import Order, Status
from gateway.orders.reading import OrderReader
from gateway.tracking.poller import Poller
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_shop, event_types, open_alerts, read_order, read_wallet
from tests.support.families import (
    accept,
    children_of,
    drip,
    family_of,
    pass_time,
    place,
    poll,
    report_on,
    said,
    subscription,
)

DEAD = UpstreamReport(error="Incorrect order ID")


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db, funds="1000")


async def subscribe(db: Database, shop: Shop, *, posts: int | None = 3) -> Order:
    parent = await place(db, shop, subscription(posts=posts), kind=Kind.SUBSCRIPTIONS)
    await accept(db, shop, parent, "s1")
    return await read_order(db, parent.number)


async def native(db: Database, shop: Shop, upstream_id: str, *, runs: int = 3) -> Order:
    parent = await place(db, shop, drip(runs=runs), native=True)
    await accept(db, shop, parent, upstream_id)
    return parent


class Scripted:
    """An upstream that says the same of each order at each poll."""

    def __init__(self, answers: Mapping[str, UpstreamReport | Exception]) -> None:
        self._answers = answers

    async def statuses(self, _provider_id: UUID, ids: Sequence[str]) -> dict[str, UpstreamReport]:
        for order in ids:
            if isinstance(answer := self._answers[order], Exception):
                raise answer
        return {order: answer for order in ids if isinstance(answer := self._answers[order], UpstreamReport)}


async def test_the_price_of_a_post_stays_as_a_subscription_grows(db: Database, shop: Shop) -> None:
    parent = await subscribe(db, shop, posts=None)
    ids = tuple(f"c{number}" for number in range(21))
    posts = {order: said("In progress", charge=Decimal("0.4")) for order in ids}
    for seen in (10, 11, 21):
        await poll(db, shop, parent, said("Active", orders=ids[:seen]), posts)
    assert [child.quantity for child in await children_of(db, parent)] == [400] * 21
    await assert_ledger_is_clean(db)


@pytest.mark.parametrize(("most", "charge"), [(None, "1.8"), (Decimal("0.15"), "0.3")])
async def test_a_post_that_ended_short_is_as_large_as_it_was(
    db: Database, shop: Shop, most: Decimal | None, charge: str
) -> None:
    """Of 250 pieces 150 were delivered, at a cost of 1 per 1000."""
    parent = await subscribe(db, shop)
    await poll(db, shop, parent, said("Active", orders=("c1",)), {"c1": said("Partial", remains=100, charge=most)})
    [child] = await children_of(db, parent)
    assert child.charge == Decimal(charge)
    await assert_ledger_is_clean(db)


async def test_the_quantity_of_a_subscription_without_end_stays_in_its_column(db: Database) -> None:
    shop = await add_shop(db, rate="0.00001")
    shop = with_limits(shop, max_quantity=QUANTITY_MAX)
    parent = await place(db, shop, subscription(most=200_000_000, posts=None), kind=Kind.SUBSCRIPTIONS)
    await accept(db, shop, parent, "s1")
    posts = {"c1": said("Completed", quantity=100)}
    await poll(db, shop, parent, said("Active", orders=("c1",)), posts)
    assert (await read_order(db, parent.number)).quantity == QUANTITY_MAX
    await poll(db, shop, parent, said("Canceled", orders=("c1",)), posts)
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 0
    await assert_ledger_is_clean(db)


def with_limits(shop: Shop, **changes: int) -> Shop:
    return Shop(shop.account, msgspec.structs.replace(shop.service, **changes), shop.provider_id, shop.route)


def test_posts_past_a_thousand_are_read() -> None:
    reply = {"status": "Active", "orders": [str(number) for number in range(1, 1102)]}
    assert len(read_statuses(reply, ["s1"])["s1"].orders) == 1101


@pytest.mark.parametrize(
    "runs",
    [
        {"0": "183", "2": 190},
        {"183": {"status": "Completed"}, "190": {"status": "Pending"}},
        {"183": "Completed", "190": "Pending"},
        [{"order": 183, "status": "Completed"}, {"id": "190"}],
    ],
)
def test_runs_are_found_in_any_writing(runs: object) -> None:
    assert read_statuses({"status": "Active", "orders": runs}, ["s1"])["s1"].orders == ("183", "190")


async def test_a_run_that_cannot_be_read_at_the_end_is_told_of(db: Database, shop: Shop) -> None:
    parent = await native(db, shop, "p1")
    for _ in range(5):
        await poll(db, shop, parent, said("Canceled", orders=("c1", "c2")), {"c1": said("Completed"), "c2": DEAD})
    assert (await read_order(db, parent.number)).status is Status.PROCESSING
    assert await open_alerts(db) == ["unreadable_status"]
    await poll(db, shop, parent, said("Canceled", orders=("c1",)), {})
    assert (await read_order(db, parent.number)).charge == 2
    await assert_ledger_is_clean(db)


async def test_runs_too_many_keep_no_parent_open(db: Database, shop: Shop) -> None:
    parent = await subscribe(db, shop, posts=2)
    ids = tuple(f"c{number}" for number in range(1104))
    posts = {order: said("Completed", quantity=100) for order in ids}
    for _ in range(2):
        await poll(db, shop, parent, said("Completed", orders=ids), posts)
    assert (await read_order(db, parent.number)).status is Status.COMPLETED
    assert await open_alerts(db) == ["surplus_run"]


async def test_runs_that_cannot_be_read_keep_none_from_being_found(db: Database, shop: Shop) -> None:
    parent = await subscribe(db, shop, posts=2)
    dead = {f"d{number}": DEAD for number in range(100)}
    posts = dead | {"c1": said("Completed", quantity=100), "c2": said("Completed", quantity=100)}
    await poll(db, shop, parent, said("Active", orders=tuple(posts)), posts)
    assert [child.external_order_id for child in await children_of(db, parent)] == ["c1", "c2"]


@pytest.mark.parametrize("fault", [UpstreamRefusal("Access denied", None), RuntimeError("a bug")])
async def test_a_family_at_fault_stops_no_other(db: Database, shop: Shop, fault: Exception) -> None:
    await native(db, shop, "a", runs=2)
    other = await native(db, shop, "b", runs=2)
    done = said("Completed")
    answers = {"a": said("In progress", orders=("a1",)), "a1": fault, "b": done, "b1": done}
    poller = Poller(db, Scripted(answers), check_interval_min_s=60, check_interval_max_s=60)  # type: ignore[arg-type]
    await poller._poll(shop.provider_id)
    assert (await read_order(db, other.number)).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("word", "remains", "charge"), [("Partial", 2000, 2), ("Partial", 1500, 4), ("Refunded", None, 2)]
)
async def test_runs_charged_unseen_are_refunded_where_they_are_taken_back(
    db: Database, shop: Shop, word: str, remains: int | None, charge: int
) -> None:
    parent = await native(db, shop, "p1")
    await poll(db, shop, parent, said("Completed", orders=("c1",)), {"c1": said("Completed")})
    assert (await read_order(db, parent.number)).charge == 6
    for _ in range(2):
        await poll(db, shop, parent, said(word, remains=remains, orders=("c1",)), {})
        assert (await read_order(db, parent.number)).charge == charge
        await assert_ledger_is_clean(db)
    assert await open_alerts(db) == ["refunded_by_upstream"]
    await report_on(db, (await children_of(db, parent))[0], "Refunded")
    assert (await read_order(db, parent.number)).charge == charge - 2
    await assert_ledger_is_clean(db)


async def test_partial_with_nothing_left_is_completed(db: Database, shop: Shop) -> None:
    parent = await native(db, shop, "p1", runs=2)
    done = said("Completed")
    await poll(db, shop, parent, said("Partial", remains=0, orders=("c1", "c2")), {"c1": done, "c2": done})
    assert (await read_order(db, parent.number)).status is Status.COMPLETED
    assert (await event_types(db, parent.id))[-1] == "order.completed"


@pytest.mark.parametrize("is_resting", [False, True])
async def test_the_alert_of_no_money_ends_with_the_want_of_it(db: Database, is_resting: bool) -> None:
    shop = await add_shop(db, funds="20")
    parent = await subscribe(db, shop, posts=None)
    posts = {"c1": said("Completed", quantity=1000)}
    await poll(db, shop, parent, said("Active", orders=("c1",)), posts)
    assert await open_alerts(db) == ["subscription_unpaid"]
    if is_resting:
        await poll(db, shop, parent, said("Paused", orders=("c1",)), posts)
        async with db.transaction() as tx:
            await deposit(tx, shop.account.wallet_id, Decimal(30))
        await poll(db, shop, parent, said("Paused", orders=("c1",)), posts)
    else:
        await poll(db, shop, parent, said("Canceled", orders=("c1",)), posts)
    assert await open_alerts(db) == []


async def test_a_run_that_begins_while_its_drip_feed_is_stopped_goes_with_it(
    db: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = await stoppable(db, shop)
    real, began = families.open_children, list[int]()

    async def begun_beside(tx: object, ids: Sequence[UUID]) -> object:
        found = await real(tx, ids)  # type: ignore[arg-type]
        async with db.connection() as connection:
            locked = await connection.fetchval("SELECT count(*) = 0 FROM (SELECT FROM orders FOR UPDATE SKIP LOCKED) o")
        began.append(0 if locked else await start_due_runs(db))
        return found

    monkeypatch.setattr(families, "open_children", begun_beside)
    answers = await cancel_orders(db, OrderReader(db), shop.account.user_id, [parent.number])
    assert answers == {parent.number: None}
    assert await start_due_runs(db) == 0
    statuses = [(await read_order(db, child.number)).status for child in await children_of(db, parent)]
    assert statuses == [Status.CANCELLED] * sum(began)
    assert (await read_order(db, parent.number)).status is Status.CANCELLED


async def test_stopping_at_the_last_run_is_taken(db: Database, shop: Shop) -> None:
    parent = await stoppable(db, shop)
    for run in range(2):
        await pass_time(db, parent)
        await start_due_runs(db)
        child = (await children_of(db, parent))[run]
        await accept(db, shop, child, f"u{run}")
        if run == 0:
            await report_on(db, child, "Completed")
    assert (await family_of(db, parent)).left == 0
    for _ in range(2):
        answers = await cancel_orders(db, OrderReader(db), shop.account.user_id, [parent.number])
        assert answers == {parent.number: None}


async def stoppable(db: Database, shop: Shop) -> Order:
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET cancel = true")
    return await place(db, shop, drip(runs=2))
