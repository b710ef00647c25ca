"""Refunds by an operator of orders that have runs: what is charged on the parent, and what on its runs."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from gateway.db.engine import Database
from gateway.errors import AlreadyBooked, Conflict, ReferenceTaken
from gateway.orders.families.runs import start_due_runs
from gateway.orders.model import Order, Status
from tests.integration.test_operator_money import refund
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_shop, event_types, ledger_rows, read_order, read_wallet
from tests.support.families import accept, children_of, drip, pass_time, place, poll, report_on, said


@pytest.fixture
async def shop(db: Database) -> AsyncIterator[Shop]:
    yield await add_shop(db)
    await assert_ledger_is_clean(db)


async def run_upstream(db: Database, shop: Shop, *shown: str) -> Order:
    """Three runs of 1000 at 2 each, completed by an upstream that shows these of them."""
    parent = await place(db, shop, drip(), native=True)
    await accept(db, shop, parent, "p1")
    await poll(db, shop, parent, said("Completed", orders=shown), {run: said("Completed") for run in shown})
    return await read_order(db, parent.number)


async def test_a_drip_feed_whose_provider_shows_no_runs_is_refunded_as_one_order(db: Database, shop: Shop) -> None:
    parent = await run_upstream(db, shop)
    assert (parent.status, parent.charge) == (Status.COMPLETED, 6)
    await refund(db, parent, Decimal("1.5"), "r 1")
    seen = await read_order(db, parent.number)
    assert (seen.status, seen.charge, seen.remains) == (Status.REFUNDED, Decimal("4.5"), 750)
    with pytest.raises(AlreadyBooked):
        await refund(db, parent, Decimal("1.5"), "r 1")
    with pytest.raises(ReferenceTaken):
        await refund(db, parent, None, "r 1")
    await poll(db, shop, parent, said("Partial", remains=1500), {})
    assert (await read_order(db, parent.number)).charge == 3, "the upstream took back more than the operator gave"
    await refund(db, parent, None, "r 2")
    assert (await read_order(db, parent.number)).charge == 0
    assert (await read_wallet(db, shop.account.wallet_id)).balance == 100
    with pytest.raises(AlreadyBooked):
        await refund(db, parent, None, "r 2")


async def test_a_drip_feed_that_is_under_way_is_not_refunded(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(), native=True)
    await accept(db, shop, parent, "p1")
    with pytest.raises(Conflict, match=f"order {parent.number} is processing with a charge of 0$"):
        await refund(db, parent, None, "r 1")


async def test_runs_that_the_provider_did_not_show_are_refunded_whole_on_the_parent(db: Database, shop: Shop) -> None:
    parent = await run_upstream(db, shop, "c1")
    [child] = await children_of(db, parent)
    for amount in ("1", "6", "0.00000001"):
        with pytest.raises(Conflict) as refused:
            await refund(db, parent, Decimal(amount), "r 1")
        assert str(refused.value) == (
            f"order {parent.number} is completed with a charge of 6; its runs are refunded each for itself: "
            f"{child.number}; of it itself whole runs that the provider did not show: 2 of 2 each"
        )
    await refund(db, parent, Decimal(2), "r 1")
    seen = await read_order(db, parent.number)
    assert (seen.status, seen.charge, seen.remains) == (Status.PARTIAL, 4, 1000)
    await poll(db, shop, parent, said("Completed", orders=("c1",)), {})
    assert (await read_order(db, parent.number)).charge == 4, "a run that was given back is not charged again"
    await refund(db, parent, None, "r 2")
    with pytest.raises(AlreadyBooked):
        await refund(db, parent, None, "r 2")
    await refund(db, child, None, "r 1")
    seen = await read_order(db, parent.number)
    assert (seen.status, seen.charge, seen.remains) == (Status.CANCELLED, 0, 3000)
    assert (await read_wallet(db, shop.account.wallet_id)).balance == 100
    assert (await event_types(db, parent.id))[-3:] == ["order.refunded", "order.refunded", "order.cancelled"]


async def test_what_an_upstream_takes_back_after_a_refund_is_not_given_twice(db: Database, shop: Shop) -> None:
    parent = await run_upstream(db, shop, "c1")
    await refund(db, parent, Decimal(2), "r 1")
    await poll(db, shop, parent, said("Partial", remains=1000, orders=("c1",)), {})
    assert (await read_order(db, parent.number)).charge == 4
    await poll(db, shop, parent, said("Canceled", orders=("c1",)), {})
    assert (await read_order(db, parent.number)).charge == 2, "the run that is shown reports for itself"


async def test_runs_of_our_own_are_named_to_who_would_refund_the_parent(db: Database, shop: Shop) -> None:
    parent = await place(db, shop, drip(runs=2))
    for run, word in enumerate(("Completed", "Canceled")):
        await pass_time(db, parent)
        await start_due_runs(db)
        child = (await children_of(db, parent))[run]
        await accept(db, shop, child, f"u{run}")
        await report_on(db, child, word)
    paid, unpaid = await children_of(db, parent)
    with pytest.raises(Conflict, match=f"its runs are refunded each for itself: {paid.number}$"):
        await refund(db, parent, None, "r 1")
    await refund(db, paid, None, "r 1")
    with pytest.raises(Conflict, match=f"order {unpaid.number} is cancelled with a charge of 0$"):
        await refund(db, unpaid, None, "r 1")
    assert (await read_order(db, parent.number)).charge == 0
    assert await ledger_rows(db, parent.id) == [("hold", 4)]
