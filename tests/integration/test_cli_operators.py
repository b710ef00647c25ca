"""Operators' commands for money, users, webhooks and the audit log, as real processes."""

from typing import Any

from gateway.db.engine import Database
from tests.integration.test_cli import Gateway, gateway
from tests.support.accounts import assert_ledger_is_clean

__all__ = ["gateway"]
EMAIL = "shop@example.com"


async def said(gateway: Gateway, *words: str) -> Any:
    return (await gateway(*words, "--json")).json()


async def test_money_goes_in_and_out_and_is_put_down(db: Database, gateway: Gateway) -> None:
    await said(gateway, "user", "add", EMAIL, "--role", "reseller")
    await said(gateway, "wallet", "deposit", EMAIL, "10", "--reference", "r 1")
    assert (await said(gateway, "wallet", "withdraw", EMAIL, "2.5", "--reference", "r 1"))["spendable"] == "7.5"
    assert (await said(gateway, "wallet", "fee", EMAIL, "0.5", "--note", "late"))["spendable"] == "7"
    assert (await said(gateway, "wallet", "refund", EMAIL, "1", "--reference", "r 1"))["spendable"] == "8"
    twice = await gateway("wallet", "refund", EMAIL, "1", "--reference", "r 1")
    assert (twice.code, twice.err.strip().count("\n")) == (1, 0)
    assert "booked already, with the reference r 1: refund of 1 (entry " in twice.err
    other = await gateway("wallet", "refund", EMAIL, "1.5", "--reference", "r 1")
    assert (other.code, "the reference r 1 stands for other money: refund of 1 (entry " in other.err) == (1, True)
    beyond = await gateway("wallet", "withdraw", EMAIL, "8.00000001")
    assert beyond.code == 1
    for _ in range(2):
        other = await gateway("wallet", "statement", EMAIL, "--since", "2026-01-01", "--currency", "UDS")
        assert (other.code, "a wallet of shop@example.com in UDS not found" in other.err) == (1, True)
    rows = await said(gateway, "wallet", "statement", EMAIL, "--since", "2026-01-01")
    assert [row["type"] for row in rows] == ["opening", "deposit", "hold", "withdraw", "fee", "refund", "closing"]
    assert rows[-1]["balance"] == "8"
    lines = await said(gateway, "audit", "--object-type", "wallets")
    assert [line["action"] for line in lines[:3]] == ["wallet refund", "wallet fee", "wallet withdraw"]
    assert all(line["actor"] == "operator" and "(command line)" in line["actor_name"] for line in lines)
    await assert_ledger_is_clean(db)


async def test_users_are_listed_and_given_roles(gateway: Gateway) -> None:
    await said(gateway, "user", "add", "ann@example.com", "--role", "admin")
    await said(gateway, "user", "add", EMAIL, "--role", "reseller")
    assert [user["email"] for user in await said(gateway, "user", "list", "--role", "admin")] == ["ann@example.com"]
    last = await gateway("user", "role", "ann@example.com", "user")
    assert (last.code, "last active administrator" in last.err) == (1, True)
    await said(gateway, "user", "role", EMAIL, "admin")
    assert (await said(gateway, "user", "role", "ann@example.com", "user"))["role"] == "user"


async def test_webhooks_are_made_tried_and_removed(gateway: Gateway) -> None:
    await said(gateway, "user", "add", EMAIL, "--role", "reseller")
    made = await said(gateway, "webhook", "add", EMAIL, "http://127.0.0.1:9/hook", "--event", "order.*")
    assert made["secret"].startswith("whsec_")
    [listed] = await said(gateway, "webhook", "list", EMAIL)
    assert (listed["id"], listed["events"]) == (made["id"], ["order.*"])
    rotated = await said(gateway, "webhook", "rotate", made["id"], "--overlap", "1h")
    assert rotated["secret"] != made["secret"]
    await said(gateway, "webhook", "ping", made["id"])
    [delivery] = await said(gateway, "webhook", "deliveries", made["id"])
    assert (delivery["event_type"], delivery["state"]) == ("webhook.ping", "pending")
    assert (await said(gateway, "webhook", "set", made["id"], "--off"))["is_active"] is False
    assert (await said(gateway, "webhook", "deliveries", made["id"]))[0]["state"] == "dropped"
    await said(gateway, "webhook", "set", made["id"], "--on")
    assert await said(gateway, "webhook", "replay", made["id"], "--since", "2026-01-01") == {"count": 1}
    assert await said(gateway, "webhook", "replay", made["id"], "--delivery", delivery["id"]) == {"count": 0}
    assert (await gateway("webhook", "replay", made["id"])).code == 2
    shown = await said(gateway, "webhook", "delivery", made["id"], delivery["id"])
    assert (shown["body"]["type"], shown["state"], shown["attempts"]) == ("webhook.ping", "pending", [])
    assert (await said(gateway, "webhook", "statistics", made["id"]))["waiting"] == 1
    refused = await gateway("webhook", "add", EMAIL, "ftp://example.com", "--event", "*")
    assert (refused.code, refused.err.strip().count("\n")) == (1, 0)
    await said(gateway, "webhook", "remove", made["id"])
    assert await said(gateway, "webhook", "list") == []
