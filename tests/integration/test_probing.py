"""Unknown orders are looked for by the upstream's ids: what is found is the order and no other, or nothing is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from compat.simulator import Simulator
from compat.wire import Accepted, Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import AttemptMoved, record
from gateway.dispatch.resolve import NotPlaced, PlacedAs, Refund, resolve
from gateway.dispatch.unknowns.model import ROUNDS_MAX
from gateway.dispatch.unknowns.probing import probe_provider, probe_unknown
from gateway.orders.model import Order
from gateway.providers import actions
from gateway.providers.lanes import Lanes
from tests.support.aftercare import Desk, open_desk
from tests.support.factories import begin_attempt, event_types, open_alerts, place_order, read_order
from tests.support.families import accept, drip, place
from tests.support.faults import KEYRING, eventually
from tests.support.unknowns import KEY, Counter, add_panel_shop, open_counter


@pytest.fixture
async def counter(db: Database) -> AsyncIterator[Counter]:
    async with open_counter(db) as counter:
        yield counter
        await counter.assert_books_are_clean()


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("fault", ["timeout-after", "reset", "html", "truncated-json", "http-502-after", "wrong-types"])
async def test_an_order_whose_answer_was_lost_is_found_among_others(counter: Counter, fault: str) -> None:
    before = await counter.send(quantity=2000)
    lost = await counter.send(fault, quantity=2000)
    after = await counter.send(quantity=2000)
    assert (await counter.look(lost))[0] == "unknown"
    assert await counter.probe() == 1
    assert await counter.look(lost) == ("accepted", await counter.placed_as(lost))
    for order in (before, after):
        assert await counter.look(order) == ("accepted", await counter.placed_as(order))
    assert "the only one of ids" in (await counter.attempt(lost))["evidence"]["probe"]
    assert await open_alerts(counter.db) == []
    assert await event_types(counter.db, lost.id) == ["order.created", "order.processing"]
    assert await counter.probe() == 0


async def test_two_unknown_orders_of_one_cost_resolve_neither_until_one_is_resolved(counter: Counter) -> None:
    await counter.send()
    first, second = [await counter.send("html") for _ in range(2)]
    assert await counter.probe() == 0
    assert [(await counter.look(order))[0] for order in (first, second)] == ["unknown", "unknown"]
    assert "2 candidates" in (await counter.attempt(first))["evidence"]["probe"]
    await resolve(counter.db, first.number, PlacedAs(await counter.placed_as(first)), "ops")
    assert await counter.probe() == 1
    assert await counter.look(second) == ("accepted", await counter.placed_as(second))


async def test_one_order_there_and_two_that_it_may_be_resolve_neither(counter: Counter) -> None:
    await counter.send()
    lost = await counter.send("html")
    never = await counter.send("http-500")
    assert await counter.probe() == 0
    assert [(await counter.look(order))[0] for order in (lost, never)] == ["unknown", "unknown"]
    assert "may also be attempt" in (await counter.attempt(lost))["evidence"]["probe"]


@pytest.mark.parametrize("decision", [Refund(), NotPlaced()])
async def test_what_was_given_up_may_be_the_one_that_is_there(counter: Counter, decision: Refund | NotPlaced) -> None:
    await counter.send()
    given_up = await counter.send("html")
    await resolve(counter.db, given_up.number, decision, "ops")
    never = await counter.send("http-500")
    assert await counter.probe() == 0
    assert (await counter.look(never))[0] == "unknown"


async def test_what_taught_words_said_was_not_placed_may_be_the_one_that_is_there(counter: Counter) -> None:
    await counter.send()
    given_up = await counter.send("html")
    await resolve(counter.db, given_up.number, NotPlaced(), "ops")
    await counter.sql(
        "UPDATE dispatch_attempts SET evidence = evidence - 'operator' || jsonb_build_object('words', 'no')"
        " WHERE state = 'not_placed'"
    )
    never = await counter.send("http-500")
    assert await counter.probe() == 0
    assert (await counter.look(never))[0] == "unknown"


async def test_where_orders_are_seen_that_we_never_sent_nothing_is_bound(counter: Counter) -> None:
    await counter.send()
    never = await counter.send("timeout-before")
    counter.order_elsewhere(700)
    counter.order_elsewhere(1000)
    await counter.send()
    assert await counter.probe() == 0
    assert (await counter.look(never))[0] == "unknown"
    assert "is none of ours" in (await counter.attempt(never))["evidence"]["probe"]


async def test_a_larger_order_in_doubt_that_ended_short_may_be_the_one_that_is_there(counter: Counter) -> None:
    await counter.send()
    counter.panel.faults.next("partial")
    await counter.send("html", quantity=2000)
    never = await counter.send("http-500")
    await eventually(lambda: is_charged(counter, "0.9"))
    assert await counter.probe() == 0
    assert "may also be attempt" in (await counter.attempt(never))["evidence"]["probe"]


async def is_charged(counter: Counter, charge: str) -> bool:
    """Whether the newest order there is charged so by now."""
    newest = counter.panel.panel.accepted[-1].order
    reports = await counter.upstreams.statuses(counter.shop.provider_id, [str(newest)])
    return reports[str(newest)].charge == Decimal(charge)


async def test_an_order_in_doubt_that_was_sent_again_may_be_there_by_its_last_copy(counter: Counter) -> None:
    await counter.send()
    resent = await counter.send("http-500")
    await counter.sql(
        "UPDATE dispatch_attempts SET started_at = started_at - interval '1 h',"
        " finished_at = finished_at - interval '1 h'"
    )
    await counter.send(quantity=3000)
    never = await counter.send("http-500")
    counter.order_elsewhere(1000)
    await counter.sql(
        "UPDATE dispatch_attempts SET resends = 1, lease_until = now() - interval '1 s' WHERE order_id = $1", resent.id
    )
    assert await counter.probe() == 0
    assert "may also be attempt" in (await counter.attempt(never))["evidence"]["probe"]


async def test_unknown_orders_of_different_cost_are_each_found(counter: Counter) -> None:
    await counter.send()
    lost = [await counter.send("html", quantity=quantity) for quantity in (1000, 2000, 3000)]
    assert await counter.probe() == 3
    for order in lost:
        assert await counter.look(order) == ("accepted", await counter.placed_as(order))


async def test_ids_that_are_not_ours_or_cost_something_else_are_never_bound(counter: Counter) -> None:
    await counter.send()
    counter.order_elsewhere(999)
    never = await counter.send("timeout-before")
    await counter.send()
    counter.order_elsewhere(1001)
    for _ in range(ROUNDS_MAX):
        assert await counter.probe() == 0
    assert (await counter.look(never))[0] == "unknown", "what is not found is not proved to be not there"
    assert (await counter.attempt(never))["evidence"]["probe"].startswith("0 candidates")
    asked = counter.panel.requests
    await counter.probe()
    assert counter.panel.requests == asked, "rounds are bounded"


async def test_an_order_of_before_or_long_after_is_none(counter: Counter) -> None:
    counter.order_elsewhere(1000)
    await counter.send()
    never = await counter.send("http-500")
    await counter.sql(
        "UPDATE dispatch_attempts SET started_at = started_at - interval '1 h',"
        " finished_at = finished_at - interval '1 h'"
    )
    await counter.send(quantity=3000)
    counter.order_elsewhere(1000)
    assert await counter.probe() == 0
    assert (await counter.look(never))[0] == "unknown"


async def test_a_provider_that_nothing_was_bound_at_is_not_asked(counter: Counter) -> None:
    lost = await counter.send("html")
    asked = counter.panel.requests
    assert await counter.probe() == 0
    assert counter.panel.requests == asked
    assert "not looked for" in (await counter.attempt(lost))["evidence"]["probe"]


async def test_probes_are_off_until_they_are_switched_on(counter: Counter) -> None:
    async with counter.db.transaction() as tx:
        await actions.set_probes(tx, counter.shop.provider_id, False)
    await counter.send()
    await counter.send("html")
    assert await counter.probe() == 0
    async with counter.db.transaction() as tx:
        await actions.set_probes(tx, counter.shop.provider_id, True)
    assert await counter.probe() == 1


@pytest.mark.parametrize(
    "condition",
    [
        "lease_until = now() + interval '1 min'",
        "next_probe_at = now() + interval '1 min'",
        "replayable = true",
    ],
)
async def test_what_is_under_way_or_not_due_or_cleared_by_copies_is_left_alone(
    counter: Counter, condition: str
) -> None:
    await counter.send()
    lost = await counter.send("html")
    await counter.sql("UPDATE providers SET honours_extension = true")
    asked = counter.panel.requests
    await counter.sql(f"UPDATE dispatch_attempts SET {condition}")
    assert await probe_provider(counter.db, counter.upstreams, counter.shop.provider_id) == 0
    assert counter.panel.requests == asked
    assert (await counter.look(lost))[0] == "unknown"


async def test_under_another_key_nothing_is_looked_for(counter: Counter) -> None:
    await counter.send()
    await counter.send("html")
    async with counter.db.transaction() as tx:
        await actions.set_api_key(tx, KEYRING, counter.shop.provider_id, "of another account")
    asked = counter.panel.requests
    assert await counter.probe() == 0
    assert counter.panel.requests == asked


async def test_an_upstream_that_fails_its_status_leaves_the_order_unknown(counter: Counter) -> None:
    await counter.send()
    lost = await counter.send("html")
    counter.panel.faults.next("status:html")
    assert await counter.probe() == 0
    assert "not JSON" in (await counter.attempt(lost))["evidence"]["probe"]
    assert await counter.probe() == 1


# Races ---------------------------------------------------------------------------------------


async def together(owner: asyncpg.Connection, order: Order, *acts: Callable[[], Awaitable[object]]) -> None:
    """Let them all come to the order's row, then go on at once."""

    async def all_wait() -> bool:
        return bool(await owner.fetchval("SELECT count(*) >= $1 FROM pg_locks WHERE NOT granted", len(acts)))

    async with owner.transaction():
        await owner.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order.id)
        tasks = [asyncio.ensure_future(act()) for act in acts]
        await eventually(all_wait)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("probe_first", [True, False])
