"""By which of two upstreams an order is bought, with real dispatchers, and when it goes to the other."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from compat.kinds import Kind
from gateway.catalog import store as catalog
from gateway.db.engine import Database
from gateway.dispatch.routing import Past, choose_route
from gateway.orders.placement import Placement
from gateway.processes import find_free_port
from tests.support.factories import add_service, draft, read_order
from tests.support.faults import eventually
from tests.support.rivals import Rivals, open_rivals


@pytest.fixture
async def rivals(db: Database) -> AsyncIterator[Rivals]:
    async with open_rivals(db) as rivals:
        yield rivals


async def test_by_priority_the_higher_goes_first_whatever_it_costs(rivals: Rivals) -> None:
    await rivals.set_route("South", priority=1)
    await rivals.send(await rivals.place("a"), await rivals.place("b"))
    assert (rivals.taken("North"), sorted(rivals.taken("South"))) == ([], ["a", "b"])


async def test_the_cheapest_is_so_in_our_currency(rivals: Rivals) -> None:
    await rivals.set_policy("cheapest")
    await rivals.set_route("South", priority=1)
    await rivals.send(await rivals.place("a"))
    assert (rivals.taken("North"), rivals.taken("South")) == (["a"], [])
    await rivals.set_provider("North", exchange_rate=Decimal("2.5"))
    await rivals.send(await rivals.place("b"))
    assert (rivals.taken("North"), rivals.taken("South")) == (["a"], ["b"])


async def test_by_weight_each_order_goes_where_its_own_number_draws_it(rivals: Rivals) -> None:
    await rivals.set_policy("weighted")
    await rivals.set_route("South", priority=9)
    orders = [await rivals.place(f"link {n}") for n in range(40)]
    async with rivals.db.connection() as connection:
        routes = await catalog.routes_of(connection, [rivals.service.id])
    drawn = {}
    for order in orders:
        route, _ = choose_route(order, Kind.DEFAULT, routes, Past(), rivals.ids.values())
        assert route is not None
        drawn[order.link] = route.provider_name
    await rivals.send(*orders)
    assert {link: name for name in rivals.ids for link in rivals.taken(name)} == drawn
    assert set(drawn.values()) == {"North", "South"}


@pytest.mark.parametrize("policy", ["priority", "cheapest", "weighted"])
async def test_an_order_that_one_refused_goes_to_the_other(rivals: Rivals, policy: str) -> None:
    await rivals.set_policy(policy)
    for panel in rivals.panels.values():
        panel.faults.next("refuse")
    refused_by_both = await rivals.place("a")
    await rivals.send(refused_by_both, until="refused")
    rivals.panels["North"].faults.next("refuse")
    await rivals.set_route("South", weight=1)
    await rivals.send(await rivals.place("b"))
    assert rivals.taken("North") + rivals.taken("South") == ["b"]


async def test_an_order_that_one_cannot_be_reached_for_goes_to_the_other(rivals: Rivals) -> None:
    await rivals.set_provider("North", api_endpoint=f"http://127.0.0.1:{find_free_port()}/api/v2")
    order = await rivals.place("a")
    await rivals.send(order)
    assert rivals.taken("South") == ["a"]
    async with rivals.db.connection() as connection:
        states = await connection.fetch("SELECT state FROM dispatch_attempts WHERE order_id = $1 ORDER BY id", order.id)
    assert [row["state"] for row in states] == ["not_sent"] * 3 + ["accepted"]


@pytest.mark.parametrize("fault", ["html", "reset", "http-502-after", "reset-before"])
async def test_an_order_whose_fate_is_unknown_never_goes_to_the_other(rivals: Rivals, fault: str) -> None:
    rivals.panels["North"].faults.next(fault)
    doubtful = await rivals.place("a")
    await rivals.send(doubtful, until="unknown")
    await rivals.set_provider("North", is_active=False)
    await rivals.send(await rivals.place("b"))
    assert rivals.taken("South") == ["b"]
    assert (await read_order(rivals.db, doubtful.number)).dispatch == "unknown"


async def test_an_order_that_only_one_takes_goes_there(rivals: Rivals) -> None:
    async with rivals.db.transaction() as tx:
        await tx.execute("UPDATE service_routes SET max_quantity = 99 WHERE provider_id = $1", rivals.ids["North"])
    await rivals.send(await rivals.place("large", 100), await rivals.place("small", 60))
    assert (rivals.taken("North"), rivals.taken("South")) == (["small"], ["large"])


async def test_orders_of_services_with_more_and_fewer_routes_are_claimed_together(rivals: Rivals) -> None:
    orders = [await rivals.place("two routes"), await rivals.place("again")]
    single = await add_service(rivals.db, provider_id=rivals.ids["North"])
    placement = Placement(rivals.db)
    number = await placement.place(rivals.account, single, draft(link="one route", quantity=100))
    await placement.close()
    await rivals.send(*orders, await read_order(rivals.db, number))
    async with rivals.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT o.link, jsonb_array_length(a.considered) AS routes FROM dispatch_attempts a "
            "JOIN orders o ON o.id = a.order_id"
        )
    assert {row["link"]: row["routes"] for row in rows} == {"two routes": 2, "again": 2, "one route": None}
    assert len(rows) == 3


# The pace of a provider ----------------------------------------------------------------------


async def test_two_dispatchers_together_keep_the_pace_of_a_provider(rivals: Rivals) -> None:
    """No order is under way before its turn, so none can arrive before it either."""
    count, apart_s = 7, 0.5
    await rivals.set_provider("North", sends_per_second=Decimal(2))
    orders = [await rivals.place(f"link {n}") for n in range(count)]
    async with rivals.dispatching(2):
        await eventually(rivals.all_are("accepted", *orders))
    async with rivals.db.connection() as connection:
        rows = await connection.fetch("SELECT started_at FROM dispatch_attempts ORDER BY started_at")
    begun = [row["started_at"] for row in rows]
    assert len(begun) == count
    steps = [later - sooner for sooner, later in itertools.pairwise(begun)]
    assert min(steps) >= timedelta(seconds=apart_s) - timedelta(microseconds=10)
    arrived = sorted(accepted.at for accepted in rivals.panels["North"].panel.accepted)
    assert len(arrived) == count
    assert all(at >= begun[0].timestamp() + n * apart_s - 0.001 for n, at in enumerate(arrived))


async def test_a_pace_that_is_taken_away_holds_nothing_back(rivals: Rivals) -> None:
    await rivals.set_provider("North", sends_per_second=Decimal("0.0001"))
    first, second = await rivals.place("a"), await rivals.place("b")
    async with rivals.dispatching():

        async def one_is_sent() -> bool:
            return len(rivals.taken("North")) == 1

        await eventually(one_is_sent)
    await rivals.set_provider("North", sends_per_second=None)
    await rivals.send(first, second)
    assert sorted(rivals.taken("North")) == ["a", "b"]


# Orders that no route takes ------------------------------------------------------------------


async def set_limit(rivals: Rivals, most: int, *names: str) -> None:
    async with rivals.db.transaction() as tx:
        ids = [rivals.ids[name] for name in names]
        await tx.execute("UPDATE service_routes SET max_quantity = $1 WHERE provider_id = ANY($2)", most, ids)


async def test_an_order_that_no_route_ever_takes_fails_at_once(rivals: Rivals) -> None:
    await set_limit(rivals, 99, "North", "South")
    order = await rivals.place("a", 100)
    await rivals.send(order, until="refused")
    async with rivals.db.connection() as connection:
        details = await connection.fetchval(
            "SELECT details FROM order_events WHERE order_id = $1 ORDER BY id DESC LIMIT 1", order.id
        )
        held = await connection.fetchval("SELECT hold_amount FROM wallets WHERE id = $1", rivals.account.wallet_id)
    assert details["reason"] == "North: it takes 99 at the most; South: it takes 99 at the most"
    assert held == 0


async def test_an_order_that_one_refused_and_the_other_never_takes_fails(rivals: Rivals) -> None:
    rivals.panels["North"].faults.next("refuse")
    await set_limit(rivals, 99, "South")
    order = await rivals.place("a", 100)
    await rivals.send(order, until="refused")
    assert (await read_order(rivals.db, order.number)).status == "failed"


async def test_an_order_that_fits_a_route_which_is_off_waits_for_it(rivals: Rivals) -> None:
    await set_limit(rivals, 99, "South")
    await rivals.set_provider("North", is_active=False)
    waiting, small = await rivals.place("a", 100), await rivals.place("b", 50)
    await rivals.send(small)
    assert (await read_order(rivals.db, waiting.number)).dispatch == "queued"
    await rivals.set_provider("North", is_active=True)
    await rivals.send(waiting)
    assert (rivals.taken("North"), rivals.taken("South")) == (["a"], ["b"])
