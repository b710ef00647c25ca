"""Operators and orders: any user's, with their stories, and the word on what is unknown."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from compat.kinds import Kind
from compat.wire import Unknown
from gateway.audit.model import Actor
from gateway.catalog import store as catalog
from gateway.db.engine import Database
from gateway.dispatch import store as dispatch
from gateway.dispatch.model import Attempt
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import PlacedAs, resolve
from tests.support.factories import read_order
from tests.support.native import Native

ORDER = {"service": 1, "link": "https://example.com/p/1", "quantity": 100}


async def unknown_order(db: Database, api: Native) -> dict[str, Any]:
    """An order that was sent and never answered."""
    placed: dict[str, Any] = (await api("POST", "/v1/orders", ORDER)).json()
    order = await read_order(db, placed["number"])
    async with db.transaction() as tx:
        [route] = await catalog.routes_of(tx, [order.service_id])
        attempt = Attempt(uuid7(), order, Kind.DEFAULT, route)
        await dispatch.insert_attempts(tx, [attempt], timedelta(seconds=60))
    await record(db, attempt.id, Unknown("read time-out"), timedelta())
    return placed


async def test_operators_see_what_customers_do_not(db: Database, api: Native, admin: Native) -> None:
    order = await unknown_order(db, api)
    seen = (await admin("GET", f"/v1/admin/orders/{order['number']}")).json()
    assert (seen["id"], seen["dispatch"], seen["status"]) == (order["id"], "unknown", "pending")
    for query, count in (("dispatch=unknown", 1), ("dispatch=queued", 0), (f"user={seen['user_id']}", 1)):
        assert len((await admin("GET", f"/v1/admin/orders?{query}")).json()["data"]) == count
    story = (await admin("GET", f"/v1/admin/orders/{order['id']}/story")).json()
    assert [send["state"] for send in story["sends"]] == ["unknown"]


@pytest.mark.parametrize(
    ("decision", "status", "dispatch"),
    [
        ({"decision": "placed_as", "upstream_id": "77"}, "processing", "accepted"),
        ({"decision": "not_placed"}, "pending", "queued"),
        ({"decision": "refund"}, "cancelled", "written_off"),
    ],
)
async def test_an_operators_word_is_taken_once_and_put_down(
    db: Database, api: Native, admin: Native, decision: dict[str, str], status: str, dispatch: str
) -> None:
    order = await unknown_order(db, api)
    path = f"/v1/admin/orders/{order['id']}/resolve"
    body = decision | {"reason": "asked the panel"}
    resolved = await admin("POST", path, body, Idempotency_Key="r", X_Request_Id="req-1")
    assert resolved.status == 200
    assert (resolved.json()["status"], resolved.json()["dispatch"]) == (status, dispatch)
    again = await admin("POST", path, body, Idempotency_Key="r")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (resolved.body, "true")
    anew = await admin("POST", path, body)
    assert (anew.status, anew.problem) == (409, "conflict")
    [line] = (await admin("GET", f"/v1/admin/audit?object_type=orders&object_id={order['id']}")).json()["data"]
    assert (line["action"], line["request_id"], line["reason"]) == ("admin_resolve_order", "req-1", "asked the panel")
    assert (line["before"]["dispatch"], line["after"]["dispatch"]) == ("unknown", dispatch)


async def test_a_word_at_the_command_line_is_put_down_too(db: Database, api: Native, admin: Native) -> None:
    order = await unknown_order(db, api)
    actor = Actor(kind="operator", name="ann", action="order resolve").to_setting()
    await resolve(db.acting_as(actor), order["number"], PlacedAs("77"), "ann")
    [line] = (await admin("GET", f"/v1/admin/audit?object_type=orders&object_id={order['id']}")).json()["data"]
    assert (line["action"], line["actor_name"]) == ("order resolve", "ann")
    assert line["before"] == {"status": "pending", "dispatch": "unknown", "external_order_id": None}
    assert line["after"] == {"status": "processing", "dispatch": "accepted", "external_order_id": "77"}


async def test_of_two_words_at_once_one_is_taken_and_the_other_told(db: Database, api: Native, admin: Native) -> None:
    for decisions in (("refund", "not_placed"), ("not_placed", "not_placed"), ("refund", "refund")):
        order = await unknown_order(db, api)
        path = f"/v1/admin/orders/{order['id']}/resolve"
        replies = await asyncio.gather(*(admin("POST", path, {"decision": each}) for each in decisions * 3))
        assert sorted(reply.status for reply in replies) == [200] + [409] * 5
        lines = (await admin("GET", f"/v1/admin/audit?object_type=orders&object_id={order['id']}")).json()["data"]
        assert len(lines) == 1


async def test_a_decision_that_does_not_hold_together_is_refused(db: Database, api: Native, admin: Native) -> None:
    order = await unknown_order(db, api)
    for body in ({"decision": "placed_as"}, {"decision": "refund", "upstream_id": "7"}, {"decision": "sent"}):
        refused = await admin("POST", f"/v1/admin/orders/{order['id']}/resolve", body)
        assert (refused.status, refused.problem) == (422, "invalid")


async def test_resellers_are_kept_out(api: Native) -> None:
    for path in ("orders", "alerts", "audit"):
        refused = await api("GET", f"/v1/admin/{path}")
        assert (refused.status, refused.problem) == (403, "forbidden")


async def test_alerts_are_listed_and_cleared(db: Database, api: Native, admin: Native) -> None:
    await unknown_order(db, api)
    [alert] = (await admin("GET", "/v1/admin/alerts")).json()["data"]
    assert alert["kind"] == "unknown_order"
    assert (await admin("DELETE", f"/v1/admin/alerts/{alert['id']}")).status == 204
    assert (await admin("DELETE", f"/v1/admin/alerts/{alert['id']}")).status == 404
    assert (await admin("GET", "/v1/admin/alerts")).json()["data"] == []
    assert len((await admin("GET", "/v1/admin/alerts?cleared=true")).json()["data"]) == 1