async def test_a_probe_and_a_late_answer_bind_the_order_once(
    counter: Counter, owner: asyncpg.Connection, probe_first: bool
) -> None:
    await counter.send()
    lost = await counter.send("html")
    upstream_id = await counter.placed_as(lost)
    attempt_id: UUID = (await counter.attempt(lost))["id"]

    async def answer() -> None:
        await record(counter.db, attempt_id, Accepted(upstream_id), timedelta())

    acts = (counter.probe, answer) if probe_first else (answer, counter.probe)
    await together(owner, lost, *acts)
    assert await counter.look(lost) == ("accepted", upstream_id)
    assert await event_types(counter.db, lost.id) == ["order.created", "order.processing"]
    bound = await owner.fetchval("SELECT count(*) FROM upstream_orders WHERE order_id = $1", lost.id)
    assert bound == 1
    assert await open_alerts(counter.db) == []


async def test_a_probe_and_an_operators_refund_settle_the_order_once(
    counter: Counter, owner: asyncpg.Connection
) -> None:
    await counter.send()
    lost = await counter.send("html")

    async def refund() -> None:
        with contextlib.suppress(AttemptMoved):
            await resolve(counter.db, lost.number, Refund(), "ops")

    await together(owner, lost, counter.probe, refund)
    dispatch, upstream_id = await counter.look(lost)
    attempt = await counter.attempt(lost)
    assert (dispatch, upstream_id is None) in (("accepted", False), ("written_off", True))
    assert attempt["state"] == dispatch


