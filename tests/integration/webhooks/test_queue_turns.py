"""The queue of deliveries: each in its turn, whoever works at it at the same moment."""

import asyncio

import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.webhooks import endpoints
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.entering import store as entering
from gateway.webhooks.relay import relay_events
from tests.support.faults import eventually
from tests.support.hook_queue import URL, claimed, outcome, queued, record, rows, set_up, waits_for_a_lock
from tests.support.hooks import add_endpoint, add_owner, tell


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
        await eventually(lambda: waits_for_a_lock(db))
    await recording
    assert await queued(db) == [(2, True)]


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
        await eventually(lambda: waits_for_a_lock(db))
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


async def test_two_answers_for_one_delivery_at_once_are_one_success(db: Database) -> None:
    await set_up(db, "order.created")
    [due] = await claimed(db)
    await record(db, outcome(due, 500, wait_s=5), outcome(due))
    assert await rows(db, "SELECT state FROM webhook_deliveries") == [("delivered",)]
    assert await queued(db) == []
    assert await rows(db, "SELECT count(*) FROM webhook_attempts") == [(2,)]


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
