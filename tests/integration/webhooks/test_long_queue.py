"""A queue of which most belongs to one slow endpoint: what a claim and a relay read does not grow with it."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.events import store as events
from gateway.events.store import Event
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.entering import store as entering
from gateway.webhooks.deliveries.store import Outcome
from gateway.webhooks.model import Answer
from gateway.webhooks.relay import relay_events
from tests.support.hooks import TOLD, add_endpoint, add_owner, tell
from tests.support.reads import Measured

FEW = 250
MANY = 50_000
EACH = 4
"""Events of each object: its first has failed and is due in an hour, the others wait behind it."""
ENDPOINTS = 20
TAKEN = 60
"""More than the other endpoints have due, so that the slow one has its turn too."""
GROWTH_MAX = 1.5
"""The indexes grow a level; to read the queue but once would be a multiple."""


class RolledBack(Exception):
    pass


async def fill(owner: asyncpg.Connection, webhook_id: UUID, objects: int) -> None:
    await owner.execute(
        """
        INSERT INTO webhook_queue (delivery_id, webhook_id, event_id, object_id, sequence, next_attempt_at)
        SELECT uuid7(), $1, uuid7(), o.id, s, CASE WHEN s = 1 THEN now() + interval '1 h' END
          FROM (SELECT uuid7() AS id FROM generate_series(1, $2)) o, generate_series(1, $3) s
        """,
        webhook_id,
        objects,
        EACH,
    )
    await owner.execute("VACUUM ANALYZE webhook_queue, events, event_outbox")


async def claim(db: Database, slow: UUID, *, generic: bool) -> Measured:
    try:
        async with db.transaction() as tx:
            measured = Measured(tx, generic=generic)
            await deliveries.claim(measured, TAKEN, 32, {slow: 1}, timedelta(seconds=60))  # type: ignore[arg-type]
            taken = await tx.fetch("SELECT webhook_id, count(*) AS n FROM webhook_queue WHERE attempts > 0 GROUP BY 1")
            raise RolledBack
    except RolledBack:
        assert len(taken) == ENDPOINTS  # each had its share
    return measured


@pytest.mark.parametrize("generic", [False, True])
async def test_a_claim_reads_what_it_takes(db: Database, owner: asyncpg.Connection, generic: bool) -> None:
    slow, _ = await add_endpoint(db, await add_owner(db), "https://example.com/")
    for _ in range(ENDPOINTS):
        user = await add_owner(db)
        await add_endpoint(db, user, "https://example.com/")
        for _ in range(2):
            await tell(db, user, uuid7(), "order.created", "order.processing")
    await relay_events(db)
    await fill(owner, slow.id, FEW)
    few = await claim(db, slow.id, generic=generic)
    await fill(owner, slow.id, MANY)
    many = await claim(db, slow.id, generic=generic)
    assert TAKEN < many.pages < few.pages * GROWTH_MAX
    assert "webhook_queue" not in many.read_whole


async def fill_due(owner: asyncpg.Connection, webhook_id: UUID, objects: int) -> None:
    """A queue of deliveries that are all due, each of an object of its own; it is not analyzed."""
    await owner.execute(
        """
        WITH e AS (
          INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
          SELECT 'order.created', (SELECT user_id FROM webhooks WHERE id = $1), 'order', uuid7(), $3, 1
            FROM generate_series(1, $2) RETURNING id, object_id
        ), d AS (
          INSERT INTO webhook_deliveries (webhook_id, event_id, event_type) SELECT $1, id, 'order.created' FROM e
          RETURNING id, event_id
        )
        INSERT INTO webhook_queue (delivery_id, webhook_id, event_id, object_id, sequence)
        SELECT d.id, $1, e.id, e.object_id, 1 FROM d JOIN e ON e.id = d.event_id
        """,
        webhook_id,
        objects,
        msgspec.json.encode(TOLD).decode(),
    )


async def turn(db: Database, user: UUID, plans: dict[str, str]) -> list[int]:
    """The pages that a claim, the record of what came of it, and a relay look at, of `TAKEN` or of nothing."""
    steps = []
    try:
        async with db.transaction() as tx:
            steps.append(Measured(tx, generic=True, kept=plans))
            due = await deliveries.claim(steps[0], TAKEN, TAKEN, {}, timedelta(seconds=60))  # type: ignore[arg-type]
            steps.append(Measured(tx, generic=True, kept=plans))
            called = [(each.delivery_id, each.webhook_id) for each in due] or [(uuid7(), uuid7())]
            taken = Answer(status=204, error=None, response="", duration_ms=1)
            outcomes = [Outcome(delivery_id=one, webhook_id=other, attempt=1, answer=taken) for one, other in called]
            await deliveries.record(steps[1], outcomes)  # type: ignore[arg-type]
            await events.insert(tx, [Event("order.created", user, "order", uuid7(), TOLD) for _ in range(TAKEN)])
            steps.append(Measured(tx, generic=True, kept=plans))
            await entering.relay(steps[2])  # type: ignore[arg-type]
            raise RolledBack
    except RolledBack:
        return [step.pages for step in steps]


async def test_plans_of_an_empty_queue_serve_a_long_one(owner: asyncpg.Connection, database_url: str) -> None:
    db = await Database.open(database_url, size=1)
    try:
        user = await add_owner(db)
        endpoint, _ = await add_endpoint(db, user, "https://example.com/")
        await owner.execute("VACUUM ANALYZE webhook_queue, events, event_outbox, webhook_deliveries")
        plans: dict[str, str] = {}
        await turn(db, user, plans)
        await fill_due(owner, endpoint.id, FEW)
        few = await turn(db, user, plans)
        await fill_due(owner, endpoint.id, MANY)
        many = await turn(db, user, plans)
    finally:
        await db.close()
    assert all(TAKEN < after < before * GROWTH_MAX for before, after in zip(few, many, strict=True)), (few, many)


async def again(db: Database, endpoint: UUID, plans: dict[str, str]) -> list[Measured]:
    """What a replay of `TAKEN` ended deliveries, one of a single one and a test message read."""
    steps = []
    try:
        async with db.transaction() as tx:
            ended = await tx.fetch(
                "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, state) "
                "SELECT $1, id, type, 'failed' FROM events ORDER BY id DESC LIMIT $2 RETURNING id, event_id",
                endpoint,
                TAKEN,
            )
            first = min(row["id"] for row in ended)
            for call in (
                partial(entering.replay, since=first, most=TAKEN),
                partial(entering.replay, since=first, until=UUID(int=first.int + 1)),
                partial(entering.enqueue, event_id=ended[0]["event_id"]),
            ):
                steps.append(Measured(tx, generic=True, kept=plans))
                await call(steps[-1], endpoint)  # type: ignore[operator]
            raise RolledBack
    except RolledBack:
        return steps


async def test_what_is_sent_again_is_queued_by_plans_of_an_empty_queue(
    owner: asyncpg.Connection, database_url: str
) -> None:
    db = await Database.open(database_url, size=1)
    try:
        user = await add_owner(db)
        endpoint, _ = await add_endpoint(db, user, "https://example.com/")
        await owner.execute("VACUUM ANALYZE webhook_queue, events, event_outbox, webhook_deliveries")
        await tell(db, user, uuid7(), *["order.processing"] * TAKEN)
        plans: dict[str, str] = {}
        await again(db, endpoint.id, plans)
        await fill_due(owner, endpoint.id, FEW)
        few = await again(db, endpoint.id, plans)
        await fill_due(owner, endpoint.id, MANY)
        many = await again(db, endpoint.id, plans)
    finally:
        await db.close()
    for before, after in zip(few, many, strict=True):
        assert 0 < after.pages < before.pages * GROWTH_MAX
        assert after.read_whole == set()


async def pages_of_a_relay(db: Database, owner: asyncpg.Connection, user: UUID) -> int:
    """Of the next events of objects in the queue."""
    await owner.execute(
        """
        WITH added AS (
          INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
          SELECT 'order.completed', $1, 'order', object_id, $3, $2 FROM webhook_queue WHERE sequence = 1 RETURNING id)
        INSERT INTO event_outbox (event_id) SELECT id FROM added
        """,
        user,
        EACH + 1,
        msgspec.json.encode(TOLD).decode(),
    )
    await owner.execute("VACUUM ANALYZE webhook_queue, events, event_outbox")
    try:
        async with db.transaction() as tx:
            measured = Measured(tx)
            await entering.relay(measured)  # type: ignore[arg-type]
            raise RolledBack
    except RolledBack:
        await owner.execute("TRUNCATE events, event_outbox")
    return measured.pages


async def test_a_relay_reads_what_it_takes(
    db: Database, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entering, "RELAYED_AT_ONCE", TAKEN)
    user = await add_owner(db)
    endpoint, _ = await add_endpoint(db, user, "https://example.com/")
    await fill(owner, endpoint.id, FEW)
    few = await pages_of_a_relay(db, owner, user)
    await fill(owner, endpoint.id, MANY)
    many = await pages_of_a_relay(db, owner, user)
    assert TAKEN < many < few * GROWTH_MAX
