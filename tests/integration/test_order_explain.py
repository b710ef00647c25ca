"""An order's story, as rows tell it and as an operator reads it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.dispatch.explaining.story import explain_order
from gateway.dispatch.resolve import Refund, resolve
from gateway.errors import NotFound
from gateway.providers import actions
from tests.integration.test_cli import Gateway, gateway
from tests.support.factories import add_shop, place_order
from tests.support.rivals import Rivals, open_rivals

__all__ = ["gateway"]


@pytest.fixture
async def rivals(db: Database) -> AsyncIterator[Rivals]:
    async with open_rivals(db) as rivals:
        yield rivals


async def lines(gateway: Gateway, number: int) -> list[str]:
    done = await gateway("order", "explain", str(number))
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


async def test_a_refusal_and_the_route_after_it_are_told(rivals: Rivals, gateway: Gateway) -> None:
    rivals.panels["North"].faults.next("refuse")
    order = await rivals.place("a")
    await rivals.send(order)
    story = await explain_order(rivals.db, order.number)
    assert [(send.provider, send.state) for send in story.sends] == [("North", "refused"), ("South", "accepted")]
    assert story.sends[0].considered == [
        {"provider": "North", "provider_service_id": "1", "why_not": None},
        {"provider": "South", "provider_service_id": "1", "why_not": "another has a higher priority, or is cheaper"},
    ]
    told = await lines(gateway, order.number)
    assert told[0] == f"order {order.number} of service {rivals.service.number}: processing, accepted"
    assert told[1].startswith("send 1 at ")
    assert told[1].endswith(" UTC: to North as 1")
    assert told[2:4] == ["  route North 1: taken", "  route South 1: another has a higher priority, or is cheaper"]
    assert told[4].startswith("  refused at ")
    assert told[4].endswith("Incorrect link")
    assert told[5] == "  evidence, fault: order"
    assert told[7:9] == ["  route North 1: it refused this order", "  route South 1: taken"]
    assert told[9].startswith(f"  accepted as {story.sends[1].upstream_id} at ")


async def test_a_queued_order_says_what_it_waits_for(rivals: Rivals, gateway: Gateway) -> None:
    order = await rivals.place("a", 50)
    async with rivals.db.transaction() as tx:
        await actions.pause(tx, rivals.ids["North"], "holiday", 3600)
        await tx.execute("UPDATE service_routes SET min_quantity = 60 WHERE provider_id = $1", rivals.ids["South"])
    story = await explain_order(rivals.db, order.number)
    assert story.waiting is not None
    north, south = (verdict.why_not for verdict in story.waiting.routes)
    assert (north or "").endswith("UTC: holiday")
    assert south == "it takes 60 at the least"
    assert (story.waiting.is_due, story.waiting.planned_for, story.ended) == (True, "North", None)
    told = await lines(gateway, order.number)
    assert told[1] == "it was never sent"
    assert told[2].startswith("queued since ")
    assert "due since" in told[2]
    assert (
        told[-1]
        == "  whether a provider has a free slot, and whether its breaker is open, each worker knows for itself"
    )


async def test_the_only_route_is_said_to_be_so(rivals: Rivals, database_url: str, gateway: Gateway) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("DELETE FROM service_routes WHERE provider_id = $1", rivals.ids["South"])
    await owner.close()
    rivals.panels["North"].faults.next("refuse")
    order = await rivals.place("a")
    await rivals.send(order, until="refused")
    told = await lines(gateway, order.number)
    assert told[2] == "  it was the only route"
    assert told[-2].endswith("the upstream refused it and no route was left")
    assert told[-1] == "  Incorrect link"


async def test_what_ended_an_order_is_told(rivals: Rivals, gateway: Gateway) -> None:
    rivals.panels["North"].faults.next("html")
    order = await rivals.place("a")
    await rivals.send(order, until="unknown")
    assert (await explain_order(rivals.db, order.number)).ended is None
    await resolve(rivals.db, order.number, Refund(), "ann")
    story = await explain_order(rivals.db, order.number)
    assert story.ended is not None
    assert (story.ended.kind, story.ended.details["reason"]) == ("GaveUp", "ann")
    told = await lines(gateway, order.number)
    assert any(line.startswith("  unknown, and written off") for line in told)
    assert told[-2].endswith("nobody knows whether it was placed; the hold was released")


async def test_the_story_as_json_has_the_same(db: Database, gateway: Gateway) -> None:
    shop = await add_shop(db)
    order = await place_order(db, shop)
    story = (await gateway("order", "explain", str(order.number), "--json")).json()
    assert isinstance(story, dict)
    assert (story["number"], story["dispatch"], story["sends"], story["ended"]) == (order.number, "queued", [], None)
    assert [verdict["why_not"] for verdict in story["waiting"]["routes"]] == [None]


async def test_no_such_order_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        await explain_order(db, 100_001)
