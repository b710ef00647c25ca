"""Operators: users, their keys, their money and tiers, each change once and in the audit log."""

from typing import Any
from uuid import uuid4

import pytest

from gateway.api.reference.openapi import describe
from gateway.api.v1.router import OPERATIONS
from gateway.db.engine import Database
from tests.support.accounts import assert_ledger_is_clean
from tests.support.faults import eventually
from tests.support.native import Native

ORDER = {"service": 1, "link": "https://example.com/p/1", "quantity": 100}


async def made(admin: Native, **terms: object) -> tuple[dict[str, Any], dict[str, Any], Native]:
    """A user, his wallet and a client with a key of his."""
    body = {"email": f"{uuid4().hex}@example.com", "role": "reseller"}
    user = (await admin("POST", "/v1/admin/users", body)).json()
    key = await admin("POST", "/v1/admin/keys", {"user": user["id"], "name": "shop", "tier": "enterprise", **terms})
    assert key.status == 201, key.body
    [wallet] = (await admin("GET", f"/v1/admin/wallets?user={user['id']}")).json()["data"]
    return user, wallet, Native(admin.http, admin.url, key.json()["key"])


async def audited(admin: Native, object_type: str, object_id: str) -> list[dict[str, Any]]:
    path = f"/v1/admin/audit?object_type={object_type}&object_id={object_id}"
    lines: list[dict[str, Any]] = (await admin("GET", path)).json()["data"]
    return lines


async def test_a_new_reseller_gets_money_and_orders(db: Database, admin: Native) -> None:
    _, wallet, shop = await made(admin)
    refused = await shop("POST", "/v1/orders", ORDER)
    assert (refused.status, refused.problem) == (402, "insufficient-funds")
    body = {"amount": "12.50", "reference": "invoice 7", "note": "bank"}
    path = f"/v1/admin/wallets/{wallet['id']}"
    booked = await admin("POST", f"{path}/deposits", body, Idempotency_Key="d")
    assert (booked.status, booked.json()["available"]) == (201, "12.5")
    again = await admin("POST", f"{path}/deposits", body, Idempotency_Key="d")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (booked.body, "true")
    twice = await admin("POST", f"{path}/deposits", body)
    assert (twice.status, twice.problem) == (409, "already-booked")
    [line] = (await admin("GET", f"{path}/ledger")).json()["data"]
    assert twice.json()["entry"] == {name: line[name] for name in ("id", "amount", "created_at")}
    other = await admin("POST", f"{path}/deposits", body | {"amount": "12.51"})
    assert (other.status, other.problem, other.json()["entry"]["id"]) == (409, "reference-taken", line["id"])
    assert (await shop("POST", "/v1/orders", ORDER)).status == 201
    for end, amount, available in (("withdrawals", "2", "10.41"), ("fees", "0.41", "10"), ("refunds", "1", "11")):
        moved = await admin("POST", f"{path}/{end}", {"amount": amount, "reference": "r"})
        assert (moved.status, moved.json()["available"]) == (201, available)
    beyond = await admin("POST", f"{path}/withdrawals", {"amount": "11.00000001", "reference": "r 2"})
    assert (beyond.status, beyond.problem) == (402, "insufficient-funds")
    types = [line["type"] for line in (await admin("GET", f"{path}/ledger")).json()["data"]]
    assert types == ["refund", "fee", "withdraw", "hold", "hold", "deposit"]
    assert [line["action"] for line in await audited(admin, "wallets", wallet["id"])][:3] == [
        "admin_refund_wallet", "admin_charge_fee", "admin_withdraw",
    ]  # fmt: skip
    await assert_ledger_is_clean(db)


@pytest.mark.parametrize("amount", ["0", "0.00", "-1", "1e3", "1.123456789", 5, "NaN", "1000000000000"])
async def test_an_amount_is_plain_digits(admin: Native, amount: object) -> None:
    _, wallet, _ = await made(admin)
    refused = await admin("POST", f"/v1/admin/wallets/{wallet['id']}/deposits", {"amount": amount, "reference": "r"})
    assert (refused.status, refused.problem) == (422, "invalid")
    assert [fault["path"] for fault in refused.json()["errors"]] == ["$.amount"]