async def test_a_late_answer_with_another_id_than_the_one_that_was_found_is_told(counter: Counter) -> None:
    await counter.send()
    lost = await counter.send("html")
    assert await counter.probe() == 1
    attempt_id = (await counter.attempt(lost))["id"]
    await record(counter.db, attempt_id, Accepted(await counter.placed_as(lost)), timedelta())
    assert await open_alerts(counter.db) == []
    await record(counter.db, attempt_id, Accepted("999"), timedelta())
    assert await open_alerts(counter.db) == ["orphaned_upstream_order"]
    assert await counter.look(lost) == ("accepted", await counter.placed_as(lost))


async def test_a_send_under_way_of_the_same_cost_may_be_the_one_that_is_there(counter: Counter) -> None:
    await counter.send()
    never = await counter.send("http-500")
    order = await place_order(counter.db, counter.shop)
    await begin_attempt(counter.db, counter.shop, order)
    counter.order_elsewhere(1000)
    assert await counter.probe() == 0
    assert "may also be attempt" in (await counter.attempt(never))["evidence"]["probe"]


async def test_a_provider_that_hangs_delays_no_other(counter: Counter) -> None:
    hanging = Simulator(key=KEY)
    url = await hanging.start()
    hanging.faults.set("status:timeout-before", 1)
    try:
        other = Counter(counter.db, await add_panel_shop(counter.db, url), hanging, counter.upstreams)
        await counter.sql("UPDATE providers SET probes = true")
        await counter.upstreams.refresh()
        for each in (other, counter):
            await each.send()
        stuck, lost = [await each.send("html") for each in (other, counter)]

        async def is_found() -> bool:
            return (await counter.look(lost))[0] == "accepted"

        lanes = Lanes()
        assert await probe_unknown(counter.db, counter.upstreams, lanes) == 2
        await eventually(is_found)
        await counter.send("html", quantity=2000)
        assert await probe_unknown(counter.db, counter.upstreams, lanes) == 1
        await lanes.stop(0.01)
        assert (await counter.look(stuck))[0] == "unknown"
    finally:
        await hanging.stop()


