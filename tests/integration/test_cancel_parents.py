"""Cancelling parents: no run begins behind the cancel, and open runs go with a parent that begins no more."""

import asyncio
from datetime import timedelta

from compat.kinds import Kind
from compat.status import UpstreamStatus
from compat.wire import Accepted
from gateway.dispatch.outcomes import record
from gateway.errors import CannotCancel
from gateway.orders.families.runs import start_due_runs, start_run
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.triggers import Reported
from tests.support.aftercare import Desk, desk
from tests.support.factories import begin_attempt, read_order
from tests.support.families import accept, children_of, drip, pass_time, place, poll, report_on, said, subscription

__all__ = ["desk"]

COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)


async def take(desk: Desk, order: Order, upstream_id: str) -> None:
    await record(desk.db, await begin_attempt(desk.db, desk.shop, order), Accepted(upstream_id), timedelta())


async def last_run_open(desk: Desk) -> tuple[Order, Order]:
    """A drip-feed of two whose second run is at the upstream, and that run."""
    parent = await place(desk.db, desk.shop, drip(runs=2))
    await start_due_runs(desk.db)
    [first] = await children_of(desk.db, parent)
    await take(desk, first, "1")
    await desk.report(first, COMPLETED)
    await pass_time(desk.db, parent)
    await start_due_runs(desk.db)
    last = (await children_of(desk.db, parent))[1]
    await take(desk, last, "2")
    return parent, last


async def test_a_run_that_begins_while_the_parent_is_cancelled_is_withdrawn(desk: Desk) -> None:
    parent = await place(desk.db, desk.shop, drip(runs=3))
    async with desk.db.transaction() as tx:
        assert await start_run(tx, parent.id)
        cancelling = asyncio.create_task(desk.cancel(parent))
        await asyncio.sleep(0.3)
        assert not cancelling.done()
    assert await cancelling == [None]
    [child] = await children_of(desk.db, parent)
    assert child.dispatch is Dispatch.WITHDRAWN
    assert (await read_order(desk.db, parent.number)).status is Status.CANCELLED
    await desk.assert_books_are_clean()


async def test_a_parent_whose_last_run_is_at_the_upstream_is_taken_with_it(desk: Desk) -> None:
    parent, last = await last_run_open(desk)
    assert [await desk.cancel(parent), await desk.cancel(parent)] == [[None], [None]]
    assert await desk.wish(last) == ("wanted", None, 0)
    desk.panel.answers["cancel"] = [{"order": 2, "cancel": 1}]
    await desk.act()
    assert await desk.wish(last) == ("forwarded", None, 0)
    await report_on(desk.db, last, "Canceled")
    assert (await read_order(desk.db, parent.number)).status is Status.PARTIAL
    await desk.assert_books_are_clean()


async def test_open_posts_of_a_subscription_that_the_upstream_completed_are_cancelled_there(desk: Desk) -> None:
    parent = await place(desk.db, desk.shop, subscription(posts=2), kind=Kind.SUBSCRIPTIONS)
    await accept(desk.db, desk.shop, parent, "900")
    posts = {"901": said("Completed"), "902": said("In progress")}
    await poll(desk.db, desk.shop, parent, said("Completed", orders=("901", "902")), posts)
    done, under_way = await children_of(desk.db, parent)
    assert await desk.cancel(parent) == [None]
    assert (await desk.wish(parent), await desk.wish(done)) == (None, None)
    desk.panel.answers["cancel"] = [{"order": 902, "cancel": 1}]
    await desk.act()
    assert await desk.wish(under_way) == ("forwarded", None, 0)
    await report_on(desk.db, under_way, "Canceled")
    await desk.assert_books_are_clean()
    assert isinstance((await desk.cancel(done))[0], CannotCancel)
