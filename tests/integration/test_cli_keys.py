"""Keys and tiers by command: terms given, changed and shown, secrets rotated."""

import json
import re
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.integration.test_cli import SECRET, Done, execute

EMAIL = "ann@example.com"


class Gateway(Protocol):
    async def __call__(self, *words: str) -> Done: ...


@pytest.fixture
async def gateway(database_url: str, tmp_path: Path) -> Gateway:
    """With one user."""

    async def run(*words: str) -> Done:
        return await execute(
            *words,
            GATEWAY_DATABASE_URL=database_url,
            GATEWAY_DATA_DIR=str(tmp_path / "data"),
            GATEWAY_SECRET_KEY=SECRET,
        )

    assert (await run("user", "add", EMAIL, "--role", "reseller")).code == 0
    return run


async def shown(gateway: Gateway) -> dict[str, Any]:
    """The only key."""
    (row,) = json.loads((await gateway("key", "list", EMAIL, "--json")).out)
    return dict(row)


async def test_a_key_is_issued_with_terms_that_are_changed_and_shown(gateway: Gateway) -> None:
    issued = await gateway(
        *("key", "issue", EMAIL, "--tier", "pro", "--scope", "orders:write", "--scope", "orders:read"),
        *("--allow-address", "192.0.2.0/24", "--allow-address", "2001:db8::7", "--daily-spend-cap", "12.50"),
        *("--requests-per-minute", "7"),
    )
    assert (issued.code, issued.out[:3]) == (0, "yb_")
    row = await shown(gateway)
    assert row["scopes"] == ["orders:write", "orders:read"]
    assert row["allowed_addresses"] == ["192.0.2.0/24", "2001:db8::7/128"]
    assert (row["daily_spend_cap"], row["spent_today"], row["requests_per_minute"]) == ("12.5", "0", 7)

    changed = await gateway(
        *("key", "set", row["key_id"], "--name", "shop", "--tier", "basic", "--scope", "all", "--allow-address", "any"),
        *("--daily-spend-cap", "none", "--requests-per-minute", "none", "--expires", "2030-01-02", "--json"),
    )
    assert changed.code == 0, changed.err
    after = await shown(gateway)
    assert after == changed.json()
    for name in ("scopes", "allowed_addresses", "daily_spend_cap", "spent_today", "requests_per_minute"):
        assert after[name] is None, name
    assert (after["name"], after["tier"], after["expires_at"]) == ("shop", "basic", "2030-01-02T00:00:00Z")
    table = await gateway("key", "list")
    assert "OLD SECRET ENDS" in table.out


async def test_a_rotation_shows_the_new_secret_alone_and_when_the_old_one_ends(gateway: Gateway) -> None:
    await gateway("key", "issue", EMAIL, "--tier", "pro")
    key_id = (await shown(gateway))["key_id"]
    rotated = await gateway("key", "rotate", key_id, "--overlap", "2h")
    assert re.fullmatch(r"yb_[0-9A-Za-z]{36}\n", rotated.out)
    assert re.search(r"its old secret works until 2\d{3}-", rotated.err)
    assert (await shown(gateway))["previous_expires_at"] is not None
    at_once = (await gateway("key", "rotate", key_id, "--overlap", "0", "--json")).json()
    assert isinstance(at_once, dict)
    assert (at_once["id"], at_once["previous_expires_at"]) == (key_id, None)
    await gateway("key", "revoke", key_id)
    assert (await shown(gateway))["revoked_at"] is not None
    refused = await gateway("key", "rotate", key_id)
    assert (refused.code, refused.err.count("\n")) == (1, 1)


async def test_a_tier_is_added_given_to_keys_and_removed(gateway: Gateway) -> None:
    assert (await gateway("key", "issue", EMAIL, "--tier", "gold")).err == "gateway: no such tier\n"
    assert (await gateway("tier", "set", "gold", "--requests-per-minute", "5000")).code == 0
    assert (await gateway("tier", "set", "pro", "--requests-per-minute", "none")).code == 0
    assert (await gateway("key", "issue", EMAIL, "--tier", "gold")).code == 0
    listed = json.loads((await gateway("tier", "list", "--json")).out)
    assert {row["name"]: (row["requests_per_minute"], row["from"], row["keys"]) for row in listed} == {
        "basic": (60, "settings", 0),
        "enterprise": (6000, "settings", 0),
        "gold": (5000, "database", 1),
        "pro": (600, "settings", 0),
    }
    assert "keys have the tier gold" in (await gateway("tier", "remove", "gold")).err
    assert "stays" in (await gateway("tier", "remove", "basic")).err
    await gateway("key", "set", (await shown(gateway))["key_id"], "--tier", "pro")
    assert (await gateway("tier", "remove", "gold", "--json")).json() == {"name": "gold", "removed": True}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scope", "orders:*"], "'orders:*' is no scope"),
        (["--scope", "admin:*"], "for keys of administrators"),
        (["--daily-spend-cap", "-1"], "0 or more"),
        (["--requests-per-minute", "2000000"], "1 to 1000000"),
    ],
)
async def test_terms_that_make_no_sense_issue_no_key(gateway: Gateway, options: list[str], said: str) -> None:
    refused = await gateway("key", "issue", EMAIL, "--tier", "pro", *options)
    assert refused.code == 1
    assert said in refused.err
    assert (await gateway("key", "list", EMAIL, "--json")).json() == []
