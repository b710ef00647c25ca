"""What the API tells of itself: pages that need no network, scopes that are enforced, ids that give nothing away."""

import random
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
import schemathesis

from gateway.accounts.scopes import NEEDED, Scope
from gateway.api.reference.openapi import describe
from gateway.api.v1 import problems
from gateway.api.v1.operations import Operation
from gateway.api.v1.router import OPERATIONS
from gateway.db.engine import Database
from tests.support.native import Got, Native

LINK = "https://example.com/p/1"
FOREIGN = 1000


def path_of(operation: Operation, ids: dict[str, object] | None = None) -> str:
    """The operation's path with an id for each of its parameters, and the query that it must have."""
    path = re.sub(r"\{(\w+)\}", lambda found: str((ids or {}).get(found[1], UUID(int=7))), operation.path)
    return path + {
        "get_statement": "?since=2026-11-01T00:00:00Z",
        "admin_list_keys": f"?user={UUID(int=7)}",
    }.get(operation.id, "")


async def called(client: Native, operation: Operation, ids: dict[str, object] | None = None) -> Got:
    body = operation.example
    return await client(operation.method, path_of(operation, ids), body)


async def test_the_description_is_that_of_every_operation(api: Native) -> None:
    reply = await api("GET", "/schema/openapi.json")
    told = reply.json()
    assert told["openapi"] == "3.1.0"
    ids = [each["operationId"] for methods in told["paths"].values() for each in methods.values()]
    assert sorted(ids) == sorted(operation.id for operation in OPERATIONS)
    assert all(each["description"] and each["summary"] for path in told["paths"].values() for each in path.values())
    unchanged = await api("GET", "/schema/openapi.json", If_None_Match=reply.headers["ETag"])
    assert unchanged.status == 304


def test_the_description_is_openapi() -> None:
    schemathesis.openapi.from_dict(describe(OPERATIONS)).validate()


async def test_the_docs_need_no_network(api: Native) -> None:
    page = await api("GET", "/docs")
    text = page.body.decode()
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert named
    for address in named:
        assert address.startswith("/")
        assert (await api("GET", address)).status == 200
    assert "<script>" not in text
    for plain in (page, await api("GET", "/problems"), await api("GET", "/problems/not-found")):
        assert "unsafe" not in plain.headers["Content-Security-Policy"]
        assert "<style" not in plain.body.decode()
        for address in re.findall(r'(?:src|href)="([^"]+)"', plain.body.decode()):
            assert (await api("GET", address)).status == 200
    assert "[/problems](/problems)" in (await api("GET", "/schema/openapi.json")).json()["info"]["description"]
    missing = await api("GET", "/docs/secret.js")
    assert (missing.status, missing.problem) == (404, "not-found")


async def test_every_kind_of_problem_has_its_page(api: Native) -> None:
    for kind in problems.all_kinds():
        page = await api("GET", kind.type)
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert kind.type in page.body.decode()
    assert (await api("GET", "/problems/nothing")).status == 404


async def key_with(db: Database, client: Native, scopes: list[str]) -> Native:
    """The same user's key with these scopes."""
    from gateway.accounts.keys import issue_key_to
    from gateway.accounts.terms.model import Terms
    from tests.support.hooks import KEYRING

    me = (await client("GET", "/v1/account")).json()
    async with db.transaction() as tx:
        terms = Terms(name="scoped", tier="enterprise", scopes=tuple(scopes))
        _, key = await issue_key_to(tx, KEYRING, UUID(me["user_id"]), "USD", terms)
    return Native(client.http, client.url, key)


async def test_every_operation_takes_its_scope(db: Database, api: Native, admin: Native) -> None:
    for scope in Scope:
        owner = admin if scope is Scope.ADMIN else api
        alone = await key_with(db, owner, [scope])
        others = await key_with(
            db, owner, [each for each in Scope if each is not scope and (owner is admin or each is not Scope.ADMIN)]
        )
        for operation in OPERATIONS:
            if operation.scope is not scope:
                continue
            body = {"name": "less", "scopes": [scope]} if operation.id == "create_api_key" else operation.example
            assert (await alone(operation.method, path_of(operation), body)).status != 403, operation.id
            refused = await others(operation.method, path_of(operation), body)
            assert (refused.status, refused.problem) == (403, "forbidden"), operation.id
            assert refused.json()["detail"].endswith(f" {scope}")


async def test_every_action_of_the_panel_takes_its_scope(db: Database, api: Native) -> None:
    actions = {
        "services": {}, "balance": {}, "add": {"service": "1", "link": LINK, "quantity": "100"},
        "status": {"order": "1"}, "statuses": {"orders": "1,2"}, "cancel": {"orders": "1"},
        "refill": {"order": "1"}, "refill_status": {"refill": "1"},
    }  # fmt: skip
    assert actions.keys() == NEEDED.keys()
    for scope in Scope:
        if scope is Scope.ADMIN:  # none of the panel's
            continue
        alone = await key_with(db, api, [scope])
        for name, fields in actions.items():
            form = {"key": alone.key, "action": "status" if name == "statuses" else name, **fields}
            async with api.http.post(f"{api.url}/api/v2", data=form) as reply:
                refused = await reply.json() == {"error": "Invalid API key"}
            assert refused is (NEEDED[name] is not scope), (name, scope)


