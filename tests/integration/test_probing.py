"""Unknown orders are looked for by the upstream's ids: what is found is the order and no other, or nothing is."""

from decimal import Decimal

import pytest

from gateway.dispatch.resolve import NotPlaced, PlacedAs, Refund, resolve
from gateway.dispatch.unknowns.model import ROUNDS_MAX
from gateway.dispatch.unknowns.probing import probe_provider
from gateway.providers import actions
from tests.support.factories import event_types, open_alerts
from tests.support.faults import KEYRING, eventually
from tests.support.unknowns import Counter, counter

__all__ = ["counter"]


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