async def test_a_suspension_is_in_force_within_a_second_and_put_down(admin: Native) -> None:
    user, _, shop = await made(admin)
    assert (await shop("GET", "/v1/orders")).status == 200
    path = f"/v1/admin/users/{user['id']}"
    tag = (await admin("GET", path)).headers["ETag"]
    body = {"status": "suspended", "reason": "chargeback"}
    assert (await admin("PATCH", path, body, If_Match=tag)).json()["status"] == "suspended"
    assert (await admin("PATCH", path, body, If_Match=tag)).status == 412

    async def is_out() -> bool:
        return (await shop("GET", "/v1/orders")).status == 401

    await eventually(is_out)
    line = (await audited(admin, "users", user["id"]))[0]
    assert (line["before"], line["after"], line["reason"]) == (
        {"status": "active"}, {"status": "suspended"}, "chargeback",
    )  # fmt: skip


async def test_the_last_administrator_stays(admin: Native) -> None:
    [me] = (await admin("GET", "/v1/admin/users?role=admin")).json()["data"]
    for change in ({"role": "user"}, {"status": "banned"}):
        refused = await admin("PATCH", f"/v1/admin/users/{me['id']}", change)
        assert (refused.status, refused.problem) == (409, "conflict")
    second = {"email": "bob@example.com", "role": "admin", "password": "correct horse battery"}
    added = await admin("POST", "/v1/admin/users", second)
    assert (added.status, added.json()["has_password"]) == (201, True)
    assert (await admin("POST", "/v1/admin/users", second)).status == 409
    told = str(await audited(admin, "users", added.json()["id"]))
    assert "argon2" not in told
    assert (await admin("PATCH", f"/v1/admin/users/{me['id']}", {"role": "user"})).status == 200


async def test_limits_are_data_with_a_tier_and_a_key_of_its_own(admin: Native) -> None:
    _, _, shop = await made(admin, tier="pro")
    assert (await admin("PUT", "/v1/admin/tiers/pro", {"requests_per_minute": 77})).json()["requests_per_minute"] == 77

    async def has(limit: int) -> bool:
        return f"q={limit};" in (await shop("GET", "/v1/orders")).headers["RateLimit-Policy"]

    await eventually(lambda: has(77))
    key = (await admin("GET", f"/v1/admin/keys?user={await whose(shop)}")).json()["data"][0]
    await admin("PATCH", f"/v1/admin/keys/{key['id']}", {"requests_per_minute": 88})
    await eventually(lambda: has(88))
    await admin("PATCH", f"/v1/admin/keys/{key['id']}", {"requests_per_minute": None})
    await eventually(lambda: has(77))
    assert (await admin("PUT", "/v1/admin/tiers/gold", {"requests_per_minute": None})).status == 409
    assert (await admin("PUT", "/v1/admin/tiers/gold", {"requests_per_minute": 9})).status == 200
    shown = await admin("GET", "/v1/admin/tiers/gold")
    assert shown.json() == {"name": "gold", "requests_per_minute": 9, "keys": 0}
    tag = shown.headers["ETag"]
    assert (await admin("PUT", "/v1/admin/tiers/gold", {"requests_per_minute": 8}, If_Match=tag)).status == 200
    assert (await admin("PUT", "/v1/admin/tiers/gold", {"requests_per_minute": 7}, If_Match=tag)).status == 412
    assert (await admin("PUT", "/v1/admin/tiers/new", {"requests_per_minute": 7}, If_Match="*")).status == 412
    assert (await admin("DELETE", "/v1/admin/tiers/gold", If_Match=tag)).status == 412
    assert (await admin("DELETE", "/v1/admin/tiers/gold")).status == 204
    assert (await admin("DELETE", "/v1/admin/tiers/gold")).status == 404
    assert (await admin("DELETE", "/v1/admin/tiers/pro")).status == 409
    assert (await admin("PUT", "/v1/admin/tiers/%00", {"requests_per_minute": 9})).status == 422
    assert (await admin("DELETE", "/v1/admin/tiers/%00")).status == 404


