"""What HTTP expects of an API, whichever of its operations is called."""

import re
from typing import Any

import asyncpg
import pytest

from gateway.accounts.scopes import Scope
from gateway.api.v1 import problems
from gateway.api.v1.reading import VALUES_MAX
from gateway.api.v1.router import OPERATIONS
from gateway.db.engine import Database
from tests.support.native import Native, Standing
from tests.support.stock import Known, known_to, stock

LINK = "https://example.com/p/1"
ORDER = {"service": 1, "link": LINK, "quantity": 100}
JSON = {"Accept": "application/json"}
WITHOUT_A_READ = {"admin_clear_alert", "admin_forget_words"}
"""They end what no GET shows alone, and so has no tag."""


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/orders", "/docs", "/problems", "/schema/openapi.json"])
async def test_head_is_get_without_the_body(standing: Standing, path: str) -> None:
    whole, head = await standing.reseller("GET", path), await standing.reseller("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers.get(name) == whole.headers.get(name), name
    assert (await standing.reseller("HEAD", "/v1/orders/1")).status == 404


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/", "/v1//orders"])
async def test_the_methods_of_a_path_are_told(standing: Standing, path: str) -> None:
    for method, status in (("OPTIONS", 204), ("DELETE", 405)):
        told = await standing.reseller(method, path)
        assert (told.status, told.headers["Allow"]) == (status, "GET, HEAD, OPTIONS, POST")


@pytest.mark.parametrize("number", [0, 2**31, 2**32, 9_999_999_999, 10**20])
async def test_a_number_that_no_column_holds_is_nobodys(standing: Standing, number: int) -> None:
    for client, method, path in (
        (standing.reseller, "GET", f"/v1/orders/{number}"),
        (standing.reseller, "GET", f"/v1/orders/{number}/events"),
        (standing.reseller, "POST", f"/v1/orders/{number}/cancel"),
        (standing.reseller, "POST", f"/v1/orders/{number}/refill"),
        (standing.reseller, "GET", f"/v1/refills/{number}"),
        (standing.reseller, "GET", f"/v1/services/{number}"),
        (standing.admin, "GET", f"/v1/admin/orders/{number}"),
        (standing.admin, "GET", f"/v1/admin/orders/{number}/story"),
        (standing.admin, "GET", f"/v1/admin/services/{number}"),
        (standing.admin, "GET", f"/v1/admin/providers/{number}"),
    ):
        reply = await client(method, path)
        assert (reply.status, reply.problem) == (404, "not-found"), path


async def test_an_id_has_one_spelling(api: Native) -> None:
    name = (await api("POST", "/v1/orders", ORDER)).json()["id"]
    assert (await api("GET", f"/v1/orders/{name.upper()}")).status == 200
    for other in (f"%7B{name}%7D", f"urn:uuid:{name}", name.replace("-", ""), f"{name}%0A", f"%20{name}"):
        assert (await api("GET", f"/v1/orders/{other}")).status == 404, other


async def test_a_detail_spells_paths_as_they_are(standing: Standing) -> None:
    for path, name in (("/v1/orders?limit=0", "query.limit"), ("/v1/balance?x=1", "query.x")):
        refused = (await standing.reseller("GET", path)).json()
        assert refused["detail"] == f"{name}: {refused['errors'][0]['message']}"
    refused = (await standing.reseller("POST", "/v1/api-keys", {"name": "x", "scopes": []})).json()
    assert refused["detail"] == "$.scopes: a key has at least one scope"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"service": 1, "link": "x", "quantity": 100, "quantity": 9000}', "$.quantity"),
        (b'{"service": 1, "link": "x", "quantity": 100, "quantit\\u0079": 100}', "$.quantity"),
        (b'{"orders": [{"service": 1, "service": 1}]}', "$.orders[0].service"),
        (b'{"\\ud800": 1, "\\ud800": 1}', "$"),
    ],
)
async def test_a_field_that_is_given_twice_is_refused(standing: Standing, body: bytes, path: str) -> None:
    refused = await standing.reseller("POST", "/v1/orders", body)
    assert (refused.status, refused.problem) == (422, "invalid")
    assert [fault["path"] for fault in refused.json()["errors"]] == [path]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{} {}", b"\xff", b"\xef\xbb\xbf{}", b"{'service': 1}", b'{"a": "\n"}', b'{"quantity": 01}',
        *(b'{"quantity": %b}' % number for number in (b"NaN", b"-Infinity", b"1e999", b"1" * 5000)),
        b"[" * 100_000, b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
async def test_what_is_not_json_is_a_bad_request(standing: Standing, body: bytes) -> None:
    refused = await standing.reseller("POST", "/v1/orders", body)
    assert (refused.status, refused.problem) == (400, "bad-request")


@pytest.mark.parametrize("item", [b"1", b"[]", b"{}", b'"x"', b"[[]]"])
async def test_a_body_of_millions_of_values_is_too_large(standing: Standing, item: bytes) -> None:
    count = VALUES_MAX + 1
    refused = await standing.reseller("POST", "/v1/orders/batch", b'{"orders":[' + b",".join([item] * count) + b"]}")
    assert (refused.status, refused.problem) == (413, "too-large")


async def test_a_thousand_orders_with_a_hundred_lines_each_are_read(api: Native) -> None:
    order = {"service": 99, "link": LINK, "comments": ["a line"] * 100}
    read = await api("POST", "/v1/orders/batch", {"orders": [order] * 1000})
    assert (read.status, len(read.json()["data"])) == (200, 1000)


