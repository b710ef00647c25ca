"""`/v1/webhooks`: made, shown without its secret, changed, tried and replayed, by its owner alone."""

from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from gateway.db.engine import Database
from gateway.settings import Settings
from gateway.webhooks.relay import relay_events
from tests.support.faults import eventually
from tests.support.hooks import delivering, receiving
from tests.support.native import Native
from tests.support.panel import settings_for

ORDER = {"service": 1, "link": "https://example.com/p/1", "quantity": 100}


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url, allow_private_addresses=True)


async def made(api: Native, url: str = "https://example.com/hook", *events: str) -> dict[str, str]:
    reply = await api("POST", "/v1/webhooks", {"url": url, "events": list(events or ("*",))})
    assert reply.status == 201
    answer: dict[str, str] = reply.json()
    return answer


async def test_the_secret_is_shown_once(db: Database, api: Native) -> None:
    webhook = await made(api)
    secret = webhook.pop("secret")
    assert secret.startswith("whsec_")
    assert (await api("GET", f"/v1/webhooks/{webhook['id']}")).json() == webhook
    assert (await api("GET", "/v1/webhooks")).json()["data"] == [webhook]
    async with db.connection() as connection:
        told = await connection.fetchval("SELECT string_agg(t::text, '') FROM audit_log t")
        kept = await connection.fetchval("SELECT secret FROM webhooks")
    assert secret not in told + kept
    assert kept not in told


async def test_a_retry_of_the_creation_shows_the_same_secret(db: Database, api: Native) -> None:
    body = {"url": "https://example.com/", "events": ["order.*"]}
    first, again = [await api("POST", "/v1/webhooks", body, Idempotency_Key="w") for _ in range(2)]
    assert (first.body, again.headers["Idempotency-Replayed"]) == (again.body, "true")
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM webhooks") == 1
        assert first.json()["secret"] not in await connection.fetchval("SELECT reply FROM idempotency_keys")


async def test_an_order_is_told_of_and_what_was_sent_can_be_looked_at(db: Database, api: Native) -> None:
    async with receiving() as receiver, delivering(db):
        webhook = await made(api, receiver.url, "order.created")
        order = (await api("POST", "/v1/orders", ORDER)).json()
        await relay_events(db)
        await eventually(lambda: _ended(db))
        [(headers, body)] = receiver.calls
        message = Webhook(webhook["secret"]).verify(body, headers)
        assert message["object"] == {"type": "order", "id": order["id"]}
        path = f"/v1/webhooks/{webhook['id']}"
        [delivery] = (await api("GET", f"{path}/deliveries")).json()["data"]
        shown = (await api("GET", f"{path}/deliveries/{delivery['id']}")).json()
        assert (shown["delivery"]["state"], shown["body"]) == ("delivered", message)
        assert [(each["number"], each["status"]) for each in shown["attempts"]] == [(1, 204)]
        statistics = (await api("GET", f"{path}/statistics")).json()
        assert (statistics["calls"], statistics["taken"], statistics["waiting"]) == (1, 1, 0)
        assert (await api("POST", f"{path}/deliveries/{delivery['id']}/replay")).status == 202
        await eventually(lambda: _calls(receiver.calls, 2))
        assert receiver.calls[1][0]["webhook-id"] == headers["webhook-id"]


async def _ended(db: Database) -> bool:
    async with db.connection() as connection:
        return bool(await connection.fetchval("SELECT bool_and(state <> 'pending') FROM webhook_deliveries"))


async def _calls(calls: list[object], count: int) -> bool:
    return len(calls) == count


