"""The queue of deliveries: each in its turn whoever works at it at the same moment, and nothing left in it for ever."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.db.partitions import id_at
from gateway.errors import Conflict
from gateway.webhooks import endpoints, sending, store
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.entering import store as entering
from gateway.webhooks.deliveries.store import Outcome
from gateway.webhooks.model import Answer, Due, Endpoint
from gateway.webhooks.relay import relay_events
from gateway.webhooks.upkeep import drop_outdated, drop_unwanted
from gateway.worker import keep_partitions
from tests.support.faults import eventually
from tests.support.hooks import add_endpoint, add_owner, delivering, receiving, tell

LEASE = timedelta(seconds=60)
URL = "http://127.0.0.1:1/"


async def rows(db: Database, query: str, *values: object) -> list[Any]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *values)]


async def claimed(db: Database, most: int = 100, each: int = 32) -> list[Due]:
    async with db.transaction() as tx:
        return await deliveries.claim(tx, most, each, {}, LEASE)


def outcome(due: Due, status: int = 200, wait_s: float | None = None) -> Outcome:
    return Outcome(
        delivery_id=due.delivery_id,
        webhook_id=due.webhook_id,
        attempt=due.attempt,
        answer=Answer(status=status, error=None, response="", duration_ms=1),
        wait=None if wait_s is None else timedelta(seconds=wait_s),
    )


async def record(db: Database, *outcomes: Outcome) -> None:
    async with db.transaction() as tx:
        await deliveries.record(tx, outcomes)


async def queued(db: Database) -> list[tuple[int, bool]]:
    """The number of each event in the queue, and whether it is its turn."""
    return await rows(db, "SELECT sequence, next_attempt_at IS NOT NULL FROM webhook_queue ORDER BY sequence")


async def set_up(db: Database, *types: str) -> tuple[UUID, Endpoint, UUID]:
    """An owner, the endpoint, and an object whose events were relayed."""
    owner, order = await add_owner(db), uuid7()
    endpoint, _ = await add_endpoint(db, owner, URL)
    await tell(db, owner, order, *(types or ("order.created", "order.processing")))
    await relay_events(db)
    return owner, endpoint, order


async def test_what_waits_behind_another_is_not_due_until_that_has_ended(db: Database) -> None:
    owner, _, order = await set_up(db)
    await tell(db, owner, order, "order.completed")
    await relay_events(db)
    assert await queued(db) == [(1, True), (2, False), (3, False)]
    [first] = await claimed(db)
    await record(db, outcome(first, 500, wait_s=0))
    assert await queued(db) == [(1, True), (2, False), (3, False)]
    [first] = await claimed(db)
    await record(db, outcome(first, 500))
    assert await queued(db) == [(2, True), (3, False)]
    [second] = await claimed(db)
    await record(db, outcome(second))
    assert await queued(db) == [(3, True)]


async def test_one_that_comes_while_the_one_before_is_being_recorded_is_not_left(db: Database) -> None:
    owner, _, order = await set_up(db, "order.created")
    [first] = await claimed(db)
    await tell(db, owner, order, "order.processing")
    async with db.transaction() as tx:
        await deliveries.record(tx, [outcome(first)])
        await relay_events(db)
    assert await queued(db) == [(2, True)]


async def test_one_whose_predecessor_ends_before_it_is_committed_is_not_left(db: Database) -> None:
    owner, _, order = await set_up(db, "order.created")
    [first] = await claimed(db)
    await tell(db, owner, order, "order.processing")
    async with db.transaction() as tx:
        await entering.relay(tx)
        recording = asyncio.create_task(record(db, outcome(first)))
        await eventually(lambda: _waits_for_a_lock(db))
    await recording
    assert await queued(db) == [(2, True)]


async def _waits_for_a_lock(db: Database) -> bool:
    query = """
        SELECT EXISTS (SELECT FROM pg_locks w JOIN pg_locks h ON h.pid = w.pid JOIN pg_database d ON d.oid = h.database
                        WHERE NOT w.granted AND d.datname = current_database())
    """
    return await rows(db, query) == [(True,)]


async def test_what_is_sent_again_goes_before_what_waits(db: Database) -> None:
    owner, endpoint, order = await set_up(db, "order.created")
    [first] = await claimed(db)
    await record(db, outcome(first, 500))
    await tell(db, owner, order, "order.processing", "order.completed")
    await relay_events(db)
    async with db.transaction() as tx:
        await endpoints.replay(tx, endpoint, first.delivery_id)
    for expected in (1, 2, 3):
        [due] = await claimed(db)
        assert due.sequence == expected
        await record(db, outcome(due))
    assert await queued(db) == []


async def test_an_endpoint_is_switched_off_while_its_calls_are_recorded(db: Database) -> None:
    async with receiving() as receiver, delivering(db):
        owner = await add_owner(db)
        endpoint, _ = await add_endpoint(db, owner, receiver.url)
        async with db.transaction() as tx:
            locked = await endpoints.get(tx, None, endpoint.id, lock=True)
            await tell(db, owner, uuid7(), "order.created", "order.processing")
            await relay_events(db)
            await eventually(lambda: _waits_for_a_lock(db))
            await endpoints.change(tx, locked, {"is_active": False}, allow_private=True)
        await eventually(lambda: _are(db, ["delivered", "dropped"]))


async def _are(db: Database, states: list[str]) -> bool:
    return await rows(db, "SELECT state FROM webhook_deliveries ORDER BY state") == [(state,) for state in states]


async def test_two_workers_that_mark_the_same_endpoints_otherwise_wait_for_each_other(db: Database) -> None:
    _, first, _ = await set_up(db)
    _, second, _ = await set_up(db)
    assert first.id < second.id

    async def mark() -> None:
        async with db.transaction() as tx:
            await deliveries.mark(tx, {second.id: True, first.id: False})

    async with db.transaction() as tx:
        await tx.execute("UPDATE webhooks SET last_triggered_at = now() WHERE id = $1", first.id)
        other = asyncio.create_task(mark())
        await eventually(lambda: _waits_for_a_lock(db))
        await tx.execute("UPDATE webhooks SET last_triggered_at = now() WHERE id = $1", second.id)
    await other


async def test_a_late_answer_does_not_end_what_another_worker_has_in_hand(db: Database) -> None:
    await set_up(db, "order.created")
    [early] = await claimed(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE webhook_queue SET leased_until = now()")
    [later] = await claimed(db)
    await record(db, outcome(early, 500))
    assert await rows(db, "SELECT state, ended_at FROM webhook_deliveries") == [("pending", None)]
    await record(db, outcome(later))
    assert await rows(db, "SELECT state FROM webhook_deliveries") == [("delivered",)]


async def test_what_was_dropped_stays_so_whatever_its_last_call_is_answered(db: Database) -> None:
    _, endpoint, _ = await set_up(db, "order.created")
    [due] = await claimed(db)
    async with db.transaction() as tx:
        await deliveries.drop_queue(tx, endpoint.id)
    await record(db, outcome(due, 500, wait_s=5))
    [(state, ended_at)] = await rows(db, "SELECT state, ended_at FROM webhook_deliveries")
    assert state == "dropped"
    assert ended_at is not None


async def test_two_answers_for_one_delivery_at_once_are_one_success(db: Database) -> None:
    await set_up(db, "order.created")
    [due] = await claimed(db)
    await record(db, outcome(due, 500, wait_s=5), outcome(due))
    assert await rows(db, "SELECT state FROM webhook_deliveries") == [("delivered",)]
    assert await queued(db) == []
    assert await rows(db, "SELECT count(*) FROM webhook_attempts") == [(2,)]


async def test_much_that_waits_for_one_that_is_off_is_dropped_by_and_by(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "DROPPED_AT_ONCE", 2)
    _, endpoint, _ = await set_up(db, *["order.processing"] * 7)
    async with db.transaction() as tx:
        await sending.switch_off(tx, endpoint.id, "it answered 410 Gone")
    assert len(await queued(db)) == 5
    assert await rows(db, "SELECT data ->> 'dropped', data ->> 'url' FROM events WHERE object_type = 'webhook'") == [
        ("7", None)
    ]
    assert await claimed(db) == []
    with pytest.raises(Conflict):
        await switch_on(db, endpoint.id)
    assert await drop_unwanted(db) >= 3
    assert await rows(db, "SELECT DISTINCT state FROM webhook_deliveries") == [("dropped",)]
    assert (await switch_on(db, endpoint.id)).is_active


async def switch_on(db: Database, webhook_id: UUID) -> Endpoint:
    async with db.transaction() as tx:
        off = await endpoints.get(tx, None, webhook_id, lock=True)
        return await endpoints.change(tx, off, {"is_active": True}, allow_private=True)


async def test_what_was_relayed_as_the_endpoint_went_off_is_never_sent(db: Database) -> None:
    owner, endpoint, _ = await set_up(db)
    await tell(db, owner, uuid7(), "order.created")
    async with db.transaction() as tx:
        await entering.relay(tx)
        async with db.transaction() as other:
            await sending.switch_off(other, endpoint.id, "it answered 410 Gone")
    await switch_on(db, endpoint.id)
    assert await claimed(db) == []
    assert await queued(db) == []


async def test_one_that_is_removed_while_it_is_called_leaves_nothing(db: Database) -> None:
    _, endpoint, _ = await set_up(db)
    [due] = await claimed(db)
    async with db.transaction() as tx:
        await store.remove(tx, endpoint.id)
    async with db.transaction() as tx:
        assert await deliveries.mark(tx, {endpoint.id: False}) == []
        await deliveries.record(tx, [outcome(due, 500, wait_s=0)])
    assert await claimed(db) == []
    await drop_unwanted(db)
    assert await queued(db) == []


async def test_what_waits_longer_than_deliveries_are_kept_goes_with_its_day(db: Database, database_url: str) -> None:
    _, endpoint, order = await set_up(db, "order.created")
    old = id_at(datetime.now(UTC) - timedelta(days=31, hours=1))
    root = await asyncpg.connect(database_url)
    await root.execute("SET ROLE gateway_migrate")
    day = datetime.now(UTC).date() - timedelta(days=31)
    for parent in ("webhook_deliveries", "webhook_attempts"):
        await root.execute(
            f"CREATE TABLE {parent}_{day:%Y_%m_%d} PARTITION OF {parent} "
            f"FOR VALUES FROM ('{id_at(datetime.combine(day, datetime.min.time(), UTC) - timedelta(days=1))}') "
            f"TO ('{id_at(datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=1))}')"
        )
    await root.execute("UPDATE webhook_deliveries SET id = $1", old)
    await root.execute("UPDATE webhook_queue SET delivery_id = $1", old)
    await root.close()
    await tell(db, endpoint.user_id, order, "order.processing")
    await relay_events(db)
    assert await queued(db) == [(1, True), (2, False)]
    await keep_partitions(db)
    assert await queued(db) == [(2, True)]
    assert await rows(db, "SELECT count(*) FROM webhook_deliveries") == [(1,)]
    assert await drop_outdated(db) == 0


async def test_events_for_everybody_are_relayed_few_at_a_time(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entering, "FANNED_OUT_AT_ONCE", 6)
    owners = [await add_owner(db) for _ in range(3)]
    for owner in owners:
        await add_endpoint(db, owner, URL)
    async with db.transaction() as tx:
        await tx.execute(
            "WITH added AS (INSERT INTO events (type, object_type, object_id, data, sequence) "
            "SELECT 'service.price', 'service', uuid7(), $1, 1 FROM generate_series(1, 7) RETURNING id) "
            "INSERT INTO event_outbox (event_id) SELECT id FROM added",
            {"number": 7, "before": None, "after": {"name": "s", "currency": "USD", "min": 1, "max": 2, "on": True}},
        )
        assert await entering.relay(tx) == 2
    assert await relay_events(db) == 5
    assert await rows(db, "SELECT count(*) FROM webhook_queue") == [(21,)]
    monkeypatch.setattr(entering, "FANNED_OUT_AT_ONCE", 1)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO event_outbox (event_id) SELECT id FROM events")
        assert await entering.relay(tx) == 1


async def test_endpoints_share_what_one_claim_may_take(db: Database) -> None:
    ids = []
    for count in (50, 3, 3):
        owner = await add_owner(db)
        endpoint, _ = await add_endpoint(db, owner, URL)
        ids.append(endpoint.id)
        for _ in range(count):
            await tell(db, owner, uuid7(), "order.created")
    await relay_events(db)
    taken = [due.webhook_id for due in await claimed(db, most=9)]
    assert [taken.count(each) for each in ids] == [3, 3, 3]
