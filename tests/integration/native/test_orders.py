"""`/v1/orders`: placed once, found again, and shown to nobody else."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from gateway.db.engine import Database
from tests.support.native import Native, Standing

LINK = "https://example.com/p/1"
ORDER = {"service": 1, "link": LINK, "quantity": 100}


async def orders_in(db: Database) -> int:
    async with db.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM orders")
    return count


async def test_an_order_is_placed_paid_and_found(api: Native) -> None:
    placed = await api("POST", "/v1/orders", ORDER)
    assert placed.status == 201
    order = placed.json()
    assert order | {"id": "", "number": 0, "created_at": ""} == {
        "id": "", "number": 0, "service": 1, "status": "pending", "link": LINK, "quantity": 100, "price": "0.09",
        "charge": "0.09", "currency": "USD", "start_count": None, "remains": 100, "details": {}, "parent": None,
        "orders": [], "cancel_requested": False, "created_at": "", "started_at": None, "completed_at": None,
    }  # fmt: skip
    for name in (order["id"], order["number"]):
        found = await api("GET", f"/v1/orders/{name}")
        assert (found.status, found.json()["number"]) == (200, order["number"])
    balance = (await api("GET", "/v1/balance")).json()
    assert balance == {"currency": "USD", "balance": "100", "hold": "0.09", "available": "99.91"}
    events = (await api("GET", f"/v1/orders/{order['id']}/events")).json()
    assert [event["type"] for event in events["data"]] == ["order.created"]


async def test_a_retry_with_the_key_is_answered_with_the_same_bytes(db: Database, api: Native) -> None:
    first = await api("POST", "/v1/orders", ORDER, Idempotency_Key="one")
    again = await api("POST", "/v1/orders", b'{"quantity":100, "link":"%s","service":1}' % LINK.encode(),
                      Idempotency_Key="one")  # fmt: skip
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await orders_in(db) == 1


async def test_many_at_once_with_one_key_place_one_order(db: Database, api: Native) -> None:
    replies = await asyncio.gather(*(api("POST", "/v1/orders", ORDER, Idempotency_Key="one") for _ in range(20)))
    assert {reply.status for reply in replies} <= {201, 409}
    assert len({reply.body for reply in replies if reply.status == 201}) == 1
    assert await orders_in(db) == 1


async def test_the_key_with_another_body_is_refused(db: Database, api: Native) -> None:
    await api("POST", "/v1/orders", ORDER, Idempotency_Key="one")
    other = await api("POST", "/v1/orders", ORDER | {"quantity": 200}, Idempotency_Key="one")
    assert (other.status, other.problem) == (422, "idempotency-mismatch")
    elsewhere = await api("POST", "/v1/orders/100001/cancel", Idempotency_Key="one")
    assert (elsewhere.status, elsewhere.problem) == (422, "idempotency-mismatch")
    assert await orders_in(db) == 1


async def test_a_refusal_is_not_kept(db: Database, api: Native) -> None:
    dear = ORDER | {"quantity": 9000}
    for _ in range(12):
        await api("POST", "/v1/orders", dear)
    refused = await api("POST", "/v1/orders", dear, Idempotency_Key="one")
    assert (refused.status, refused.problem) == (402, "insufficient-funds")
    async with db.transaction() as tx:
        from decimal import Decimal

        from gateway.ledger import booking

        wallet_id = await tx.fetchval("SELECT id FROM wallets")
        await booking.deposit(tx, wallet_id, Decimal(100))
    placed = await api("POST", "/v1/orders", dear, Idempotency_Key="one")
    assert placed.status == 201


WRONG: list[tuple[Any, int, str, str]] = [
    (ORDER | {"quantity": "100"}, 422, "invalid", "$.quantity"),
    (ORDER | {"quantity": 1.5}, 422, "invalid", "$.quantity"),
    (ORDER | {"quantity": 10}, 422, "quantity-too-low", "$.quantity"),
    (ORDER | {"quantity": 10001}, 422, "quantity-too-high", "$.quantity"),
    (ORDER | {"price": 1}, 422, "invalid", "$.price"),
    (ORDER | {"comments": ["a"]}, 422, "invalid", "$.comments"),
    (ORDER | {"service": 99}, 422, "unknown-service", "$.service"),
    (ORDER | {"link": ""}, 422, "incorrect-link", "$.link"),
    (ORDER | {"link": "https://example.com/\u0000"}, 422, "invalid", "$.link"),
    (ORDER | {"runs": 3}, 422, "incorrect-order", "$.interval"),
    ({"service": 2, "link": LINK}, 422, "incorrect-order", "$.comments"),
    (b"{", 400, "bad-request", ""),
    (b"[" * 100_000, 400, "bad-request", ""),
]


@pytest.mark.parametrize(("body", "status", "kind", "path"), WRONG)
async def test_what_is_wrong_is_named_by_its_path(
    standing: Standing, body: Any, status: int, kind: str, path: str
) -> None:
    refused = await standing.reseller("POST", "/v1/orders", body)
    assert (refused.status, refused.problem) == (status, kind)
    faults = refused.json().get("errors", [])
    assert [fault["path"] for fault in faults] == ([path] if path else [])
    assert await orders_in(standing.db) == 0


async def test_a_whole_number_with_a_point_is_a_quantity(api: Native) -> None:
    placed = await api("POST", "/v1/orders", b'{"service":1,"link":"%s","quantity":1e2}' % LINK.encode())
    assert placed.json()["quantity"] == 100


async def test_each_order_of_a_batch_has_its_own_outcome(db: Database, api: Native) -> None:
    body = {"orders": [ORDER, ORDER | {"quantity": 1}, {"service": 2, "link": LINK, "comments": ["a"] * 60}]}
    first = await api("POST", "/v1/orders/batch", body, Idempotency_Key="many")
    assert first.status == 200
    one, two, three = first.json()["data"]
    assert one["order"]["quantity"] == 100
    assert two["problem"]["errors"][0]["path"] == "$.orders[1].quantity"
    assert three["order"]["details"] == {"comments": "\n".join(["a"] * 60)}
    again = await api("POST", "/v1/orders/batch", body, Idempotency_Key="many")
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await orders_in(db) == 2
    other = await api("POST", "/v1/orders/batch", {"orders": [ORDER]}, Idempotency_Key="many")
    assert (other.status, other.problem) == (422, "idempotency-mismatch")


async def test_a_list_stays_right_while_orders_arrive(api: Native) -> None:
    numbers = [(await api("POST", "/v1/orders", ORDER)).json()["number"] for _ in range(5)]
    seen: list[int] = []
    path = "/v1/orders?limit=2"
    while True:
        page = (await api("GET", path)).json()
        seen += [order["number"] for order in page["data"]]
        await api("POST", "/v1/orders", ORDER)
        if not page["has_more"]:
            break
        path = f"/v1/orders?limit=2&after={page['next']}"
    assert seen == numbers[::-1]


async def test_a_list_is_filtered(api: Native) -> None:
    first = (await api("POST", "/v1/orders", ORDER)).json()
    comments = {"service": 2, "link": LINK + "2", "comments": ["a"] * 50}
    second = (await api("POST", "/v1/orders", comments)).json()
    for query, expected in (
        ("service=2", [second]),
        ("status=completed", []),
        ("status=pending", [second, first]),
        (f"link={LINK}", [first]),
        (f"since={second['created_at']}", [second]),
        (f"until={second['created_at']}", [first]),
    ):
        found = (await api("GET", f"/v1/orders?{query}".replace("+", "%2B"))).json()["data"]
        assert [order["number"] for order in found] == [order["number"] for order in expected], query
    refused = await api("GET", "/v1/orders?sort=1")
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "query.sort")


async def test_anothers_order_and_one_that_never_was_are_answered_alike(api: Native, other: Native) -> None:
    order = (await api("POST", "/v1/orders", ORDER)).json()
    for method, end in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/refill")):
        answers = [
            await other(method, f"/v1/orders/{name}{end}")
            for name in (order["id"], uuid4(), order["number"], 999_999, "x", "%00", 10**30)
        ]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.body for answer in answers}) == 1


async def test_a_queued_order_is_cancelled_once_and_paid_back(db: Database, api: Native) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET cancel = true")
    order = (await api("POST", "/v1/orders", ORDER)).json()
    cancelled = await api("POST", f"/v1/orders/{order['id']}/cancel", Idempotency_Key="c")
    assert (cancelled.status, cancelled.json()["status"]) == (202, "cancelled")
    again = await api("POST", f"/v1/orders/{order['id']}/cancel", Idempotency_Key="c")
    assert (again.status, again.body) == (202, cancelled.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await api("GET", "/v1/balance")).json()["available"] == "100"


async def test_reads_have_tags(api: Native) -> None:
    order = (await api("POST", "/v1/orders", ORDER)).json()
    read = await api("GET", f"/v1/orders/{order['id']}")
    unchanged = await api("GET", f"/v1/orders/{order['id']}", If_None_Match=read.headers["ETag"])
    assert (unchanged.status, unchanged.body) == (304, b"")


async def test_every_refusal_is_a_problem(api: Native) -> None:
    for method, path, status, kind in (
        ("GET", "/v1/nothing", 404, "not-found"),
        ("DELETE", "/v1/orders", 405, "method-not-allowed"),
        ("GET", "/nothing", 404, "not-found"),
    ):
        refused = await api(method, path)
        assert (refused.status, refused.problem) == (status, kind)
    assert (await api("DELETE", "/v1/orders")).headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    options = await api("OPTIONS", "/v1/orders")
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    stranger = await api("GET", "/v1/orders", Authorization="Bearer nobody")
    assert (stranger.status, stranger.problem) == (401, "invalid-key")
    answered = await api("GET", "/v1/orders", X_Request_Id="mine-1")
    assert answered.headers["X-Request-Id"] == "mine-1"
    assert answered.headers["RateLimit-Policy"] == '"key";q=6000;w=60'
    typed = await api("POST", "/v1/orders", b"service=1", Content_Type="application/x-www-form-urlencoded")
    assert (typed.status, typed.problem) == (415, "unsupported-media-type")