async def test_a_compressed_body_is_refused_as_such(api: Native) -> None:
    refused = await api("POST", "/v1/orders", ORDER, Content_Encoding="gzip")
    assert (refused.status, refused.problem) == (415, "unsupported-media-type")
    assert (await api("POST", "/v1/orders", ORDER, Content_Encoding="identity")).status == 201


async def test_what_takes_no_body_does_not_pass_over_one(db: Database, api: Native) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET cancel = true")
    number = (await api("POST", "/v1/orders", ORDER)).json()["number"]
    path = f"/v1/orders/{number}/cancel"
    refused = await api("POST", path, {"quantity": 50})
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$.quantity")
    assert (await api("POST", path, b"quantity=50")).problem == "bad-request"
    assert (await api("POST", path, b"a=1", Content_Type="text/plain")).problem == "unsupported-media-type"
    assert (await api("GET", f"/v1/orders/{number}")).json()["cancel_requested"] is False
    assert (await api("POST", path, {})).status == 202


async def test_a_header_on_two_lines_is_one_list(api: Native) -> None:
    tag = (await api("GET", "/v1/balance")).headers["ETag"]
    lines = [("If-None-Match", '"other"'), ("If-None-Match", tag), ("Authorization", f"Bearer {api.key}")]
    async with api.http.get(f"{api.url}/v1/balance", headers=lines) as reply:
        assert reply.status == 304
    keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Authorization", f"Bearer {api.key}")]
    async with api.http.post(f"{api.url}/v1/orders", headers=keys, json=ORDER) as reply:
        assert (reply.status, (await reply.json())["errors"][0]["path"]) == (422, "header.Idempotency-Key")


async def test_other_bytes_have_another_tag(api: Native) -> None:
    whole = await api("GET", "/v1/services", Accept_Encoding="identity")
    zipped = await api("GET", "/v1/services", Accept_Encoding="gzip")
    assert (zipped.headers["Content-Encoding"], zipped.json()) == ("gzip", whole.json())
    tags = {"identity": whole.headers["ETag"], "gzip": zipped.headers["ETag"]}
    assert len(set(tags.values())) == 2
    for coding in tags:
        for tag in tags.values():
            again = await api("GET", "/v1/services", Accept_Encoding=coding, If_None_Match=tag)
            assert (again.status == 304) is (tag == tags[coding])


async def test_no_cache_keeps_a_secret_or_a_refusal(api: Native) -> None:
    assert (await api("GET", "/v1/balance")).headers["Cache-Control"] == "private, no-cache"
    for reply in (await api("POST", "/v1/api-keys", {"name": "x"}), await api("GET", "/v1/orders/1")):
        assert reply.headers["Cache-Control"] == "no-store"


async def test_problems_are_told_to_machines_too(standing: Standing) -> None:
    for kind in problems.all_kinds():
        told = await standing.reseller("GET", kind.type, **JSON)
        assert (told.headers["Content-Type"], told.headers["Vary"]) == ("application/json", "Accept")
        assert told.json() == {"type": kind.type, "title": kind.title, "status": kind.status, "help": kind.help}
    listed = (await standing.reseller("GET", "/problems", **JSON)).json()["data"]
    assert [each["type"] for each in listed] == [kind.type for kind in problems.all_kinds()]
    for accept in ("text/html,application/json;q=0.9", "*/*", "text/html;q=inf", ""):
        page = await standing.reseller("GET", "/problems/not-found", Accept=accept)
        assert (page.headers["Content-Type"], page.headers["Vary"]) == ("text/html; charset=utf-8", "Accept")
    assert (await standing.reseller("GET", "/problems/nothing", **JSON)).problem == "not-found"


async def test_a_statement_that_cannot_be_read_is_a_problem(database_url: str, api: Native) -> None:
    owner = await asyncpg.connect(database_url)
    async with owner.transaction():
        await owner.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        refused = await api("GET", "/v1/ledger/statement?since=2026-01-01T00:00:00Z")
    await owner.close()
    assert (refused.status, refused.problem) == (503, "unavailable")


async def test_a_change_of_what_was_changed_meanwhile_is_refused(db: Database, api: Native, admin: Native) -> None:
    await stock(db, api, admin)
    user = (await api("GET", "/v1/account")).json()["user_id"]
    bodies: dict[str, Any] = {"admin_set_price": {"user": user, "service": 2, "price": "3"}}
    conditional = [operation for operation in OPERATIONS if operation.is_conditional]
    changes = {operation.id for operation in OPERATIONS if operation.method in ("PUT", "PATCH", "DELETE")}
    assert changes - {operation.id for operation in conditional} == WITHOUT_A_READ
    operators = [operation for operation in conditional if operation.scope is Scope.ADMIN]
    known = await known_to(admin, operators)
    own = await known_to(api, [operation for operation in conditional if operation.scope is not Scope.ADMIN])
    for operation in conditional:
        client, ids = (admin, known) if operation in operators else (api, own)
        path = await shown_at(client, operation.path, ids)
        body = bodies.get(operation.id, operation.example)
        for tag in ('"0"', 'W/"0"', '"0", "1"', "garbage"):
            refused = await client(operation.method, path, body, If_Match=tag)
            assert (refused.status, refused.problem) == (412, "changed-meanwhile"), operation.id


async def shown_at(client: Native, path: str, ids: Known) -> str:
    """The path with a name that a GET knows: of some things that is the id, of others the number."""
    found = re.search(r"\{(\w+)\}", path)
    if found is None:
        return path
    for name in ids[found[1]]:
        if (await client("GET", path.format(**{found[1]: name}))).status == 200:
            return path.format(**{found[1]: name})
    raise AssertionError(f"no GET of {path}")
