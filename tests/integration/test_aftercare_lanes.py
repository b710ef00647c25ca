"""An upstream that hangs holds up its own cancels and refills, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from compat.status import UpstreamStatus
from gateway.dispatch.cancels import AT_ONCE, act_on_cancels
from gateway.dispatch.refills import send_refills
from gateway.orders.model import Order
from gateway.orders.triggers import Reported
from gateway.providers.lanes import Lanes
from gateway.tracking.refills import follow_refills
from tests.integration.scripted_panel import ScriptedPanel, open_panel, until
from tests.support.aftercare import Desk, desk, lead_to
from tests.support.factories import Shop, add_provider, add_route, add_service

__all__ = ["desk"]

COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)


@pytest.fixture
async def other(desk: Desk) -> AsyncIterator[Desk]:
    """The same customer's orders at a second upstream, whose panel answers."""
    provider_id = await add_provider(desk.db)
    service = await add_service(desk.db, provider_id=provider_id)
    route = await add_route(desk.db, service.id, provider_id, provider_service_id="2")
    await desk.sql("UPDATE services SET refill = true, cancel = true")
    async with open_panel() as panel:
        await lead_to(desk, provider_id, panel)
        shop = Shop(desk.shop.account, service, provider_id, route)
        yield replace(desk, shop=shop, panel=panel)


@pytest.fixture
async def lanes(desk: Desk, other: Desk) -> AsyncIterator[Lanes]:
    lanes = Lanes()
    yield lanes
    desk.panel.gate.set()
    await lanes.drain()


def hang(panel: ScriptedPanel, action: str) -> None:
    panel.gated = {action}
    panel.gate.clear()


async def refill_state(desk: Desk, order: Order) -> str:
    row = await desk.row("SELECT state FROM refills WHERE order_id = $1", order.id)
    return str(row["state"])


async def test_cancels_at_a_hanging_upstream_hold_nobody_elses(desk: Desk, other: Desk, lanes: Lanes) -> None:
    hang(desk.panel, "cancel")
    held = [await desk.accepted(str(number)) for number in range(1, AT_ONCE + 21)]
    await desk.cancel(*held)
    assert await act_on_cancels(desk.db, desk.upstreams, lanes) == AT_ONCE
    await until(lambda: desk.panel.called("cancel") == 1)
    free = await other.accepted("900")
    await other.cancel(free)
    other.panel.answers["cancel"] = [{"order": 900, "cancel": 1}]
    assert await act_on_cancels(desk.db, desk.upstreams, lanes) == 1
    await until(lambda: other.panel.called("cancel") == 1)
    await until(lambda: lanes.busy() == [desk.shop.provider_id])
    assert await other.wish(free) == ("forwarded", None, 0)
    assert await act_on_cancels(desk.db, desk.upstreams, lanes) == 0
    assert desk.panel.called("cancel") == 1
    desk.panel.answers["cancel"] = [{"order": number, "cancel": 1} for number in range(1, AT_ONCE + 21)]
    desk.panel.gate.set()
    await lanes.drain()
    assert await act_on_cancels(desk.db, desk.upstreams, lanes) == 20
    await lanes.drain()
    assert await desk.row("SELECT count(*) AS left FROM cancellations WHERE state <> 'forwarded'") == {"left": 0}


async def test_refills_at_a_hanging_upstream_hold_nobody_elses(desk: Desk, other: Desk, lanes: Lanes) -> None:
    hang(desk.panel, "refill")
    held = [await desk.ended(COMPLETED, str(number)) for number in range(1, 11)]
    for order in held:
        await desk.refill(order)
    assert await send_refills(desk.db, desk.upstreams, 5, lanes) == 8
    free = await other.ended(COMPLETED, "900")
    await other.refill(free)
    other.panel.answers["refill"] = {"refill": "6"}
    assert await send_refills(desk.db, desk.upstreams, 5, lanes) == 1
    await until(lambda: lanes.busy() == [desk.shop.provider_id])
    assert await refill_state(other, free) == "accepted"


async def test_refill_statuses_of_a_hanging_upstream_hold_nobody_elses(desk: Desk, other: Desk, lanes: Lanes) -> None:
    orders = [await desk.ended(COMPLETED), await other.ended(COMPLETED, "900")]
    for one, order in zip((desk, other), orders, strict=True):
        await one.refill(order)
        one.panel.answers["refill"] = {"refill": "6"}
        one.panel.answers["refill_status"] = {"status": "Completed"}
    await desk.send()
    hang(desk.panel, "refill_status")
    await desk.sql("UPDATE refills SET next_try_at = now()")
    assert await follow_refills(desk.db, desk.upstreams, 5, 900, lanes) == 2
    await until(lambda: lanes.busy() == [desk.shop.provider_id])
    assert await refill_state(other, orders[1]) == "completed"
    await desk.sql("UPDATE refills SET next_try_at = now()")
    assert await follow_refills(desk.db, desk.upstreams, 5, 900, lanes) == 0


async def test_what_is_in_hand_when_the_worker_ends_is_written_within_the_grace(desk: Desk, lanes: Lanes) -> None:
    order = await desk.ended(COMPLETED)
    await desk.refill(order)
    desk.panel.answers["refill"] = {"refill": "6"}
    hang(desk.panel, "refill")
    await send_refills(desk.db, desk.upstreams, 5, lanes)
    await until(lambda: desk.panel.called("refill") == 1)
    stopping = asyncio.create_task(lanes.stop(5))
    await asyncio.sleep(0.05)
    assert await send_refills(desk.db, desk.upstreams, 5, lanes) == 0
    desk.panel.gate.set()
    await stopping
    assert await refill_state(desk, order) == "accepted"


async def test_what_does_not_end_within_the_grace_is_left_to_its_lease() -> None:
    lanes = Lanes()
    lanes.start(UUID(int=1), asyncio.sleep(3600))
    await lanes.stop(0.01)
    await lanes.drain()
    assert lanes.busy() == []
