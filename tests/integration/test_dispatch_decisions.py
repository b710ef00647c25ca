"""What an operator decides of orders whose sending has an unknown outcome."""

import asyncio
from uuid import UUID

import pytest

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import NotPlaced, PlacedAs, Refund, resolve
from gateway.errors import Conflict, NotFound
from gateway.orders.model import Dispatch, Order
from tests.support.attempts import (
    ACCEPTED,
    FIRST_CHECK,
    HELD,
    QUEUED,
    RELEASED,
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
    ledger_rows,
    open_alerts,
    place_order,
    read_order,
)

__all__ = ["attempt", "order", "shop", "unknown"]


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
