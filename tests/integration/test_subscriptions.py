"""Subscriptions: posts found at the upstream, each settled at its own quantity, none lost for want of money."""

from decimal import Decimal

import pytest

from compat.kinds import Kind
from gateway.accounts.spending import store as spending
from gateway.db.engine import Database
from gateway.ledger.booking import deposit
from gateway.orders.families.model import POSTS_AHEAD, State
from gateway.orders.model import Dispatch, Order, Status
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_account, add_shop, event_types, open_alerts, read_order, read_wallet
from tests.support.families import (
    accept,
    children_of,
    family_of,
    money_of_tree,
    place,
    poll,
    report_on,
    said,
    subscription,
)


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


async def subscribe(db: Database, shop: Shop, *, posts: int | None = 3) -> Order:
    parent = await place(db, shop, subscription(posts=posts), kind=Kind.SUBSCRIPTIONS)
    await accept(db, shop, parent, "s1")
    return await read_order(db, parent.number)


async def test_all_posts_are_paid_for_at_their_largest(db: Database, shop: Shop) -> None:
    parent = await subscribe(db, shop)
    assert (parent.link, parent.quantity, parent.price) == ("somebody", 3000, 6)
    assert (parent.dispatch, parent.status) == (Dispatch.ACCEPTED, Status.PROCESSING)
    assert parent.details == {"username": "somebody", "delay": "0", "min": "100", "max": "1000"}


async def test_a_post_is_settled_at_its_own_quantity_and_the_rest_of_its_share_released(
    db: Database, shop: Shop
) -> None:
    parent = await subscribe(db, shop)
    runs = {"c1": said("In progress", quantity=250), "c2": said("Pending", charge=Decimal("0.4"))}
    await poll(db, shop, parent, said("Active", orders=("c1", "c2")), runs)
    first, second = await children_of(db, parent)
    assert (first.quantity, first.price) == (250, Decimal("0.5"))
    assert (second.quantity, second.price) == (400, Decimal("0.8")), "by its charge, at a cost of 1 per 1000"
    await assert_ledger_is_clean(db)
    await report_on(db, first, "Completed")
    await report_on(db, second, "Partial", 100)
    await poll(db, shop, parent, said("Expired", orders=("c1", "c2")), {})
    after = await read_order(db, parent.number)
    assert (after.status, after.charge) == (Status.PARTIAL, Decimal("1.1"))
    assert (await family_of(db, parent)).state is State.EXPIRED
    assert await money_of_tree(db, parent) == {"hold": 6, "withdraw": Decimal("1.1"), "release": Decimal("4.9")}
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 0
    await assert_ledger_is_clean(db)


async def test_a_subscription_whose_posts_were_all_delivered_is_completed(db: Database, shop: Shop) -> None:
    parent = await subscribe(db, shop)
    ids = ("c1", "c2", "c3")
    runs = {order: said("Completed", quantity=500) for order in ids}
    for _ in range(3):
        await poll(db, shop, parent, said("Completed", orders=ids), runs)
    after = await read_order(db, parent.number)
    assert (after.status, after.charge, after.remains) == (Status.COMPLETED, 3, 0)
    assert await event_types(db, parent.id) == ["order.created", "order.processing", "order.completed"]
    await assert_ledger_is_clean(db)


async def test_a_subscription_that_is_canceled_before_a_post_gives_all_back(db: Database, shop: Shop) -> None:
    parent = await subscribe(db, shop)
    await poll(db, shop, parent, said("Paused"), {})
    assert (await family_of(db, parent)).state is State.PAUSED
    await poll(db, shop, parent, said("Active"), {})
    assert (await family_of(db, parent)).state is State.ACTIVE
    await poll(db, shop, parent, said("Canceled"), {})
    assert (await read_order(db, parent.number)).status is Status.CANCELLED
    assert (await read_wallet(db, shop.account.wallet_id)).spendable == 100
    await assert_ledger_is_clean(db)


async def test_an_open_number_of_posts_is_paid_for_ahead_and_pauses_without_money(db: Database, shop: Shop) -> None:
    """100 USD pay for 50 posts of 2 USD at most; the 51st waits for money, and is not lost."""
    parent = await subscribe(db, shop, posts=None)
    assert parent.price == 2 * POSTS_AHEAD
    ids = tuple(f"c{number}" for number in range(51))
    runs = {order: said("Completed", quantity=1000) for order in ids}
    await poll(db, shop, parent, said("Active", orders=ids[:5]), runs)
    assert (await family_of(db, parent)).left == POSTS_AHEAD
    await poll(db, shop, parent, said("Active", orders=ids), runs)
    family = await family_of(db, parent)
    assert (family.started, family.held, family.state) == (50, 50, State.PAUSED)
    assert await open_alerts(db) == ["subscription_unpaid"]
    await assert_ledger_is_clean(db)
    async with db.transaction() as tx:
        await deposit(tx, shop.account.wallet_id, Decimal(30))
    await poll(db, shop, parent, said("Active", orders=ids), runs)
    family = await family_of(db, parent)
    assert (family.started, family.left, family.state) == (51, POSTS_AHEAD, State.ACTIVE)
    assert await open_alerts(db) == []
    assert [name for name in await event_types(db, parent.id) if name.endswith(("paused", "resumed"))] == [
        "order.paused",
        "order.resumed",
    ]
    await assert_ledger_is_clean(db)


async def test_posts_that_come_later_count_against_the_cap_of_the_key(db: Database, shop: Shop) -> None:
    """Ten posts of 2 USD are held when it is placed, and of the next ones no more than the cap of the day has room."""
    account = await add_account(db, funds="1000", cap=Decimal(25))
    shop = Shop(account, shop.service, shop.provider_id, shop.route)
    parent = await subscribe(db, shop, posts=None)
    ids = tuple(f"c{number}" for number in range(20))
    posts = {order: said("Completed", quantity=1000) for order in ids}
    for _ in range(2):
        await poll(db, shop, parent, said("Active", orders=ids), posts)
        family = await family_of(db, parent)
        assert (family.held, family.started, family.state) == (12, 12, State.PAUSED)
        assert await spent_today(db, shop) == 24
    async with db.connection() as connection:
        [message] = [row["message"] for row in await connection.fetch("SELECT message FROM alerts")]
    assert message == "the key of this subscription may spend no more today on its next posts"
    await assert_ledger_is_clean(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE key_spending SET day = day - 1")
        await tx.execute("UPDATE api_keys SET daily_spend_cap = 100 WHERE id = $1", account.key_id)
    await poll(db, shop, parent, said("Active", orders=ids), posts)
    family = await family_of(db, parent)
    assert (family.held, family.started, family.state) == (30, 20, State.ACTIVE)
    assert await spent_today(db, shop) == 36
    assert await open_alerts(db) == []
    await assert_ledger_is_clean(db)


async def spent_today(db: Database, shop: Shop) -> Decimal:
    async with db.transaction() as tx:
        return (await spending.lock(tx, [shop.account.key_id]))[shop.account.key_id].spent
