"""Nothing is left for ever in the queue of deliveries: what ends without being sent, and what goes with its day."""

from datetime import UTC, datetime, timedelta
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
from gateway.webhooks.model import Endpoint
from gateway.webhooks.relay import relay_events
from gateway.webhooks.upkeep import drop_outdated, drop_unwanted
from gateway.worker import keep_partitions
from tests.support.faults import eventually
from tests.support.hook_queue import claimed, outcome, queued, record, rows, set_up, waits_for_a_lock
from tests.support.hooks import add_endpoint, add_owner, delivering, receiving, tell


async def test_an_endpoint_is_switched_off_while_its_calls_are_recorded(db: Database) -> None:
    async with receiving() as receiver, delivering(db):
        owner = await add_owner(db)
        endpoint, _ = await add_endpoint(db, owner, receiver.url)
        async with db.transaction() as tx:
            locked = await endpoints.get(tx, None, endpoint.id, lock=True)
            await tell(db, owner, uuid7(), "order.created", "order.processing")
            await relay_events(db)
            await eventually(lambda: waits_for_a_lock(db))
            await endpoints.change(tx, locked, {"is_active": False}, allow_private=True)
        await eventually(lambda: _are(db, ["delivered", "dropped"]))


async def _are(db: Database, states: list[str]) -> bool:
    return await rows(db, "SELECT state FROM webhook_deliveries ORDER BY state") == [(state,) for state in states]


async def test_what_was_dropped_stays_so_whatever_its_last_call_is_answered(db: Database) -> None:
    _, endpoint, _ = await set_up(db, "order.created")
    [due] = await claimed(db)
    async with db.transaction() as tx:
        await deliveries.drop_queue(tx, endpoint.id)
    await record(db, outcome(due, 500, wait_s=5))
    [(state, ended_at)] = await rows(db, "SELECT state, ended_at FROM webhook_deliveries")
    assert state == "dropped"
    assert ended_at is not None


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