async def test_administration_is_for_administrators(api: Native) -> None:
    for operation in OPERATIONS:
        if operation.path.startswith("/v1/admin/"):
            assert operation.scope is Scope.ADMIN
            assert (await called(api, operation)).status == 403, operation.id


async def owned(db: Database, api: Native) -> dict[str, list[object]]:
    """The ids of what a reseller has, by the name of the parameter."""
    orders = [
        (await api("POST", "/v1/orders", {"service": 1, "link": LINK, "quantity": 100 + number})).json()
        for number in range(20)
    ]
    webhook = (await api("POST", "/v1/webhooks", {"url": "https://example.com/hook", "events": ["*"]})).json()
    delivery = (await api("POST", f"/v1/webhooks/{webhook['id']}/ping")).json()["delivery"]
    key = (await api("POST", "/v1/api-keys", {"name": "second"})).json()
    async with db.transaction() as tx:
        refill = await tx.fetchrow(
            "INSERT INTO refills (order_id, user_id, provider_id, external_order_id, state, upstream_status)"
            " SELECT o.id, o.user_id, p.id, '77', 'accepted', 'Pending' FROM orders o, providers p"
            " WHERE o.id = $1 LIMIT 1 RETURNING id, number",
            UUID(orders[0]["id"]),
        )
    assert refill is not None
    assert (await api("GET", f"/v1/refills/{refill['number']}")).json()["order"] == orders[0]["number"]
    return {
        "order": [value for order in orders for value in (order["id"], order["number"])],
        "webhook": [webhook["id"]],
        "delivery": [delivery],
        "key": [key["id"]],
        "refill": [refill["id"], refill["number"]],
    }


async def test_a_thousand_foreign_ids_give_nothing_away(db: Database, api: Native, other: Native) -> None:
    theirs = await owned(db, api)
    named = [
        operation for operation in OPERATIONS
        if "{" in operation.path and operation.scope is not Scope.ADMIN and operation.id != "get_service"
    ]  # fmt: skip
    dice = random.Random(7)
    answers: dict[str, set[Any]] = {}
    for count in range(FOREIGN):
        operation = named[count % len(named)]
        [*parents, last] = re.findall(r"\{(\w+)\}", operation.path)
        known = theirs[last]
        invented = [uuid4(), dice.randrange(1, 2**31), dice.randrange(10**12), "x"]
        ids = {parent: dice.choice(theirs[parent]) for parent in parents}
        ids[last] = dice.choice([*known, *known, *invented])
        reply = await called(other, operation, ids)
        kept = {
            name: value for name, value in reply.headers.items()
            if name.lower() not in ("date", "x-request-id", "ratelimit")
        }  # fmt: skip
        answers.setdefault(operation.id, set()).add((reply.status, reply.body, tuple(sorted(kept.items()))))
    assert {name: len(kinds) for name, kinds in answers.items()} == {operation.id: 1 for operation in named}
    assert {status for kinds in answers.values() for status, _, _ in kinds} == {404}


async def test_a_foreign_number_in_a_query_gives_nothing_away(db: Database, api: Native, other: Native) -> None:
    theirs = await owned(db, api)
    [order_id, number] = theirs["order"][:2]
    [line] = (await api("GET", f"/v1/ledger?order={number}")).json()["data"]
    await owned(db, other)
    filters = {
        "order": [number, 1, 2**31 - 1],
        "after": [each for known in (order_id, line["id"], theirs["refill"][0], theirs["key"][0], theirs["webhook"][0])
                  for each in (known, UUID(int=UUID(str(known)).int ^ 1))],
    }  # fmt: skip
    asked = 0
    for operation in OPERATIONS:
        if operation.method != "GET" or operation.scope is Scope.ADMIN or operation.query is None:
            continue
        for name, values in filters.items():
            if name not in operation.query.__struct_fields__ or operation.id == "list_services":
                continue
            replies = [await other("GET", f"{path_of(operation)}?{name}={value}") for value in values]
            asked += len(replies)
            apart = 2 if name == "after" else len(replies)
            for start in range(0, len(replies), apart):
                assert len({(each.status, each.body) for each in replies[start : start + apart]}) == 1, operation.id
    assert asked > 20


async def test_lists_have_ones_own_alone(db: Database, api: Native, other: Native) -> None:
    theirs = {str(each) for ids in (await owned(db, api)).values() for each in ids if len(str(each)) > 5}
    mine = await owned(db, other)
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.scope is not Scope.ADMIN:
            seen = (await called(other, operation, {name: ids[0] for name, ids in mine.items() if ids})).body.decode()
            assert not {each for each in theirs if f'"{each}"' in seen or f":{each}," in seen}, operation.id


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_body_has_an_example(operation: Operation) -> None:
    assert (operation.body is None) == (operation.example is None)
