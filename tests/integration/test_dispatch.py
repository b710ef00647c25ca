"""What becomes of attempts on real rows: first answers, and what the database holds of them."""

from datetime import timedelta
from decimal import Decimal
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
from gateway.dispatch.upkeep import give_up_unknown
from gateway.orders.model import Dispatch, Order
from tests.support.attempts import (
    ACCEPTED,
    FAILED,
    FIRST_CHECK,
    HELD,
    QUEUED,
    RELEASED,
    SENDING,
    UNKNOWN,
    attempt,
    attempt_row,
    order,
    order_row,
    run_sql,
    shop,
    standing,
    unknown,
)
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

__all__ = ["attempt", "order", "shop", "unknown"]


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
