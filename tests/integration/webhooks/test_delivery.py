"""Events reach endpoints: at least once, in order for each object, signed, and one receiver never holds another up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.webhooks import endpoints, sending
from gateway.webhooks.relay import relay_events
from tests.support.faults import eventually
from tests.support.hooks import KEYRING, TOLD, Receiver, add_endpoint, add_owner, delivering, receiving, tell


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def rows(db: Database, query: str, *values: object) -> list[Any]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *values)]


async def states(db: Database) -> list[str]:
    return [state for (state,) in await rows(db, "SELECT state FROM webhook_deliveries ORDER BY id")]


async def test_an_event_is_delivered_signed(db: Database, receiver: Receiver) -> None:
    owner, order = await add_owner(db), uuid7()
    _, secret = await add_endpoint(db, owner, receiver.url, "order.*")
    await tell(db, owner, order, "order.created")
    assert await relay_events(db) == 1
    async with delivering(db):
        await eventually(lambda: asyncio.sleep(0, receiver.calls))
        await eventually(lambda: _is(db, ["delivered"]))
    [(headers, body)] = receiver.calls
    message = Webhook(secret).verify(body, headers)
    [(event_id,)] = await rows(db, "SELECT id FROM events")
    assert message | {"timestamp": ""} == {
        "id": str(event_id), "type": "order.created", "version": 1, "sequence": 1, "timestamp": "",
        "object": {"type": "order", "id": str(order)}, "data": msgspec.to_builtins(TOLD),
    }  # fmt: skip
    assert headers["webhook-id"] == str(event_id)


async def _is(db: Database, expected: list[str]) -> bool:
    return await states(db) == expected


async def test_an_event_that_is_gone_keeps_no_other_from_being_relayed(db: Database) -> None:
    owner = await add_owner(db)
    await add_endpoint(db, owner, "http://127.0.0.1:1/")
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO event_outbox (event_id) VALUES ($1)", uuid7())
    await tell(db, owner, uuid7(), "order.created")
    assert await relay_events(db) == 2
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM webhook_queue") == 1
        assert await connection.fetchval("SELECT count(*) FROM event_outbox") == 0


async def test_only_what_is_wanted_is_relayed_and_only_to_its_user(db: Database, receiver: Receiver) -> None:
    owner, other = await add_owner(db), await add_owner(db)
    await add_endpoint(db, owner, receiver.url, "order.completed", "refill.*")
    await add_endpoint(db, other, receiver.url, "*")
    await tell(db, owner, uuid7(), "order.created", "order.completed")
    await relay_events(db)
    assert await rows(db, "SELECT event_type FROM webhook_deliveries") == [("order.completed",)]


async def test_the_events_of_one_object_come_in_order_whatever_fails(db: Database, receiver: Receiver) -> None:
    owner, orders = await add_owner(db), [uuid7() for _ in range(20)]
    await add_endpoint(db, owner, receiver.url)
    for order in orders:
        await tell(db, owner, order, "order.created", "order.processing")
        await tell(db, owner, order, "order.partial", "order.refunded")
    receiver.answer = lambda count: web.Response(status=500 if count % 3 == 0 else 200)
    await relay_events(db)
    async with delivering(db, delays_s=(0.0,) * 9):
        await eventually(lambda: _is(db, ["delivered"] * 80))
    taken = {str(order): [1, 2, 3, 4] for order in orders}
    assert {key: list(dict.fromkeys(seen)) for key, seen in receiver.sequences().items()} == taken


async def test_a_retry_has_the_same_id_and_body(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, uuid7(), "order.created")
    receiver.answer = lambda count: web.Response(status=503 if count < 3 else 200)
    await relay_events(db)
    async with delivering(db):
        await eventually(lambda: _is(db, ["delivered"]))
    assert len({(headers["webhook-id"], body) for headers, body in receiver.calls}) == 1
    assert len(receiver.calls) == 3
    calls = await rows(db, "SELECT number, status FROM webhook_attempts ORDER BY number")
    assert calls == [(1, 503), (2, 503), (3, 200)]


async def test_after_the_last_attempt_it_has_failed(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, uuid7(), "order.created")
    receiver.answer = lambda count: web.Response(status=500, text="x" * 5000)
    await relay_events(db)
    async with delivering(db):
        await eventually(lambda: _is(db, ["failed"]))
    assert len(receiver.calls) == 3
    assert await rows(db, "SELECT count(*) FROM webhook_queue") == [(0,)]
    assert {len(text) for (text,) in await rows(db, "SELECT response FROM webhook_attempts")} == {1024}


async def test_a_redirect_is_an_answer(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, uuid7(), "order.created")
    receiver.answer = lambda count: web.Response(status=302, headers={"Location": receiver.url})
    await relay_events(db)
    async with delivering(db, delays_s=()):
        await eventually(lambda: _is(db, ["failed"]))
    assert len(receiver.calls) == 1


async def test_410_switches_it_off_and_drops_what_waits(db: Database, receiver: Receiver) -> None:
    owner, order = await add_owner(db), uuid7()
    endpoint, _ = await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, order, "order.created", "order.processing")
    receiver.answer = lambda count: web.Response(status=410)
    await relay_events(db)
    async with delivering(db, delays_s=(60.0,)):
        await eventually(lambda: _is(db, ["dropped", "dropped"]))
    assert await rows(db, "SELECT is_active, disabled_reason FROM webhooks WHERE id = $1", endpoint.id) == [
        (False, "it answered 410 Gone")
    ]
    assert await rows(db, "SELECT kind FROM alerts") == [("webhook_off",)]
    assert await rows(db, "SELECT count(*) FROM events WHERE type = 'webhook.disabled'") == [(1,)]


async def test_three_days_of_failure_switch_it_off(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    endpoint, _ = await add_endpoint(db, owner, receiver.url)
    async with db.transaction() as tx:
        await tx.execute("UPDATE webhooks SET failing_since = now() - interval '73 hours'")
    await tell(db, owner, uuid7(), "order.created")
    receiver.answer = lambda count: web.Response(status=500)
    await relay_events(db)
    async with delivering(db, delays_s=(60.0,)):
        await eventually(lambda: _is(db, ["dropped"]))
    assert await rows(db, "SELECT is_active FROM webhooks WHERE id = $1", endpoint.id) == [(False,)]


async def test_retry_after_is_obeyed(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, uuid7(), "order.created")
    receiver.answer = lambda count: web.Response(status=429, headers={"Retry-After": "3600"})
    await relay_events(db)
    async with delivering(db, delays_s=(0.0,)):
        await eventually(lambda: _has_calls(db, 1))
    [(wait,)] = await rows(db, "SELECT next_attempt_at - now() FROM webhook_queue")
    assert timedelta(minutes=55) < wait <= timedelta(minutes=60)


async def _has_calls(db: Database, count: int) -> bool:
    return await rows(db, "SELECT count(*) FROM webhook_attempts") == [(count,)]


async def test_one_that_hangs_never_holds_a_turn_of_another(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    await add_endpoint(db, owner, f"http://127.0.0.1:{port}/")
    await add_endpoint(db, owner, receiver.url)
    for _ in range(50):
        await tell(db, owner, uuid7(), "order.created")
    await relay_events(db)
    async with delivering(db, each=4, timeout_s=60.0) as deliverer:
        await eventually(lambda: asyncio.sleep(0, len(receiver.calls) == 50))
        await eventually(lambda: asyncio.sleep(0, sum(deliverer._in_flight.values()) == 4))
        for task in list(deliverer._calls):
            task.cancel()
    hanging.close()
    await hanging.wait_closed()


async def test_many_that_hang_together_leave_turns_for_others(
    db: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "IN_FLIGHT_MAX", 32)
    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    owner, other = await add_owner(db), await add_owner(db)
    for _ in range(4):
        await add_endpoint(db, owner, f"http://127.0.0.1:{port}/")
    await add_endpoint(db, other, receiver.url)
    for _ in range(20):
        await tell(db, owner, uuid7(), "order.created")
    await relay_events(db)
    async with delivering(db, each=8, timeout_s=60.0) as deliverer:
        await eventually(lambda: asyncio.sleep(0, len(deliverer._in_flight) == 4))
        for _ in range(10):
            await tell(db, other, uuid7(), "order.created")
        await relay_events(db)
        await eventually(lambda: asyncio.sleep(0, len(receiver.calls) == 10))
        for task in list(deliverer._calls):
            task.cancel()
    hanging.close()
    await hanging.wait_closed()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads on and never answers, until the caller goes."""
    while await reader.read(65_536):
        pass
    writer.close()


