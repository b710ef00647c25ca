"""Operators and prices: markups that hold at once, and what single users pay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from gateway.db.engine import Database
from tests.support.market import Market, Stocked, listed, open_market
from tests.support.native import Native, audited

MARKUPS, PRICES = "/v1/admin/prices/markups", "/v1/admin/prices/custom"


@asynccontextmanager
async def open_stocked(db: Database) -> AsyncIterator[Market]:
    """A provider with services 11 and 12, sold at what they cost."""
    async with db.transaction() as tx:
        await tx.execute("SELECT nextval('services_number_seq') FROM generate_series(1, 10)")
    async with open_market(db) as market:
        await market.add("one", listed(1), listed(2, category="TikTok"))
        yield market


@pytest.fixture(scope="module")
def stocked() -> Stocked:
    return open_stocked


async def test_a_markup_holds_at_once_until_it_is_taken_away(admin: Native, market: Market) -> None:
    category = await admin("PUT", MARKUPS, {"category": "Instagram", "percent": "50"})
    assert (category.status, category.json()["changed"]) == (200, 1)
    service = await admin("PUT", MARKUPS, {"service": 11, "percent": "10", "fixed": "0.5"})
    assert [str(await market.price(number)) for number in (11, 12)] == ["1.60000000", "1.00000000"]
    there = await admin("PUT", MARKUPS, {"category": "TikTok", "provider": str(market.ids["one"]), "percent": "20"})
    assert (there.json()["provider_id"], there.json()["fixed"]) == (str(market.ids["one"]), "0")
    listed_ones = (await admin("GET", f"{MARKUPS}?limit=2")).json()
    rest = (await admin("GET", f"{MARKUPS}?limit=2&after={listed_ones['next']}")).json()
    shown = listed_ones["data"] + rest["data"]
    assert [(row["category"], row["service"], row["percent"]) for row in shown] == [
        ("Instagram", None, "50"), (None, 11, "10"), ("TikTok", None, "20"),
    ]  # fmt: skip
    path = f"{MARKUPS}/{service.json()['id']}"
    assert (await admin("GET", path)).json() == shown[1]
    dropped = await admin("DELETE", path)
    assert (dropped.status, dropped.body) == (204, b"")
    assert str(await market.price(11)) == "1.50000000"
    assert (await admin("DELETE", path)).status == 404
    end, begin = await audited(admin, "markups", service.json()["id"])
    assert (begin["action"], begin["after"]["percent"]) == ("admin_set_markup", "10.0000")
    assert (end["action"], end["after"]) == ("admin_drop_markup", None)


async def test_a_markup_is_set_again_as_it_was_read(admin: Native, market: Market) -> None:
    first = (await admin("PUT", MARKUPS, {"service": 11, "percent": "10"})).json()
    etag = (await admin("GET", f"{MARKUPS}/{first['id']}")).headers["ETag"]
    second = await admin("PUT", MARKUPS, {"service": 11, "percent": "20"}, If_Match=etag)
    assert (second.json()["id"], second.json()["percent"]) == (first["id"], "20")
    for late in (
        await admin("PUT", MARKUPS, {"service": 11, "percent": "30"}, If_Match=etag),
        await admin("PUT", MARKUPS, {"service": 12, "percent": "30"}, If_Match=etag),
        await admin("DELETE", f"{MARKUPS}/{first['id']}", If_Match=etag),
    ):
        assert (late.status, late.problem) == (412, "changed-meanwhile")


async def test_a_users_price_is_what_he_sees_and_pays(admin: Native, api: Native, market: Market) -> None:
    user = (await api("GET", "/v1/account")).json()["user_id"]
    own = await admin("PUT", PRICES, {"user": user, "service": 11, "price": "0.7"})
    assert (own.status, own.json()["price_for_all"], len(own.json()["notes"])) == (200, "1", 1)
    others = await admin("PUT", PRICES, {"user": user, "percent": "-10"})
    seen = {row["number"]: row["price"] for row in (await api("GET", "/v1/services")).json()["data"]}
    assert (seen[11], seen[12]) == ("0.7", "0.9")
    assert [row["id"] for row in (await admin("GET", f"{PRICES}?user={user}")).json()["data"]] == [
        own.json()["id"], others.json()["id"],
    ]  # fmt: skip
    assert (await admin("GET", f"{PRICES}?user={uuid4()}")).json()["data"] == []
    path = f"{PRICES}/{own.json()['id']}"
    etag = (await admin("GET", path)).headers["ETag"]
    changed = await admin("PUT", PRICES, {"user": user, "service": 11, "percent": "5"}, If_Match=etag)
    assert (changed.json()["price"], changed.json()["percent"], changed.json()["notes"]) == (None, "5", [])
    late = await admin("DELETE", path, If_Match=etag)
    assert (late.status, late.problem) == (412, "changed-meanwhile")
    assert (await admin("DELETE", path)).status == 204
    assert (await admin("GET", path)).status == 404
    end, change, begin = await audited(admin, "custom_prices", own.json()["id"])
    assert [line["action"] for line in (begin, change, end)] == ["admin_set_price"] * 2 + ["admin_drop_price"]
    assert (change["before"]["price"], change["after"]["price"]) == ("0.70000000", None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (MARKUPS, {"percent": "1"}, 422),
        (MARKUPS, {"percent": "1", "category": "A", "service": 11}, 422),
        (MARKUPS, {"percent": "-101", "service": 11}, 409),
        (MARKUPS, {"percent": "1", "category": " A"}, 409),
        (MARKUPS, {"percent": "1", "service": 99}, 404),
        (MARKUPS, {"percent": "1", "category": "A", "provider": str(uuid4())}, 404),
        (PRICES, {"service": 11, "price": "1"}, 422),
        (PRICES, {"user": str(uuid4()), "service": 11, "price": "1"}, 404),
        (PRICES, {"user": str(uuid4()), "price": "1"}, 422),
        (PRICES, {"user": str(uuid4()), "service": 11, "price": "1", "percent": "1"}, 422),
    ],
)
async def test_what_does_not_hold_together_is_refused(
    operator: Native, path: str, body: dict[str, Any], status: int
) -> None:
    assert (await operator("PUT", path, body)).status == status
    assert (await operator("GET", path)).json()["data"] == []


async def test_others_are_kept_out_and_what_never_was_is_not_found(api: Native, admin: Native) -> None:
    for path in (MARKUPS, PRICES):
        for method in ("GET", "DELETE"):
            answers = [await admin(method, f"{path}/{name}") for name in (uuid4(), "none")]
            assert {answer.status for answer in answers} == {404}
            assert answers[0].body == answers[1].body
            assert (await api(method, f"{path}/{uuid4()}")).problem == "forbidden"
        assert (await api("GET", path)).problem == "forbidden"
        assert (await api("PUT", path, {"percent": "1"})).problem == "forbidden"
