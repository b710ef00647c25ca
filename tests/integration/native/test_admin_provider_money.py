"""Operators and money at providers: the balance and how long it lasts, deposits entered once, days, and quality."""

from typing import Any
from uuid import uuid4

import pytest

from gateway.clock import utc_now
from gateway.db.engine import Database
from tests.support.native import Native, Standing


async def path_of_provider(db: Database) -> str:
    """That of service 1."""
    async with db.connection() as connection:
        provider_id = await connection.fetchval("SELECT id FROM providers WHERE name = 'upstream 1'")
    return f"/v1/admin/providers/{provider_id}"


@pytest.fixture
async def path(db: Database, admin: Native) -> str:
    return await path_of_provider(db)


async def test_the_balance_is_told_with_the_days_that_it_lasts(db: Database, admin: Native, path: str) -> None:
    empty = {"currency": "USD", "balance": None, "balance_at": None, "low_balance": None, "daily_spend": "0",
             "days_left": None, "routes_paused": 0}  # fmt: skip
    assert (await admin("GET", f"{path}/balance")).json() == empty
    assert (await admin("PATCH", path, {"low_balance": "5"})).status == 200
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET balance = 12.5, balance_at = now()")
    told = (await admin("GET", f"{path}/balance")).json()
    assert (told["balance"], told["low_balance"], told["days_left"]) == ("12.5", "5", None)


async def test_a_deposit_is_entered_once_listed_and_put_down(admin: Native, path: str) -> None:
    body = {"amount": "100.5", "reference": "invoice 1", "at": "2026-01-02T03:04:05+02:00"}
    entered = await admin("POST", f"{path}/deposits", body, Idempotency_Key="d")
    assert (entered.status, entered.json()) == (
        201, {"amount": "100.5", "reference": "invoice 1", "at": "2026-01-02T01:04:05Z", "entered": True},
    )  # fmt: skip
    again = await admin("POST", f"{path}/deposits", body, Idempotency_Key="d")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (entered.body, "true")
    same = await admin("POST", f"{path}/deposits", body)
    assert (same.status, same.json()["entered"]) == (201, False)
    other = await admin("POST", f"{path}/deposits", body | {"amount": "1"})
    assert (other.status, other.problem) == (409, "conflict")
    assert (await admin("POST", f"{path}/deposits", {"amount": "-20", "reference": "taken out"})).status == 201
    first = (await admin("GET", f"{path}/deposits?limit=1")).json()
    rest = (await admin("GET", f"{path}/deposits?limit=1&after={first['next']}")).json()
    assert [row["amount"] for row in first["data"] + rest["data"]] == ["-20", "100.5"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    lines = (await admin("GET", "/v1/admin/audit?object_type=provider_deposits")).json()["data"]
    assert [(line["action"], line["after"]["amount"]) for line in lines] == [
        ("admin_enter_provider_deposit", "-20"), ("admin_enter_provider_deposit", "100.5"),
    ]  # fmt: skip
    assert {line["object_id"] for line in lines} == {path.rpartition("/")[2]}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"amount": "0"}, 409),
        ({"amount": 5}, 422),
        ({"at": "2026-01-02T03:04:05"}, 422),
        ({"at": "0001-01-01T00:00:00+14:00"}, 422),
        ({"at": "9999-12-31T23:59:59-14:00"}, 422),
        ({"at": "8999-12-31T23:59:59-14:00"}, 409),
        ({"reference": ""}, 422),
        ({"reference": " "}, 422),
    ],
)
async def test_what_is_no_deposit_is_refused(standing: Standing, changes: dict[str, Any], status: int) -> None:
    path = f"{await path_of_provider(standing.db)}/deposits"
    body = {"amount": "1", "reference": "r"} | changes
    assert (await standing.admin("POST", path, body)).status == status
    assert (await standing.admin("GET", path)).json()["data"] == []


async def test_days_are_told_with_what_is_missing(db: Database, admin: Native, path: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET created_at = now() - interval '3 days'")
        await tx.execute(
            "INSERT INTO provider_days (provider_id, day, opening, closing, deposits, charged, returned, difference)"
            " SELECT id, (now() AT TIME ZONE 'UTC')::date - 1, 10, 8, 0, 1.5, 0, -0.5 FROM providers WHERE name = $1",
            "upstream 1",
        )
    days = (await admin("GET", f"{path}/days")).json()
    assert (days["currency"], len(days["reasons"]) > 1) == ("USD", True)
    assert [(day["difference"], day["missing"]) for day in days["data"]] == [
        ("-0.5", None), (None, "no reading near its start"), (None, "no reading near its start"),
    ]  # fmt: skip
    today = utc_now().date().isoformat()
    assert (await admin("GET", f"{path}/days?since={today}")).json()["data"] == []
    assert (await admin("GET", f"{path}/charges?since={today}&limit=5")).json() == {"currency": "USD", "data": []}
    for query in ("days?since=2001-01-01", "days?since=yesterday", "charges?since=0001-01-01", "charges?limit=0"):
        assert (await admin("GET", f"{path}/{query}")).status == 422


async def test_quality_counts_the_providers_own_orders(db: Database, admin: Native, path: str) -> None:
    assert (await admin("GET", f"{path}/quality?days=7")).json() == {"days": 7, "summary": None}
    async with db.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO quality_days
                   (route_id, service_id, day, completed, partial, cancelled, refills, starts, finishes)
            SELECT r.id, r.service_id, (now() AT TIME ZONE 'UTC')::date,
                   CASE p.name WHEN 'upstream 1' THEN 15 ELSE 7 END, 5, 0, 0, '{}', '{}'
              FROM service_routes r JOIN providers p ON p.id = r.provider_id
            """
        )
    summary = (await admin("GET", f"{path}/quality")).json()["summary"]
    assert (summary["orders"], summary["completed_share"]) == (20, 0.75)


async def test_others_are_kept_out_and_what_never_was_is_not_found(api: Native, admin: Native) -> None:
    for method, name, body in (
        ("GET", "balance", None), ("GET", "deposits", None), ("GET", "days", None), ("GET", "charges", None),
        ("GET", "quality", None), ("POST", "deposits", {"amount": "1", "reference": "r"}),
    ):  # fmt: skip
        answers = [await admin(method, f"/v1/admin/providers/{each}/{name}", body) for each in (uuid4(), "none")]
        assert {answer.status for answer in answers} == {404}
        assert answers[0].body == answers[1].body
        assert (await api(method, f"/v1/admin/providers/{uuid4()}/{name}", body)).problem == "forbidden"