async def whose(shop: Native) -> str:
    user_id: str = (await shop("GET", "/v1/account")).json()["user_id"]
    return user_id


async def test_a_low_balance_is_told_once_it_is_crossed(db: Database, admin: Native) -> None:
    _, wallet, shop = await made(admin)
    path = f"/v1/admin/wallets/{wallet['id']}"
    await admin("POST", f"{path}/deposits", {"amount": "1", "reference": "r"})
    assert (await admin("PATCH", path, {"low_balance": "0.95"})).json()["low_balance"] == "0.95"
    for _ in range(3):
        assert (await shop("POST", "/v1/orders", ORDER)).status == 201
    await admin("POST", f"{path}/deposits", {"amount": "1", "reference": "s"})
    for amount, reference in (("1.2", "t"), ("0.1", "u")):
        assert (await admin("POST", f"{path}/fees", {"amount": amount, "reference": reference})).status == 201
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT data, sequence FROM events WHERE type = 'balance.low' ORDER BY sequence")
    assert [(row["data"], row["sequence"]) for row in rows] == [
        ({"currency": "USD", "available": "0.91", "threshold": "0.95"}, 1),
        ({"currency": "USD", "available": "0.53", "threshold": "0.95"}, 2),
    ]


async def test_a_glance_and_what_was_earned(admin: Native) -> None:
    _, wallet, shop = await made(admin)
    await admin("POST", f"/v1/admin/wallets/{wallet['id']}/deposits", {"amount": "1", "reference": "r"})
    await shop("POST", "/v1/orders", ORDER)
    stats = (await admin("GET", "/v1/admin/stats?hours=1")).json()
    assert (stats["placed"], stats["queued"], stats["unknown"]) == ({"pending": 1}, 1, 0)
    assert (await admin("GET", "/v1/admin/margin?by=day")).json() == {"data": []}
    refused = await admin("GET", "/v1/admin/margin?since=2026-02-01&until=2026-01-01")
    assert (refused.status, refused.problem) == (409, "conflict")


async def test_resellers_are_kept_out_of_all_of_it(api: Native) -> None:
    for method, path in (
        ("GET", "users"), ("GET", "wallets"), ("GET", "tiers"), ("GET", "stats"), ("GET", "margin"),
        ("GET", f"keys?user={uuid4()}"), ("GET", f"users/{uuid4()}"), ("DELETE", f"keys/{uuid4()}"),
    ):  # fmt: skip
        refused = await api(method, f"/v1/admin/{path}")
        assert (refused.status, refused.problem) == (403, "forbidden")


async def test_a_reference_with_a_line_break_is_no_second_payment(admin: Native) -> None:
    _, wallet, _ = await made(admin)
    path = f"/v1/admin/wallets/{wallet['id']}"
    assert (await admin("POST", f"{path}/deposits", {"amount": "5", "reference": "invoice 7"})).status == 201
    for body in (
        {"amount": "5", "reference": "invoice 7\n"}, {"amount": "5\n", "reference": "r"},
        {"amount": "\u0663", "reference": "r"}, {"amount": "5", "reference": "invoice 7 "},
    ):  # fmt: skip
        refused = await admin("POST", f"{path}/deposits", body)
        assert (refused.status, refused.problem) == (422, "invalid")
    assert (await admin("PATCH", path, {"low_balance": "5\n"})).status == 422
    assert (await admin("GET", path)).json()["balance"] == "5"


def patterns_in(told: Any) -> set[str]:
    """Of all the forms in a description."""
    if isinstance(told, list):
        return {each for part in told for each in patterns_in(part)}
    if not isinstance(told, dict):
        return set()
    found = {told["pattern"]} if isinstance(told.get("pattern"), str) else set()
    return found | {each for part in told.values() for each in patterns_in(part)}


def test_no_pattern_lets_a_line_break_or_foreign_digits_through() -> None:
    patterns = patterns_in(describe(OPERATIONS)["components"]["schemas"])
    assert patterns
    assert [each for each in patterns if not each.endswith(r"$(?!\n)") or r"\d" in each] == []