async def test_both_secrets_sign_while_one_is_rotated(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    endpoint, old = await add_endpoint(db, owner, receiver.url)
    async with db.transaction() as tx:
        _, new = await endpoints.rotate(tx, KEYRING, endpoint, 3600)
    await tell(db, owner, uuid7(), "order.created")
    await relay_events(db)
    async with delivering(db):
        await eventually(lambda: _is(db, ["delivered"]))
    [(headers, body)] = receiver.calls
    for secret in (old, new):
        Webhook(secret).verify(body, headers)
    async with db.transaction() as tx:
        await tx.execute("UPDATE webhooks SET previous_expires_at = now() - interval '1 s'")
    await tell(db, owner, uuid7(), "order.created")
    await relay_events(db)
    async with delivering(db):
        await eventually(lambda: _is(db, ["delivered"] * 2))
    assert len(receiver.calls[1][0]["webhook-signature"].split()) == 1
    Webhook(new).verify(receiver.calls[1][1], receiver.calls[1][0])


async def test_what_ended_is_sent_again_on_demand(db: Database, receiver: Receiver) -> None:
    owner, order = await add_owner(db), uuid7()
    endpoint, _ = await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, order, "order.created", "order.processing")
    await relay_events(db)
    async with delivering(db):
        await eventually(lambda: _is(db, ["delivered"] * 2))
        [(since,)] = await rows(db, "SELECT min(created_at) FROM webhook_deliveries")
        async with db.transaction() as tx:
            assert await endpoints.replay_range(tx, endpoint, since, None, only_failed=True) == 0
            assert await endpoints.replay_range(tx, endpoint, since, None, only_failed=False) == 2
        await eventually(lambda: asyncio.sleep(0, len(receiver.calls) == 4))
    assert receiver.sequences() == {str(order): [1, 2, 1, 2]}


