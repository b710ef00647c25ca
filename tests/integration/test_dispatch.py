"""What becomes of attempts on real rows: outcomes, late answers, leases, decisions and claims."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from compat.errors import Fault
from compat.kinds import Kind
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.model import Attempt
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import NotPlaced, PlacedAs, Refund, resolve
from gateway.dispatch.upkeep import expire_leases, fail_queued, give_up_unknown
from gateway.errors import Conflict, NotFound
from gateway.orders.model import Dispatch, Order, Status
from tests.support.factories import (
    Shop,
    add_provider,
    add_route,
    add_shop,
    begin_attempt,
    event_types,
    ledger_rows,
    open_alerts,
    place_order,
    read_order,
    read_wallet,
)

FIRST_CHECK = timedelta(seconds=5)
TWO = Decimal(2)
HELD, RELEASED = ("hold", TWO), ("release", TWO)


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


@pytest.fixture
async def order(db: Database, shop: Shop) -> Order:
    """Queued, at a price of 2."""
    return await place_order(db, shop)


@pytest.fixture
async def attempt(db: Database, shop: Shop, order: Order) -> UUID:
    """The order is `sending`."""
    return await begin_attempt(db, shop, order)


async def attempt_row(db: Database, attempt_id: UUID) -> Mapping[str, Any]:
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM dispatch_attempts WHERE id = $1", attempt_id)
    assert row is not None
    return dict(row)


async def order_row(db: Database, order: Order) -> Mapping[str, Any]:
    async with db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT o.*, o.next_attempt_at > now() AS rests, c.provider_id AS asked_at, c.next_check_at FROM orders o "
            "LEFT JOIN order_checks c ON c.order_id = o.id WHERE o.id = $1",
            order.id,
        )
    assert row is not None
    return dict(row)


async def run_sql(db: Database, query: str, *arguments: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(query, *arguments)


async def standing(db: Database, order: Order) -> tuple[Dispatch, Status]:
    now = await read_order(db, order.number)
    return now.dispatch, now.status


QUEUED = (Dispatch.QUEUED, Status.PENDING)
SENDING = (Dispatch.SENDING, Status.PENDING)
ACCEPTED = (Dispatch.ACCEPTED, Status.PROCESSING)
FAILED = (Dispatch.REFUSED, Status.FAILED)
UNKNOWN = (Dispatch.UNKNOWN, Status.PENDING)
WRITTEN_OFF = (Dispatch.WRITTEN_OFF, Status.CANCELLED)


# First answers -------------------------------------------------------------------------------


async def test_an_accepted_order_is_bound_to_its_upstream_id_and_tracked(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    await record(db, attempt, Accepted("77"), FIRST_CHECK)
    row = await order_row(db, order)
    assert await standing(db, order) == ACCEPTED
    assert (row["external_order_id"], row["cost"], row["remains"]) == ("77", Decimal(1), 1000)
    assert (row["asked_at"], row["next_check_at"] - row["updated_at"]) == (row["provider_id"], FIRST_CHECK)
    written = await attempt_row(db, attempt)
    assert (written["state"], written["upstream_id"], written["loss"]) == ("accepted", "77", None)
    assert written["finished_at"] is not None
    assert await event_types(db, order.id) == ["order.created", "order.processing"]
    assert await ledger_rows(db, order.id) == [HELD]


async def test_a_refusal_with_another_route_left_queues_the_order_for_it(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    await add_route(db, shop.service.id, await add_provider(db))
    await record(db, attempt, Refused(Fault.ORDER, "Incorrect link"), FIRST_CHECK)
    assert await standing(db, order) == QUEUED
    assert (await attempt_row(db, attempt))["evidence"] == {"fault": "order"}
    assert await ledger_rows(db, order.id) == [HELD]


async def test_a_refusal_without_another_route_fails_the_order_and_releases_its_price(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    await record(db, attempt, Refused(Fault.ORDER, "Incorrect link"), FIRST_CHECK)
    assert await standing(db, order) == FAILED
    assert await ledger_rows(db, order.id) == [HELD, RELEASED]
    assert await event_types(db, order.id) == ["order.created", "order.failed"]
    wallet = await read_wallet(db, shop.account.wallet_id)
    assert (wallet.balance, wallet.hold_amount) == (Decimal(100), Decimal(0))


async def test_two_routes_that_refuse_in_turn_fail_the_order(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    other = Shop(
        shop.account,
        shop.service,
        shop.provider_id,
        await add_route(db, shop.service.id, shop.provider_id, provider_service_id="2"),
    )
    await record(db, attempt, Refused(Fault.ORDER, "Incorrect link"), FIRST_CHECK)
    second = await begin_attempt(db, other, order)
    await record(db, second, Refused(Fault.ORDER, "Incorrect link"), FIRST_CHECK)
    assert await standing(db, order) == FAILED


@pytest.mark.parametrize(
    ("text", "alert"),
    [("Invalid API key", "route_paused"), ("Not enough funds on balance", "provider_funds")],
)
async def test_a_providers_own_fault_rests_the_route_and_queues_the_order(
    db: Database, shop: Shop, order: Order, attempt: UUID, text: str, alert: str
) -> None:
    await record(db, attempt, Refused(Fault.PROVIDER, text), FIRST_CHECK)
    assert await standing(db, order) == QUEUED
    async with db.connection() as connection:
        paused = await connection.fetchval(
            "SELECT paused_until > now() FROM service_routes WHERE id = $1", shop.route.id
        )
        past = await store.past_of(connection, [order.id])
    assert paused
    assert shop.route.id not in past[order.id].refused
    assert await open_alerts(db) == [alert]
    assert await ledger_rows(db, order.id) == [HELD]


async def test_an_order_that_an_upstream_cannot_read_does_not_rest_the_route_without_end(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    for send in range(store.BAD_REQUESTS_MAX):
        assert await standing(db, order) == (QUEUED if send else SENDING)
        again = await begin_attempt(db, shop, order) if send else attempt
        await record(db, again, Refused(Fault.PROVIDER, "Incorrect request"), FIRST_CHECK)
    assert await standing(db, order) == FAILED


@pytest.mark.parametrize("outcome", [Refused(Fault.PASSING, "Too many requests"), NotSent("connection refused")])
async def test_what_did_not_leave_is_queued_again_after_a_rest(
    db: Database, shop: Shop, order: Order, attempt: UUID, outcome: AddOutcome
) -> None:
    await record(db, attempt, outcome, FIRST_CHECK)
    row = await order_row(db, order)
    assert (row["dispatch"], row["not_sent_tries"], row["rests"]) == ("queued", 1, True)
    assert (await attempt_row(db, attempt))["state"] == "not_sent"
    async with db.connection() as connection:
        past = await store.past_of(connection, [order.id])
    assert past[order.id].not_sent == {shop.route.id: 1}


async def test_an_unknown_outcome_keeps_the_hold_and_its_evidence_and_alerts(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    await record(db, attempt, Unknown("HTTP 502", "<html>bad gateway</html>"), FIRST_CHECK)
    assert await standing(db, order) == UNKNOWN
    written = await attempt_row(db, attempt)
    assert (written["state"], written["reason"]) == ("unknown", "HTTP 502")
    assert written["evidence"] == {"answer": "<html>bad gateway</html>"}
    assert await ledger_rows(db, order.id) == [HELD]
    assert await event_types(db, order.id) == ["order.created"]
    assert await open_alerts(db) == ["unknown_order"]


async def test_an_id_that_is_another_orders_makes_the_order_unknown(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    await record(db, attempt, Accepted("77"), FIRST_CHECK)
    second = await place_order(db, shop)
    late = await begin_attempt(db, shop, second)
    await record(db, late, Accepted("77"), FIRST_CHECK)
    assert await standing(db, second) == UNKNOWN
    assert "belongs to another order" in (await attempt_row(db, late))["reason"]
    assert await standing(db, order) == ACCEPTED


async def test_the_same_id_at_another_provider_is_another_order(
    db: Database, shop: Shop, order: Order, attempt: UUID
) -> None:
    await record(db, attempt, Accepted("77"), FIRST_CHECK)
    elsewhere = await add_shop(db)
    other = await place_order(db, elsewhere)
    await record(db, await begin_attempt(db, elsewhere, other), Accepted("77"), FIRST_CHECK)
    assert await standing(db, other) == ACCEPTED


ALL_OUTCOMES: tuple[AddOutcome, ...] = (
    Accepted("88"),
    Refused(Fault.ORDER, "Incorrect link"),
    Refused(Fault.PROVIDER, "Invalid API key"),
    Refused(Fault.PASSING, "Too many requests"),
    NotSent("connection refused"),
    Unknown("timed out"),
)


@pytest.mark.parametrize("first", [Accepted("77"), Refused(Fault.ORDER, "Bad link"), NotSent("no such host")])
async def test_an_attempt_that_is_decided_takes_no_other_answer(
    db: Database, shop: Shop, order: Order, attempt: UUID, first: AddOutcome
) -> None:
    await record(db, attempt, first, FIRST_CHECK)
    before = (await order_row(db, order), await attempt_row(db, attempt), await ledger_rows(db, order.id))
    for outcome in (first, *ALL_OUTCOMES):
        await record(db, attempt, outcome, FIRST_CHECK)
    assert before == (await order_row(db, order), await attempt_row(db, attempt), await ledger_rows(db, order.id))


# Late answers --------------------------------------------------------------------------------


@pytest.fixture
async def unknown(db: Database, order: Order, attempt: UUID) -> UUID:
    await record(db, attempt, Unknown("timed out"), FIRST_CHECK)
    return attempt


async def test_a_late_id_makes_an_unknown_order_accepted_and_ends_its_alert(
    db: Database, order: Order, unknown: UUID
) -> None:
    await record(db, unknown, Accepted("77"), FIRST_CHECK)
    assert await standing(db, order) == ACCEPTED
    assert (await attempt_row(db, unknown))["state"] == "accepted"
    assert await event_types(db, order.id) == ["order.created", "order.processing"]
    assert await open_alerts(db) == []


@pytest.mark.parametrize("outcome", [Refused(Fault.ORDER, "Incorrect link"), NotSent("nothing was written")])
async def test_late_evidence_that_nothing_was_placed_queues_the_order_again(
    db: Database, order: Order, unknown: UUID, outcome: AddOutcome
) -> None:
    await record(db, unknown, outcome, FIRST_CHECK)
    assert await standing(db, order) == QUEUED
    written = await attempt_row(db, unknown)
    assert written["state"] == "not_placed"
    assert written["evidence"]["late answer"]
    assert await open_alerts(db) == []


async def test_an_unknown_order_stays_unknown_however_often_it_is_told(
    db: Database, order: Order, unknown: UUID
) -> None:
    before = await attempt_row(db, unknown)
    await record(db, unknown, Unknown("reset"), FIRST_CHECK)
    assert await attempt_row(db, unknown) == before
    assert await standing(db, order) == UNKNOWN


async def test_a_late_id_of_another_order_leaves_the_order_unknown(
    db: Database, shop: Shop, order: Order, unknown: UUID
) -> None:
    other = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, other), Accepted("77"), FIRST_CHECK)
    await record(db, unknown, Accepted("77"), FIRST_CHECK)
    assert await standing(db, order) == UNKNOWN
    assert "took it as 77" in (await attempt_row(db, unknown))["evidence"]["late answer"]
    assert await open_alerts(db) == ["orphaned_upstream_order", "unknown_order"]


async def test_an_id_for_a_written_off_order_is_kept_and_moves_no_money(
    db: Database, order: Order, unknown: UUID
) -> None:
    await give_up_unknown(db, -1)
    await record(db, unknown, Accepted("77"), FIRST_CHECK)
    assert await standing(db, order) == WRITTEN_OFF
    written = await attempt_row(db, unknown)
    assert (written["state"], written["upstream_id"], written["loss"]) == ("written_off", "77", Decimal(1))
    assert await ledger_rows(db, order.id) == [HELD, RELEASED]
    assert await open_alerts(db) == ["orphaned_upstream_order"]


# What time does ------------------------------------------------------------------------------


async def test_a_lease_that_ran_out_is_unknown_and_never_queued(db: Database, shop: Shop, order: Order) -> None:
    attempt = await begin_attempt(db, shop, order, lease_s=-1)
    assert await expire_leases(db) == 1
    assert await standing(db, order) == UNKNOWN
    assert (await attempt_row(db, attempt))["state"] == "unknown"
    assert await expire_leases(db) == 0


async def test_a_lease_that_runs_is_left_alone(db: Database, order: Order, attempt: UUID) -> None:
    assert await expire_leases(db) == 0
    assert await standing(db, order) == SENDING


async def test_an_answer_after_the_lease_is_taken_for_what_it_is(db: Database, shop: Shop, order: Order) -> None:
    attempt = await begin_attempt(db, shop, order, lease_s=-1)
    await expire_leases(db)
    await record(db, attempt, Accepted("77"), FIRST_CHECK)
    assert await standing(db, order) == ACCEPTED


async def test_giving_up_releases_the_hold_and_notes_our_loss(
    db: Database, shop: Shop, order: Order, unknown: UUID
) -> None:
    assert await give_up_unknown(db, 3600) == 0
    assert await give_up_unknown(db, -1) == 1
    assert await standing(db, order) == WRITTEN_OFF
    assert (await attempt_row(db, unknown))["loss"] == Decimal(1)
    assert await ledger_rows(db, order.id) == [HELD, RELEASED]
    assert (await event_types(db, order.id))[-1] == "order.cancelled"
    assert await give_up_unknown(db, -1) == 0


async def test_an_order_queued_too_long_fails_and_is_released(db: Database, shop: Shop, order: Order) -> None:
    assert await fail_queued(db, 3600) == 0
    assert await fail_queued(db, -1) == 1
    assert await standing(db, order) == FAILED
    assert await ledger_rows(db, order.id) == [HELD, RELEASED]
    assert await fail_queued(db, -1) == 0


async def test_an_order_under_way_is_not_failed_for_its_age(db: Database, order: Order, attempt: UUID) -> None:
    assert await fail_queued(db, -1) == 0
    assert await standing(db, order) == SENDING


# What an operator decides --------------------------------------------------------------------


async def test_an_operator_says_under_which_id_the_order_was_placed(db: Database, order: Order, unknown: UUID) -> None:
    await resolve(db, order.number, PlacedAs("77"), "ops")
    assert await standing(db, order) == ACCEPTED
    assert (await read_order(db, order.number)).external_order_id == "77"
    assert await open_alerts(db) == []


async def test_an_operator_says_that_the_order_was_not_placed(db: Database, order: Order, unknown: UUID) -> None:
    await resolve(db, order.number, NotPlaced(), "ops")
    assert await standing(db, order) == QUEUED
    assert (await attempt_row(db, unknown))["evidence"]["operator"] == "ops"


async def test_an_operator_refunds_an_unknown_order(db: Database, order: Order, unknown: UUID) -> None:
    await resolve(db, order.number, Refund(), "ops")
    assert await standing(db, order) == WRITTEN_OFF
    assert await ledger_rows(db, order.id) == [HELD, RELEASED]


async def test_an_id_of_another_order_is_refused_and_nothing_changes(
    db: Database, shop: Shop, order: Order, unknown: UUID
) -> None:
    other = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, other), Accepted("77"), FIRST_CHECK)
    with pytest.raises(Conflict, match="another order"):
        await resolve(db, order.number, PlacedAs("77"), "ops")
    assert await standing(db, order) == UNKNOWN


@pytest.mark.parametrize("decision", [PlacedAs("77"), NotPlaced(), Refund()])
async def test_only_an_unknown_order_can_be_resolved(
    db: Database, order: Order, decision: PlacedAs | NotPlaced | Refund
) -> None:
    with pytest.raises(Conflict, match="not unknown"):
        await resolve(db, order.number, decision, "ops")
    with pytest.raises(NotFound):
        await resolve(db, order.number + 1, decision, "ops")
    assert await standing(db, order) == QUEUED


async def test_an_order_is_resolved_once_by_two_operators_at_once(db: Database, order: Order, unknown: UUID) -> None:
    results = await asyncio.gather(
        *(resolve(db, order.number, Refund(), f"ops {n}") for n in range(4)), return_exceptions=True
    )
    assert [isinstance(result, Conflict) for result in results].count(False) == 1
    assert await ledger_rows(db, order.id) == [HELD, RELEASED]


async def test_a_late_answer_and_an_operator_at_once_leave_one_outcome(
    db: Database, order: Order, unknown: UUID
) -> None:
    await asyncio.gather(
        record(db, unknown, Accepted("77"), FIRST_CHECK),
        resolve(db, order.number, Refund(), "ops"),
        return_exceptions=True,
    )
    dispatch, _ = await standing(db, order)
    rows = await ledger_rows(db, order.id)
    assert (dispatch, rows) in [
        (Dispatch.ACCEPTED, [HELD]),
        (Dispatch.WRITTEN_OFF, [HELD, RELEASED]),
    ]


# What the database holds ---------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [None, Accepted("77"), Unknown("timed out")])
async def test_an_order_has_one_attempt_that_may_be_placed(
    db: Database, shop: Shop, order: Order, attempt: UUID, outcome: AddOutcome | None
) -> None:
    if outcome is not None:
        await record(db, attempt, outcome, FIRST_CHECK)
    await assert_never_sent_again(db, shop, order)


async def test_a_written_off_order_can_never_be_sent_again(
    db: Database, shop: Shop, order: Order, unknown: UUID
) -> None:
    await give_up_unknown(db, -1)
    await assert_never_sent_again(db, shop, order)


async def assert_never_sent_again(db: Database, shop: Shop, order: Order) -> None:
    """Even if the order's row were queued again, no attempt could be written."""
    await run_sql(db, "UPDATE orders SET dispatch = 'queued' WHERE id = $1", order.id)
    with pytest.raises(asyncpg.UniqueViolationError, match="uq_dispatch_attempts_open"):
        await run_sql(
            db,
            "INSERT INTO dispatch_attempts (order_id, provider_id, provider_service_id, lease_until) "
            "VALUES ($1, $2, '1', now())",
            order.id,
            shop.provider_id,
        )
    async with db.transaction() as tx:
        second = Attempt(uuid7(), order, Kind.DEFAULT, shop.route)
        assert await store.insert_attempts(tx, [second], timedelta(seconds=60)) == set()
    assert await standing(db, order) == (Dispatch.QUEUED, (await read_order(db, order.number)).status)
