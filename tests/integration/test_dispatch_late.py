"""What becomes of attempts without a first answer: late answers, leases, what grew too old."""

import functools
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from compat.errors import Fault
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.upkeep import expire_leases, fail_queued, give_up_unknown
from gateway.orders.model import Order
from tests.support.attempts import (
    ACCEPTED,
    FAILED,
    FIRST_CHECK,
    HELD,
    QUEUED,
    RELEASED,
    SENDING,
    UNKNOWN,
    WRITTEN_OFF,
    attempt,
    attempt_row,
    order,
    shop,
    standing,
    unknown,
)
from tests.support.factories import (
    Shop,
    begin_attempt,
    event_types,
    ledger_rows,
    open_alerts,
    place_order,
)
from tests.support.faults import together

__all__ = ["attempt", "order", "shop", "unknown"]


# Late answers --------------------------------------------------------------------------------


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


@pytest.mark.parametrize("lease_is_first", [True, False])
@pytest.mark.parametrize(
    "refusal",
    [
        Refused(Fault.ORDER, "Incorrect link"),
        Refused(Fault.PROVIDER, "Not enough funds"),
        Refused(Fault.PROVIDER, "Not enough \x00 funds \ud800"),
    ],
    ids=ascii,
)
async def test_a_refusal_that_meets_the_end_of_its_lease_is_written_as_well(
    db: Database, owner: asyncpg.Connection, order: Order, attempt: UUID, refusal: Refused, lease_is_first: bool
) -> None:
    acts = [
        functools.partial(record, db, attempt, Unknown("the lease ran out"), FIRST_CHECK),
        functools.partial(record, db, attempt, refusal, FIRST_CHECK),
    ]
    await together(owner, order, *(acts if lease_is_first else reversed(acts)))
    assert await standing(db, order) in (QUEUED, FAILED)
    assert "unknown_order" not in await open_alerts(db)


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
