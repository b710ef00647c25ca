"""Outcomes that are recorded together: one transaction for those that were taken, and no harm from their neighbours."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from compat.errors import Fault
from compat.wire import Accepted, AddOutcome, Refused, Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.taken.recording import Recorder
from gateway.orders.model import Dispatch, Order, Status
from tests.support.factories import Shop, add_shop, begin_attempt, event_types, place_order, read_order
from tests.support.faults import refuse_writes

FIRST_CHECK = timedelta(seconds=5)
COUNT = 12


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db, funds="1000")


@pytest.fixture
async def sends(db: Database, shop: Shop) -> list[tuple[Order, UUID]]:
    """Orders that are being sent, with their attempts."""
    orders = [await place_order(db, shop) for _ in range(COUNT)]
    return [(order, await begin_attempt(db, shop, order)) for order in orders]


async def record_all(db: Database, sends: list[tuple[Order, UUID]], outcomes: list[AddOutcome]) -> list[object]:
    recorder = Recorder(db, FIRST_CHECK)
    each = [recorder.record(attempt, outcome) for (_, attempt), outcome in zip(sends, outcomes, strict=True)]
    return await asyncio.gather(*each, return_exceptions=True)


async def standing(db: Database, order: Order) -> tuple[Dispatch, str | None]:
    now = await read_order(db, order.number)
    return now.dispatch, now.external_order_id


async def test_what_waits_together_is_written_together(db: Database, sends: list[tuple[Order, UUID]]) -> None:
    assert await record_all(db, sends, [Accepted(f"u{at}") for at in range(COUNT)]) == [None] * COUNT
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT o.external_order_id, o.status, o.cost, o.xmin::text, a.state, a.upstream_id, a.evidence, "
            "a.finished_at IS NOT NULL AS is_finished, b.order_id = o.id AS is_bound, "
            "extract(epoch FROM c.next_check_at - o.updated_at)::float8 AS wait_s, "
            "c.provider_id = o.provider_id AS is_asked FROM orders o JOIN order_checks c ON c.order_id = o.id "
            "JOIN dispatch_attempts a ON a.order_id = o.id JOIN upstream_orders b ON b.upstream_id = a.upstream_id "
            "ORDER BY o.number"
        )
        lines = await connection.fetchval("SELECT count(*) FROM order_events WHERE kind = 'WasAccepted'")
    assert [row["upstream_id"] for row in rows] == [f"u{at}" for at in range(COUNT)]
    for row in rows:
        assert (row["status"], row["state"], row["external_order_id"]) == ("processing", "accepted", row["upstream_id"])
        assert (row["cost"], row["evidence"], row["wait_s"]) == (Decimal(1), {}, 5.0)
        assert row["is_finished"] and row["is_bound"] and row["is_asked"]  # noqa: PT018
    assert len({row["xmin"] for row in rows}) == 1, "one transaction"
    assert lines == COUNT
    for order, _ in sends:
        assert await event_types(db, order.id) == ["order.created", "order.processing"]


async def test_an_id_that_was_given_twice_is_one_orders_alone(db: Database, sends: list[tuple[Order, UUID]]) -> None:
    ids = [f"u{at}" for at in range(COUNT)]
    ids[7] = ids[4]
    await record_all(db, sends, [Accepted(upstream_id) for upstream_id in ids])
    stand = [await standing(db, order) for order, _ in sends]
    assert sorted(stand[at] for at in (4, 7)) == [(Dispatch.ACCEPTED, "u4"), (Dispatch.UNKNOWN, None)]
    others = [at for at in range(COUNT) if at not in (4, 7)]
    assert [stand[at] for at in others] == [(Dispatch.ACCEPTED, ids[at]) for at in others]


async def test_an_answer_after_the_lease_is_taken_for_what_it_is(db: Database, sends: list[tuple[Order, UUID]]) -> None:
    await record(db, sends[5][1], Unknown("the lease ran out"), FIRST_CHECK)
    assert await record_all(db, sends, [Accepted(f"u{at}") for at in range(COUNT)]) == [None] * COUNT
    assert [await standing(db, order) for order, _ in sends] == [(Dispatch.ACCEPTED, f"u{at}") for at in range(COUNT)]


async def test_the_same_answer_again_changes_nothing(db: Database, sends: list[tuple[Order, UUID]]) -> None:
    outcomes: list[AddOutcome] = [Accepted(f"u{at}") for at in range(COUNT)]
    await record_all(db, sends, outcomes)
    assert await record_all(db, sends, outcomes) == [None] * COUNT
    for order, _ in sends:
        assert await event_types(db, order.id) == ["order.created", "order.processing"]


async def test_a_refusal_among_them_goes_its_own_way(db: Database, sends: list[tuple[Order, UUID]]) -> None:
    outcomes: list[AddOutcome] = [Accepted(f"u{at}") for at in range(COUNT)]
    outcomes[2] = Refused(Fault.ORDER, "Incorrect link")
    assert await record_all(db, sends, outcomes) == [None] * COUNT
    refused, *_ = [order for (order, _), outcome in zip(sends, outcomes, strict=True) if outcome is outcomes[2]]
    assert (await read_order(db, refused.number)).status is Status.FAILED
    assert [(await read_order(db, order.number)).dispatch for order, _ in sends].count(Dispatch.ACCEPTED) == COUNT - 1


async def test_one_that_cannot_be_written_stops_no_other(
    db: Database, sends: list[tuple[Order, UUID]], database_url: str
) -> None:
    bad = sends[6][0]
    owner = await asyncpg.connect(database_url)
    await refuse_writes(owner, "UPDATE", "orders", f"NEW.id = '{bad.id}' AND NEW.status <> OLD.status")
    await owner.close()
    results = await record_all(db, sends, [Accepted(f"u{at}") for at in range(COUNT)])
    assert [at for at, result in enumerate(results) if result is not None] == [6]
    assert await standing(db, bad) == (Dispatch.SENDING, None)
    stand = [await standing(db, order) for order, _ in sends if order is not bad]
    assert stand == [(Dispatch.ACCEPTED, f"u{at}") for at in range(COUNT) if at != 6]
