"""Operators and the words of providers: taught once, told what they resolve, forgotten, and put down."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.unknowns.teaching import apply_taught
from gateway.orders.model import Dispatch
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_shop, begin_attempt, place_order, read_order
from tests.support.native import Native

WORDS = "This profile is private."


@pytest.fixture
async def shop(db: Database, url: str) -> Shop:
    """Behind the services that are there, which took their numbers by hand."""
    async with db.transaction() as tx:
        await tx.execute("SELECT nextval('services_number_seq') FROM generate_series(1, 10)")
    return await add_shop(db)


@pytest.fixture
def path(shop: Shop) -> str:
    return f"/v1/admin/providers/{shop.provider_id}/words"


async def test_words_are_taught_and_the_worker_resolves_what_they_answered(
    db: Database, admin: Native, shop: Shop, path: str
) -> None:
    order = await place_order(db, shop)
    answer = f'HTTP 200\nContent-Type: application/json\n{{"error": "{WORDS}"}}'
    await record(db, await begin_attempt(db, shop, order), Unknown("an error in unknown words", answer), timedelta())
    body = {"words": WORDS, "meaning": "refused"}
    resolves = [{"order": order.number, "fault": "order", "text": WORDS}]
    told = await admin("POST", path, body | {"dry_run": True})
    assert told.json() == {"words": "this profile is private", "meaning": "refused", "dry_run": True,
                           "resolves": resolves}  # fmt: skip
    assert (await admin("GET", path)).json()["data"] == []
    taught = await admin("POST", path, body, Idempotency_Key="w")
    assert (taught.status, taught.json()["resolves"]) == (200, resolves)
    assert await apply_taught(db) == 1
    assert (await read_order(db, order.number)).dispatch is Dispatch.QUEUED
    again = await admin("POST", path, body, Idempotency_Key="w")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (taught.body, "true")
    await assert_ledger_is_clean(db)


async def test_words_are_listed_by_page_forgotten_and_put_down(admin: Native, shop: Shop, path: str) -> None:
    for words in ("Three", "one", "TWO."):
        assert (await admin("POST", path, {"words": words, "meaning": "passing"})).status == 200
    first = (await admin("GET", f"{path}?limit=2")).json()
    rest = (await admin("GET", f"{path}?limit=2&after={first['next']}")).json()
    assert [row["words"] for row in first["data"] + rest["data"]] == ["one", "three", "two"]
    assert (rest["next"], rest["has_more"]) == (None, False)
    forgot = await admin("DELETE", f"{path}?words=ONE")
    assert (forgot.status, forgot.body) == (204, b"")
    assert (await admin("DELETE", f"{path}?words=one")).status == 404
    lines = (await admin("GET", f"/v1/admin/audit?object_type=taught_words&object_id={shop.provider_id}%20one")).json()
    assert [(line["action"], (line["after"] or {}).get("meaning")) for line in lines["data"]] == [
        ("admin_forget_words", None), ("admin_teach_words", "passing"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"words": " . ", "meaning": "refused"}, 409),
        ({"words": "", "meaning": "refused"}, 422),
        ({"words": "w" * 501, "meaning": "refused"}, 422),
        ({"words": "w", "meaning": "bad"}, 422),
        ({"words": "w"}, 422),
    ],
)
async def test_what_are_no_words_is_refused(admin: Native, path: str, body: dict[str, Any], status: int) -> None:
    assert (await admin("POST", path, body)).status == status
    assert (await admin("GET", path)).json()["data"] == []


async def test_others_are_kept_out_and_what_never_was_is_not_found(api: Native, admin: Native) -> None:
    for method, query, body in (
        ("GET", "", None), ("POST", "", {"words": "w", "meaning": "refused"}), ("DELETE", "?words=w", None),
    ):  # fmt: skip
        answers = [await admin(method, f"/v1/admin/providers/{each}/words{query}", body) for each in (uuid4(), "none")]
        assert {answer.status for answer in answers} == {404}
        assert answers[0].body == answers[1].body
        assert (await api(method, f"/v1/admin/providers/{uuid4()}/words{query}", body)).problem == "forbidden"