async def test_a_ping_says_whether_it_works_and_failures_are_replayed(db: Database, api: Native) -> None:
    async with receiving() as receiver, delivering(db, delays_s=()):
        receiver.answer = lambda count: web.Response(status=500 if count == 1 else 200, text="no\x00pe")
        webhook = await made(api, receiver.url, "order.failed")
        path = f"/v1/webhooks/{webhook['id']}"
        pinged = await api("POST", f"{path}/ping", Idempotency_Key="p")
        assert pinged.status == 202
        await eventually(lambda: _ended(db))
        shown = (await api("GET", f"{path}/deliveries/{pinged.json()['delivery']}")).json()
        assert (shown["delivery"]["state"], shown["attempts"][0]["response"]) == (
            "failed",
            "no\N{REPLACEMENT CHARACTER}pe",
        )
        since = (datetime.fromisoformat(shown["delivery"]["created_at"]) - timedelta(seconds=1)).isoformat()
        queued = await api("POST", f"{path}/replay", {"since": since})
        assert (queued.status, queued.json()) == (202, {"count": 1})
        await eventually(lambda: _calls(receiver.calls, 2))


async def test_a_change_is_made_only_to_what_was_read(api: Native) -> None:
    webhook = await made(api)
    path = f"/v1/webhooks/{webhook['id']}"
    tag = (await api("GET", path)).headers["ETag"]
    changed = await api("PATCH", path, {"events": ["order.*", "order.*"], "description": "shop"}, If_Match=tag)
    assert (changed.json()["events"], changed.json()["description"]) == (["order.*"], "shop")
    stale = await api("PATCH", path, {"is_active": False}, If_Match=tag)
    assert (stale.status, stale.problem) == (412, "changed-meanwhile")
    assert (await api("DELETE", path, If_Match=tag)).status == 412
    off = await api("PATCH", path, {"is_active": False})
    assert off.json()["is_active"] is False
    refused = await api("POST", f"{path}/ping")
    assert (refused.status, refused.problem) == (409, "conflict")
    assert (await api("DELETE", path)).status == 204
    assert (await api("GET", path)).status == 404


async def test_a_rotation_shows_the_new_secret_once(db: Database, api: Native) -> None:
    webhook = await made(api)
    rotated = await api("POST", f"/v1/webhooks/{webhook['id']}/rotate", {"overlap_s": 60}, Idempotency_Key="r")
    assert rotated.status == 200
    assert rotated.json()["secret"] != webhook["secret"]
    assert rotated.json()["previous_expires_at"] is not None
    async with db.connection() as connection:
        told = await connection.fetchval("SELECT string_agg(t::text, '') FROM audit_log t")
        sealed = await connection.fetchrow("SELECT secret, previous_secret FROM webhooks")
    assert not [each for each in sealed if each in told]


async def test_what_cannot_be_is_refused_by_its_path(api: Native) -> None:
    for body, path in (
        ({"url": "ftp://example.com", "events": ["*"]}, "$.url"),
        ({"url": "https://example.com", "events": ["order.eaten"]}, "$.events[0]"),
        ({"url": "https://example.com", "events": []}, "$.events"),
    ):
        refused = await api("POST", "/v1/webhooks", body)
        assert (refused.status, refused.json()["errors"][0]["path"]) == (422, path)
    for _ in range(20):
        await made(api)
    full = await api("POST", "/v1/webhooks", {"url": "https://example.com", "events": ["*"]})
    assert (full.status, full.problem) == (409, "conflict")


async def test_anothers_is_not_there(api: Native, other: Native) -> None:
    webhook = await made(api)
    for method, end, body in (
        ("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", "/rotate", {}), ("POST", "/ping", None),
        ("GET", "/statistics", None), ("GET", "/deliveries", None), ("GET", f"/deliveries/{uuid4()}", None),
        ("POST", f"/deliveries/{uuid4()}/replay", None), ("POST", "/replay", {"since": "2026-01-01T00:00:00Z"}),
    ):  # fmt: skip
        answers = [await other(method, f"/v1/webhooks/{name}{end}", body) for name in (webhook["id"], uuid4(), "x")]
        assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
    assert msgspec.json.decode((await other("GET", "/v1/webhooks")).body)["data"] == []
