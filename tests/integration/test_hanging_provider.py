"""A provider that hangs on every call holds nothing of the others: no slot, no claim, no poll, no turn."""

import asyncio

import pytest

from gateway.db.engine import Database
from gateway.dispatch.sender import Dispatcher
from gateway.egress import open_session
from gateway.orders.model import Dispatch, Order, Status
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from gateway.tracking.poller import Poller
from tests.support.factories import Shop, add_shop, place_order, read_order
from tests.support.faults import IN_PROGRESS, KEYRING, NumberingPanel, eventually, lead_to, open_numbering_panel

IN_FLIGHT = 4


async def states(db: Database, orders: list[Order]) -> set[tuple[Dispatch, Status]]:
    found = [await read_order(db, order.number) for order in orders]
    return {(order.dispatch, order.status) for order in found}


async def shop_at(db: Database, panel: NumberingPanel) -> Shop:
    shop = await add_shop(db, funds="1000")
    await lead_to(db, shop.provider_id, panel)
    return shop


@pytest.fixture
def settings() -> Settings:
    return Settings(provider_max_in_flight=IN_FLIGHT, send_timeout_s=100, send_lease_s=300, poll_timeout_s=100)


async def test_orders_of_others_are_sent_and_followed_beside_a_provider_that_hangs(
    db: Database, settings: Settings
) -> None:
    async with (
        open_numbering_panel() as quick,
        open_numbering_panel() as stuck,
        open_session(allow_private=True, limit=50) as session,
    ):
        stuck.report = IN_PROGRESS
        good, bad = await shop_at(db, quick), await shop_at(db, stuck)
        upstreams = Upstreams(db, KEYRING, session, settings)
        await upstreams.refresh()
        dispatcher = Dispatcher(db, upstreams, lease_s=300, first_check_s=0.01)
        poller = Poller(db, upstreams, check_interval_min_s=0.05, check_interval_max_s=0.1)
        first = await place_order(db, bad)
        running = [asyncio.create_task(dispatcher.run()), asyncio.create_task(poller.run())]

        async def accepted() -> bool:
            return await states(db, [first]) == {(Dispatch.ACCEPTED, Status.PROCESSING)}

        await eventually(accepted)
        stuck.gate.clear()
        hanging = [await place_order(db, bad) for _ in range(3 * IN_FLIGHT)]

        async def all_slots_taken_and_a_poll_stuck() -> bool:
            return stuck.waiting == IN_FLIGHT + 1

        await eventually(all_slots_taken_and_a_poll_stuck)
        served = [await place_order(db, good) for _ in range(5 * IN_FLIGHT)]

        async def all_served() -> bool:
            return await states(db, served) == {(Dispatch.ACCEPTED, Status.COMPLETED)}

        await eventually(all_served)
        assert await states(db, hanging) <= {(Dispatch.SENDING, Status.PENDING), (Dispatch.QUEUED, Status.PENDING)}
        assert stuck.waiting == IN_FLIGHT + 1
        stuck.gate.set()
        await dispatcher.stop(5)
        await poller.stop()
        await asyncio.gather(*running)