# Runs, and panels that take one id a call -------------------------------------------------------

RUN = {"charge": "1", "start_count": "0", "status": "Completed", "remains": "0", "currency": "USD"}


async def look_at_scripted(db: Database, desk: Desk) -> tuple[int, str]:
    """Probe for an unknown order that followed id 100; how many were found, and where the order stands then."""
    order = await place_order(db, desk.shop)
    await record(db, await begin_attempt(db, desk.shop, order), Unknown("no answer"), timedelta())
    await desk.sql("UPDATE providers SET probes = true")
    await desk.sql("UPDATE dispatch_attempts SET lease_until = now() - interval '1 s' WHERE state = 'unknown'")
    await desk.upstreams.refresh()
    found = await probe_provider(db, desk.upstreams, desk.shop.provider_id)
    await desk.assert_books_are_clean()
    return found, (await read_order(db, order.number)).dispatch.value


@pytest.mark.parametrize(("runs", "found"), [(["101"], 0), (["90"], 1)])
async def test_a_run_that_the_upstream_began_is_not_taken_for_an_order(
    db: Database, runs: list[str], found: int
) -> None:
    async with open_desk(db) as desk:
        parent = await place(db, desk.shop, drip(), native=True)
        await accept(db, desk.shop, parent, "50")
        await desk.sql("UPDATE order_checks SET next_check_at = now() WHERE order_id = $1", parent.id)
        await desk.accepted("100")
        desk.panel.answers["status"] = {"101": RUN, "50": RUN | {"charge": "3", "orders": runs}}
        assert await look_at_scripted(db, desk) == (found, "accepted" if found else "unknown")


async def test_a_followed_drip_feed_whose_runs_are_not_told_leaves_the_order_unknown(db: Database) -> None:
    async with open_desk(db) as desk:
        await accept(db, desk.shop, await place(db, desk.shop, drip(), native=True), "50")
        await desk.sql("UPDATE order_checks SET next_check_at = now()")
        await desk.accepted("100")
        desk.panel.answers["status"] = {"101": RUN}
        assert await look_at_scripted(db, desk) == (0, "unknown")


async def test_a_panel_of_one_id_a_call_is_asked_about_a_hundred_at_most(db: Database) -> None:
    async with open_desk(db) as desk:
        await desk.sql("UPDATE providers SET dialect = 'single'")
        await desk.accepted("100")
        desk.panel.answers["status"] = {"error": "Incorrect order ID"}
        assert await look_at_scripted(db, desk) == (0, "unknown")
        assert desk.panel.called("status") == 100