async def test_a_ping_goes_to_the_one_endpoint(db: Database, receiver: Receiver) -> None:
    owner = await add_owner(db)
    endpoint, _ = await add_endpoint(db, owner, receiver.url, "order.failed")
    await add_endpoint(db, owner, receiver.url, "*")
    async with db.transaction() as tx:
        await endpoints.ping(tx, endpoint)
    await relay_events(db)
    async with delivering(db):
        await eventually(lambda: _is(db, ["delivered"]))
    assert [message["type"] for message in receiver.messages()] == ["webhook.ping"]


async def test_what_a_dead_process_had_in_hand_goes_out_after_its_lease(db: Database, receiver: Receiver) -> None:
    from gateway.webhooks.deliveries import store as deliveries

    owner = await add_owner(db)
    await add_endpoint(db, owner, receiver.url)
    await tell(db, owner, uuid7(), "order.created")
    await relay_events(db)
    async with db.transaction() as tx:
        [due] = await deliveries.claim(tx, 10, 10, {}, timedelta(seconds=60))
        assert await deliveries.claim(tx, 10, 10, {}, timedelta(seconds=60)) == []
    assert due.attempt == 1
    async with db.transaction() as tx:
        await tx.execute("UPDATE webhook_queue SET leased_until = now()")
    async with delivering(db):
        await eventually(lambda: _is(db, ["delivered"]))
    assert await rows(db, "SELECT number FROM webhook_attempts") == [(2,)]


async def test_events_of_a_user_without_endpoints_need_no_relay(db: Database) -> None:
    owner = await add_owner(db)
    await tell(db, owner, uuid7(), "order.created")
    assert await relay_events(db) == 0
