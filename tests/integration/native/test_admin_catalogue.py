"""Operators and the catalogue: services off sale too, what is set by hand, routes, and costs that wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from gateway.db.engine import Database
from tests.support.market import Market, Stocked, listed, open_market
from tests.support.native import Native, audited


@asynccontextmanager
async def open_stocked(db: Database) -> AsyncIterator[Market]:
    """Two providers beside those of the two services that are there: services 11 to 13 and 14."""
    async with db.transaction() as tx:
        await tx.execute("SELECT nextval('services_number_seq') FROM generate_series(1, 10)")
    async with open_market(db) as market:
        await market.add("one", listed(1), listed(2, name="Views 2", category="TikTok"), listed(3), markup="100")
        await market.add("two", listed(1, rate="1.5"), markup="100")
        yield market


@pytest.fixture(scope="module")
def stocked() -> Stocked:
    return open_stocked


async def route_of(admin: Native, number: int, index: int = 0) -> dict[str, Any]:
    route: dict[str, Any] = (await admin("GET", f"/v1/admin/services/{number}")).json()["routes"][index]
    return route


async def test_services_are_listed_and_searched_off_sale_too(admin: Native, market: Market) -> None:
    await market.set(12, is_offered=False)
    for query, numbers in (
        ("", [11, 12, 13, 14]), ("&q=views", [12]), ("&q=lik+insta", []), ("&q=likes+insta", [11, 13, 14]),
        ("&platform=tiktok", [12]), ("&type=views", [12]), ("&category=Instagram", [11, 13, 14]),
        ("&on_sale=false", [12]), ("&offered=true", [11, 13, 14]), (f"&provider={market.ids['two']}", [14]),
        ("&q=%21%26", []),
    ):  # fmt: skip
        found = await admin("GET", f"/v1/admin/services?limit=100{query}")
        assert found.status == 200, query
        assert [row["number"] for row in found.json()["data"] if row["number"] > 10] == numbers, query
    seen: list[int] = []
    after = ""
    while True:
        part = (await admin("GET", f"/v1/admin/services?limit=2{after}")).json()
        seen += [each["number"] for each in part["data"]]
        if not part["has_more"]:
            break
        after = f"&after={part['next']}"
    assert sorted(seen) == [1, 2, 11, 12, 13, 14]


async def test_a_service_is_set_by_hand_and_let_follow_again(admin: Native, market: Market) -> None:
    shown = await admin("GET", "/v1/admin/services/11")
    before = shown.json()
    assert (before["price"], before["hand_set"], before["is_active"]) == ("2", [], True)
    assert [(route["provider"], route["upstream_id"], route["cost"]) for route in before["routes"]] == [
        ("one", "1", "1")
    ]
    body = {"name": "Ours", "price": "0.5", "policy": "cheapest", "max_quantity": 5000, "description": None}
    changed = await admin("PATCH", "/v1/admin/services/11", body, If_Match=shown.headers["ETag"], X_Request_Id="r-1")
    assert changed.status == 200
    after = changed.json()
    assert after["hand_set"] == ["description", "max_quantity", "name", "price"]
    assert (after["name"], after["price"], after["policy"], after["description"]) == ("Ours", "0.5", "cheapest", None)
    assert len(after["notes"]) == 2
    late = await admin("PATCH", "/v1/admin/services/11", {"name": "Late"}, If_Match=shown.headers["ETag"])
    assert (late.status, late.problem) == (412, "changed-meanwhile")
    follows = await admin("PATCH", "/v1/admin/services/11", {"follow": ["price"]})
    assert (follows.json()["price"], follows.json()["notes"]) == ("2", [])
    *_, line = await audited(admin, "services", before["id"])
    assert (line["action"], line["request_id"]) == ("admin_change_service", "r-1")
    assert (line["before"]["name"], line["after"]["name"]) == ("Likes 1", "Ours")


async def test_a_service_goes_off_offer_and_back(admin: Native, api: Native, market: Market) -> None:
    off = await admin("PATCH", "/v1/admin/services/11", {"is_offered": False})
    assert (off.json()["is_active"], off.json()["is_offered"]) == (False, False)
    assert 11 not in [row["number"] for row in (await api("GET", "/v1/services")).json()["data"]]
    assert (await admin("PATCH", "/v1/admin/services/11", {"is_offered": True})).json()["is_active"] is True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"price": 1}, 422),
        ({"price": "-1"}, 422),
        ({"min_quantity": 100, "max_quantity": 10}, 409),
        ({"price": "1", "follow": ["price"]}, 409),
        ({"follow": ["policy"]}, 422),
        ({"name": " Likes"}, 409),
        ({"policy": "any"}, 422),
        ({"number": 7}, 422),
    ],
)
async def test_what_makes_no_sense_changes_nothing(operator: Native, body: dict[str, Any], status: int) -> None:
    before = await operator("GET", "/v1/admin/services/11")
    assert (await operator("PATCH", "/v1/admin/services/11", body)).status == status
    assert (await operator("GET", "/v1/admin/services/11")).body == before.body


async def test_quality_is_told_of_each_route(admin: Native, market: Market) -> None:
    for query, days in (("", 30), ("?days=7", 7)):
        told = await admin("GET", f"/v1/admin/services/11/quality{query}")
        assert (told.status, told.json()["days"], told.json()["summary"]) == (200, days, None)
        assert [route["provider"] for route in told.json()["routes"]] == ["one"]
    assert (await admin("GET", "/v1/admin/services/11/quality?days=8")).status == 422


async def test_a_route_is_added_once_and_put_down(admin: Native, market: Market) -> None:
    body = {"service": 11, "provider": str(market.ids["two"]), "upstream_id": "1", "cost": "1.5", "priority": 5}
    added = await admin("POST", "/v1/admin/routes", body, Idempotency_Key="r")
    assert added.status == 201
    route = added.json()
    assert (route["service"], route["provider"], route["is_source"], route["notes"]) == (11, "two", False, [])
    again = await admin("POST", "/v1/admin/routes", body, Idempotency_Key="r")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (added.body, "true")
    assert (await admin("POST", "/v1/admin/routes", body)).problem == "conflict"
    assert (await route_of(admin, 11))["id"] == route["id"]
    strange = await admin("POST", "/v1/admin/routes", body | {"upstream_id": "99", "cost": "9"})
    assert len(strange.json()["notes"]) == 2
    for missing in ({"service": 99}, {"provider": str(uuid4())}):
        assert (await admin("POST", "/v1/admin/routes", body | missing)).status == 404
    [line] = await audited(admin, "service_routes", route["id"])
    assert (line["action"], line["before"], line["after"]["priority"]) == ("admin_add_route", None, 5)


async def test_routes_are_listed_by_service_and_provider(admin: Native, market: Market) -> None:
    for query, services in (
        ("service=11", [11]), (f"provider={market.ids['one']}", [11, 12, 13]), ("waiting=true", []),
        (f"provider={uuid4()}", []), ("service=99", []),
    ):  # fmt: skip
        found = (await admin("GET", f"/v1/admin/routes?{query}")).json()
        assert [route["service"] for route in found["data"]] == services, query
    first = (await admin("GET", f"/v1/admin/routes?provider={market.ids['one']}&limit=2")).json()
    rest = (await admin("GET", f"/v1/admin/routes?provider={market.ids['one']}&limit=2&after={first['next']}")).json()
    assert [route["service"] for route in first["data"] + rest["data"]] == [11, 12, 13]


async def test_a_route_is_weighted_and_switched(admin: Native, market: Market) -> None:
    route = await route_of(admin, 11)
    path = f"/v1/admin/routes/{route['id']}"
    shown = await admin("GET", path)
    assert shown.json() == route
    changed = await admin(
        "PATCH", path, {"weight": 3, "priority": -2, "is_active": False}, If_Match=shown.headers["ETag"]
    )
    assert changed.json() == route | {"weight": 3, "priority": -2, "is_active": False, "off": "it is switched off"}
    assert (await admin("GET", "/v1/admin/services/11")).json()["is_active"] is False
    late = await admin("PATCH", path, {"weight": 4}, If_Match=shown.headers["ETag"])
    assert (late.status, late.problem) == (412, "changed-meanwhile")
    assert (await admin("PATCH", path, {"is_active": True})).json()["off"] is None
    on, off = await audited(admin, "service_routes", route["id"])
    assert (on["after"], off["before"]) == ({"is_active": True}, {"is_active": True, "priority": 0, "weight": 1})


async def test_a_cost_that_waits_is_accepted_for_its_route_alone(admin: Native, market: Market) -> None:
    market.lists("one", listed(1, rate="3"), listed(2, name="Views 2", category="TikTok"), listed(3, rate="3"))
    await market.sync("one")
    waiting = (await admin("GET", "/v1/admin/routes?waiting=true")).json()["data"]
    assert [(route["service"], route["cost"], route["offered_cost"]) for route in waiting] == [
        (11, "1", "3"), (13, "1", "3")
    ]  # fmt: skip
    path = f"/v1/admin/routes/{waiting[0]['id']}/accept-cost"
    accepted = await admin("POST", path)
    assert (accepted.status, accepted.json()["cost"], accepted.json()["offered_cost"]) == (200, "3", None)
    assert (await admin("GET", "/v1/admin/services/11")).json()["price"] == "6"
    anew = await admin("POST", path)
    assert (anew.status, anew.problem) == (409, "conflict")
    assert [row["service"] for row in (await admin("GET", "/v1/admin/routes?waiting=true")).json()["data"]] == [13]


async def test_a_routes_pause_and_its_end_are_put_down(admin: Native, market: Market) -> None:
    route = await route_of(admin, 11)
    path = f"/v1/admin/routes/{route['id']}"
    paused = await admin("POST", f"{path}/pause", {"seconds": 60, "reason": "slow"})
    assert (paused.json()["paused_reason"], paused.json()["off"]) == ("slow", None)
    resumed = await admin("POST", f"{path}/resume")
    assert resumed.json() == route
    end, begin = await audited(admin, "service_routes", route["id"])
    assert (begin["action"], begin["reason"], begin["after"]["pause_cause"]) == (
        "admin_pause_route",
        "slow",
        "operator",
    )
    assert end["action"] == "admin_resume_route"


async def test_others_are_kept_out_and_what_never_was_is_not_found(api: Native, admin: Native, market: Market) -> None:
    for method, path, body in (
        ("GET", "services/{}", None), ("PATCH", "services/{}", {}), ("GET", "services/{}/quality", None),
        ("GET", "routes/{}", None), ("PATCH", "routes/{}", {}), ("POST", "routes/{}/pause", {"seconds": 1}),
        ("POST", "routes/{}/resume", None), ("POST", "routes/{}/accept-cost", None),
    ):  # fmt: skip
        answers = [
            await admin(method, f"/v1/admin/{path.format(name)}", body)
            for name in ("99", uuid4(), "none", "01", "99999999999", "%31%00")
        ]
        assert {answer.status for answer in answers} == {404}, path
        assert len({answer.body for answer in answers}) == 1
        refused = await api(method, f"/v1/admin/{path.format(11)}", body)
        assert (refused.status, refused.problem) == (403, "forbidden")
