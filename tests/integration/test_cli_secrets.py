"""The commands that rotate secrets and tell how far that is, as processes of their own."""

import json
from typing import Any

import pytest

from gateway.db.engine import Database
from gateway.keyring import Keyring
from tests.integration.test_cli import execute
from tests.support.sealing import NEW, NEW_SECRET, OLD, OLD_SECRET, add_provider, add_webhook


@pytest.fixture
def environ(database_url: str, tmp_path: Any) -> dict[str, str]:
    return {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_DATA_DIR": str(tmp_path / "data"),
        "GATEWAY_SECRET_KEY": f"{NEW_SECRET},{OLD_SECRET}",
    }


async def test_a_row_that_cannot_be_opened_is_named_and_the_others_go_on(db: Database, environ: dict[str, str]) -> None:
    await add_provider(db, "Lost")
    await add_provider(db, "North", "n1")
    await add_provider(db, "South", "s1")
    foreign = Keyring(("a secret that nobody lists any more, long",))
    async with db.transaction() as tx:
        lost = await tx.fetchval("SELECT id FROM providers WHERE name = 'Lost'")
        await tx.execute(
            "UPDATE providers SET api_key_encrypted = $2 WHERE id = $1",
            lost,
            foreign.seal("lost", "providers", "api_key_encrypted", lost),
        )
    webhook_id = await add_webhook(db, "whsec")
    async with db.transaction() as tx:
        await tx.execute("UPDATE webhooks SET secret = 'a secret in the clear'")

    tried = await execute("secrets", "rotate", "--dry-run", "--json", **environ)
    assert tried.code == 1
    done = await execute("secrets", "rotate", **environ)
    assert done.code == 1
    assert done.err.splitlines() == [
        f"gateway: provider Lost: sealed under secret {foreign.kid}, which SECRET_KEY does not list",
        f"gateway: webhook {webhook_id}: not a sealed value of a known version",
    ]
    assert done.out.split() == ["secret_id", NEW.kid, "providers", "2", "webhooks", "0", "left", "2"]

    status = await execute("secrets", "status", "--json", **environ)
    counted = {
        row["secret_id"]: (row["is_listed"], row["providers"], row["webhooks"]) for row in json.loads(status.out)
    }
    assert counted == {
        NEW.kid: (True, 2, 0),
        OLD.kid: (True, 0, 0),
        foreign.kid: (False, 1, 0),
        None: (False, 0, 1),
    }
    table = await execute("secrets", "status", **environ)
    for shown in (done.out, done.err, status.out, table.out, tried.out):
        assert "clear" not in shown
        assert OLD_SECRET not in shown
        assert NEW_SECRET not in shown


async def test_a_rotation_says_what_it_did_as_json(db: Database, environ: dict[str, str]) -> None:
    await add_provider(db, "North")
    done = await execute("secrets", "rotate", "--json", **environ)
    assert done.json() == {
        "dry_run": False,
        "secret_id": NEW.kid,
        "resealed": {"providers": 1, "webhooks": 0},
        "left": [],
    }
