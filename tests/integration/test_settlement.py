"""Upstream answers settled on real rows: order, money, event and history in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from compat.status import UpstreamStatus
from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.ledger.verify import verify
from gateway.orders.model import Order, Status
from gateway.orders.settlement import UNREADABLE_MAX, Change, settle
from gateway.orders.triggers import GaveUp, Reported, Trigger, WasRefused
from tests.support.factories import (
    Shop,
    add_shop,
    begin_attempt,
    event_types,
    ledger_rows,
    open_alerts,
    place_order,
    read_order,
    read_wallet,
)

FUNDS = Decimal(100)
HELD = ("hold", Decimal(2))


@pytest.fixture(autouse=True)
async def _the_books_are_right(db: Database) -> AsyncIterator[None]:
    """After every test, whatever it did."""
    yield
    async with db.snapshot() as tx:
        assert await verify(tx) == []


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db, funds=FUNDS)


async def accepted_order(db: Database, shop: Shop, upstream_id: str = "77") -> Order:
    """1000 pieces at a price of 2, accepted by the upstream."""
    order = await place_order(db, shop)
    attempt = await begin_attempt(db, shop, order)
    await record(db, attempt, Accepted(upstream_id), timedelta())
    return await read_order(db, order.number)


@pytest.fixture
async def order(db: Database, shop: Shop) -> Order:
    return await accepted_order(db, shop)


def told(status: UpstreamStatus | None, remains: int | None = None, *, start_count: int | None = None) -> Reported:
    word = status.value if status else "Mystery"
    return Reported(word=word, status=status, remains=remains, start_count=start_count)


async def apply(db: Database, order: Order, *triggers: Trigger) -> None:
    """Each in a transaction of its own."""
    for trigger in triggers:
        async with db.transaction() as tx:
            await settle(tx, [Change(order.id, trigger)])


async def all_rows(db: Database, order: Order) -> dict[str, list[dict[str, Any]]]:
    """Everything that is kept of the order and its wallet."""
    queries = {
        "order": "SELECT * FROM orders WHERE id = $1",
        "ledger": "SELECT * FROM ledger WHERE reference_id = $1 ORDER BY id",
        "references": "SELECT * FROM ledger_references WHERE reference_id = $1 ORDER BY wallet_seq",
        "history": "SELECT * FROM order_events WHERE order_id = $1 ORDER BY id",
        "events": "SELECT * FROM events WHERE object_id = $1 ORDER BY id",
        "wallet": "SELECT w.* FROM wallets w JOIN orders o ON o.user_id = w.user_id WHERE o.id = $1",
        "alerts": "SELECT * FROM alerts WHERE $1::uuid IS NOT NULL ORDER BY id",
    }
    async with db.connection() as connection:
        return {name: [dict(row) for row in await connection.fetch(query, order.id)] for name, query in queries.items()}


COMPLETED = told(UpstreamStatus.COMPLETED)
PARTIAL = told(UpstreamStatus.PARTIAL, 250)
CANCELED = told(UpstreamStatus.CANCELED)

ENDS = [
    (COMPLETED, Status.COMPLETED, [("withdraw", "2")], "98", "2", "order.completed"),
    (told(UpstreamStatus.PARTIAL, 0), Status.COMPLETED, [("withdraw", "2")], "98", "2", "order.completed"),
    (PARTIAL, Status.PARTIAL, [("withdraw", "1.5"), ("release", "0.5")], "98.5", "1.5", "order.partial"),
    (told(UpstreamStatus.PARTIAL, 1000), Status.CANCELLED, [("release", "2")], "100", "0", "order.cancelled"),
    (CANCELED, Status.CANCELLED, [("release", "2")], "100", "0", "order.cancelled"),
    (told(UpstreamStatus.FAILED), Status.CANCELLED, [("release", "2")], "100", "0", "order.cancelled"),
    (told(UpstreamStatus.REFUNDED), Status.CANCELLED, [("release", "2")], "100", "0", "order.cancelled"),
]


@pytest.mark.parametrize(("report", "status", "rows", "balance", "charge", "event"), ENDS)
async def test_each_end_is_settled_once_with_its_money_and_event(
    db: Database,
    shop: Shop,
    order: Order,
    report: Reported,
    status: Status,
    rows: list[tuple[str, str]],
    balance: str,
    charge: str,
    event: str,
) -> None:
    await apply(db, order, report)
    after = await read_order(db, order.number)
    assert (after.status, after.charge) == (status, Decimal(charge))
    assert await ledger_rows(db, order.id) == [HELD, *((kind, Decimal(amount)) for kind, amount in rows)]
    wallet = await read_wallet(db, shop.account.wallet_id)
    assert (wallet.balance, wallet.hold_amount) == (Decimal(balance), Decimal(0))
    assert await event_types(db, order.id) == ["order.created", "order.processing", event]
    kept = await all_rows(db, order)
    assert kept["order"][0]["completed_at"] is not None
    assert kept["history"][-1]["details"]["word"] == report.word


REPEATED: dict[str, list[Reported]] = {
    "in progress": [told(UpstreamStatus.IN_PROGRESS, 600, start_count=5)],
    "completed": [COMPLETED],
    "partial": [PARTIAL],
    "cancelled": [CANCELED],
    "taken back": [COMPLETED, PARTIAL],
    "taken back whole": [COMPLETED, CANCELED],
    "completed after a partial end": [PARTIAL, COMPLETED],
    "completed after a cancelled end": [CANCELED, COMPLETED],
}


@pytest.mark.parametrize("reports", REPEATED.values(), ids=REPEATED.keys())
async def test_a_hundred_times_the_same_answer_writes_one_set_of_rows(
    db: Database, order: Order, reports: list[Reported]
) -> None:
    await apply(db, order, *reports)
    before = await all_rows(db, order)
    await apply(db, order, *([reports[-1]] * 100))
    assert await all_rows(db, order) == before


async def test_a_later_take_back_refunds_the_difference_each_time_it_falls(
    db: Database, shop: Shop, order: Order
) -> None:
    falls = [told(UpstreamStatus.PARTIAL, remains) for remains in (100, 400, 300, 1000)]
    await apply(db, order, COMPLETED, *falls)
    rows = await ledger_rows(db, order.id)
    assert rows[2:] == [("refund", Decimal("0.2")), ("refund", Decimal("0.6")), ("refund", Decimal("1.2"))]
    after = await read_order(db, order.number)
    assert (after.status, after.charge) == (Status.REFUNDED, Decimal(0))
    assert (await read_wallet(db, shop.account.wallet_id)).balance == FUNDS
    assert await open_alerts(db) == ["refunded_by_upstream"]


async def test_a_completion_after_the_end_charges_nobody_and_alerts(db: Database, shop: Shop, order: Order) -> None:
    await apply(db, order, CANCELED, COMPLETED)
    assert await ledger_rows(db, order.id) == [HELD, ("release", Decimal(2))]
    assert (await read_order(db, order.number)).status is Status.CANCELLED
    assert await open_alerts(db) == ["completed_after_end"]


async def test_answers_that_cannot_be_read_move_nothing_and_alert_after_some(db: Database, order: Order) -> None:
    mystery = told(None)
    await apply(db, order, *([mystery] * (UNREADABLE_MAX - 1)))
    assert await open_alerts(db) == []
    await apply(db, order, mystery)
    assert await open_alerts(db) == ["unreadable_status"]
    assert await ledger_rows(db, order.id) == [HELD]
    await apply(db, order, told(UpstreamStatus.IN_PROGRESS, 10))
    assert (await read_order(db, order.number)).check_failures == 0


async def test_the_history_of_answers_that_cannot_be_read_is_bounded(db: Database, order: Order) -> None:
    lines = len((await all_rows(db, order))["history"])
    await apply(db, order, *([told(None)] * 100))
    assert len((await all_rows(db, order))["history"]) == lines + UNREADABLE_MAX


async def test_a_change_that_the_table_does_not_have_writes_nothing(db: Database, order: Order) -> None:
    before = await all_rows(db, order)
    await apply(db, order, WasRefused(requeue=False), GaveUp())
    assert await all_rows(db, order) == before


async def test_many_orders_of_many_wallets_are_settled_together(db: Database) -> None:
    shops = [await add_shop(db) for _ in range(3)]
    orders = [await accepted_order(db, shop, f"id{n}") for shop in shops for n in range(3)]
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, PARTIAL) for order in reversed(orders)])
    for shop in shops:
        wallet = await read_wallet(db, shop.account.wallet_id)
        assert (wallet.balance, wallet.hold_amount) == (Decimal("95.5"), Decimal(0))


async def test_settlements_of_the_same_orders_at_once_book_once(db: Database, shop: Shop) -> None:
    orders = [await accepted_order(db, shop, f"id{n}") for n in range(4)]

    async def settle_all(arrange: Callable[[list[Order]], list[Order]]) -> None:
        async with db.transaction() as tx:
            await settle(tx, [Change(order.id, COMPLETED) for order in arrange(orders)])

    await asyncio.gather(*(settle_all(arrange) for arrange in (list, lambda o: o[::-1], list, lambda o: o[::-1])))
    for order in orders:
        assert await ledger_rows(db, order.id) == [HELD, ("withdraw", Decimal(2))]


async def test_a_free_order_is_settled_like_any_other(db: Database) -> None:
    shop = await add_shop(db, funds="0", rate="0")
    order = await accepted_order(db, shop)
    await apply(db, order, PARTIAL, CANCELED)
    assert [kind for kind, _ in await ledger_rows(db, order.id)] == ["hold", "withdraw", "release"]
