"""What an older secret sealed is sealed under the newest while orders are sent, keys change and processes die."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from compat.wire import Accepted
from gateway.accounts.directory import Directory
from gateway.accounts.keys import issue_key, revoke_key, rotate_key
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.egress import open_session
from gateway.errors import InvalidKey
from gateway.keyring import Keyring
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.rotation import rotating
from gateway.rotation.rotating import rotate, standings
from gateway.settings import Settings
from tests.integration.scripted_panel import open_panel
from tests.integration.test_cli import execute
from tests.support.factories import add_shop, add_user, begin_attempt, place_order

OLD_SECRET, NEW_SECRET = "an-old-secret-of-this-test-long-enough", "a-new-secret-of-this-test-long-enough"
OLD, NEW, BOTH = Keyring((OLD_SECRET,)), Keyring((NEW_SECRET,)), Keyring((NEW_SECRET, OLD_SECRET))
URL = "https://panel.example/api/v2"


async def add_provider(db: Database, name: str, key: str = "k1", url: str = URL) -> UUID:
    async with db.transaction() as tx:
        return await actions.add_provider(tx, OLD, name, url, key, Decimal(25))


async def add_webhook(db: Database, secret: str) -> UUID:
    webhook_id = uuid4()
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO webhooks (id, user_id, url, events, secret) "
            "VALUES ($1, $2, 'https://a.example/?token=clear', '{order.*}', $3)",
            webhook_id,
            await add_user(db),
            OLD.seal(secret, "webhooks", "secret", webhook_id),
        )
    return webhook_id


async def keys(db: Database, keyring: Keyring) -> dict[str, str]:
    """The keys of all providers, in the clear."""
    async with db.connection() as connection:
        names = [row["name"] for row in await connection.fetch("SELECT name FROM providers")]
        return {name: (await actions.get_provider(connection, keyring, name)).api_key for name in names}


async def webhook_secret(db: Database, keyring: Keyring, webhook_id: UUID) -> str:
    async with db.connection() as connection:
        blob = await connection.fetchval("SELECT secret FROM webhooks WHERE id = $1", webhook_id)
    return keyring.unseal(blob, "webhooks", "secret", webhook_id)


async def fields(db: Database, table: str, *columns: str) -> list[tuple[Any, ...]]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id")]


async def test_everything_opens_without_the_old_secret_after_a_rotation(db: Database) -> None:
    await add_provider(db, "North", "n1")
    await add_provider(db, "South", "s1")
    webhook_id = await add_webhook(db, "whsec")
    done = await rotate(db, BOTH)
    assert (done.secret_id, done.resealed, done.left) == (NEW.kid, {"providers": 2, "webhooks": 1}, [])
    assert await keys(db, NEW) == {"North": "n1", "South": "s1"}
    assert await webhook_secret(db, NEW, webhook_id) == "whsec"
    assert (await rotate(db, BOTH)).resealed == {"providers": 0, "webhooks": 0}


async def test_more_rows_than_are_read_at_once_are_all_sealed_anew(db: Database) -> None:
    rows = rotating.ROWS_AT_ONCE * 2 + 1
    for number in range(rows):
        await add_provider(db, f"p{number}", f"k{number}")
    assert (await rotate(db, BOTH)).resealed["providers"] == rows
    assert await keys(db, NEW) == {f"p{number}": f"k{number}" for number in range(rows)}


async def test_a_dry_run_opens_everything_and_writes_nothing(db: Database) -> None:
    await add_provider(db, "North")
    before = await fields(db, "providers", "*")
    done = await rotate(db, BOTH, dry_run=True)
    assert (done.resealed["providers"], done.left) == (1, [])
    assert await fields(db, "providers", "*") == before


async def test_it_is_the_same_key_so_what_was_learnt_of_it_stays(db: Database) -> None:
    shop = await add_shop(db)
    async with db.transaction() as tx:
        await actions.set_api_key(tx, OLD, shop.provider_id, "k1")
        await tx.execute("UPDATE providers SET honours_extension = true")
    await begin_attempt(db, shop, await place_order(db, shop))
    known = await fields(db, "providers", "honours_extension", "is_active", "paused_until", "balance")
    assert await fields(db, "dispatch_attempts", "replayable") == [(True,)]
    await rotate(db, BOTH)
    assert await fields(db, "providers", "honours_extension", "is_active", "paused_until", "balance") == known
    assert await fields(db, "dispatch_attempts", "replayable") == [(True,)]


async def test_a_key_that_is_changed_meanwhile_is_never_overwritten(db: Database) -> None:
    """The change waits uncommitted, by a process that knows only the old secret, while the rotation wants the row."""
    await add_provider(db, "North", "before")
    async with db.connection() as connection:
        provider_id = await connection.fetchval("SELECT id FROM providers")
    async with db.transaction() as tx:
        await actions.set_api_key(tx, OLD, provider_id, "after")
        rotation = asyncio.create_task(rotate(db, BOTH))
        await blocked(db)
    done = await rotation
    assert done.left == []
    assert await keys(db, NEW) == {"North": "after"}


async def test_a_key_that_is_changed_behind_the_rotation_by_a_process_with_the_old_secret_is_sealed_too(
    db: Database,
) -> None:
    first, second = await add_provider(db, "North", "n1"), await add_provider(db, "South", "s1")
    async with db.transaction() as tx:
        await tx.execute("SELECT FROM providers WHERE id = $1 FOR UPDATE", second)
        rotation = asyncio.create_task(rotate(db, BOTH))
        await blocked(db)
        async with db.transaction() as other:
            await actions.set_api_key(other, OLD, first, "n2")
    done = await rotation
    assert (done.resealed["providers"], done.left) == (3, [])
    assert await keys(db, NEW) == {"North": "n2", "South": "s1"}


async def blocked(db: Database) -> None:
    """Until someone waits for a lock."""
    for _ in range(400):
        async with db.connection() as connection:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_a_rotation_that_ended_in_the_middle_leaves_everything_open_and_is_taken_up_again(db: Database) -> None:
    names = [f"p{number}" for number in range(4)]
    ids = [await add_provider(db, name, f"key of {name}") for name in names]
    expected = {name: f"key of {name}" for name in names}
    async with db.transaction() as tx:
        await tx.execute("SELECT FROM providers WHERE id = $1 FOR UPDATE", ids[2])
        rotation = asyncio.create_task(rotate(db, BOTH))
        await blocked(db)
        rotation.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rotation
    under = [row[0].split(".")[1] for row in await fields(db, "providers", "api_key_encrypted")]
    assert under == [NEW.kid, NEW.kid, OLD.kid, OLD.kid]
    assert await keys(db, BOTH) == expected
    assert (await rotate(db, BOTH)).resealed["providers"] == 2
    assert await keys(db, NEW) == expected


async def test_a_row_that_others_hold_is_left_and_named(db: Database) -> None:
    held, _ = await add_provider(db, "North"), await add_provider(db, "South", "s1")
    async with db.transaction() as tx:
        await tx.execute("SELECT FROM providers WHERE id = $1 FOR UPDATE", held)
        done = await rotate(db, BOTH)
    assert done.resealed["providers"] == 1
    assert [(row.label, row.reason) for row in done.left] == [("North", "in use or changed by others all the time")]


async def test_sends_and_refreshes_go_on_through_a_rotation(db: Database) -> None:
    settings = Settings(provider_max_in_flight=4, send_timeout_s=5.0, send_lease_s=20.0, poll_timeout_s=5.0)
    async with open_panel() as panel, open_session(allow_private=True, limit=10) as session:
        panel.answers["add"] = {"order": 77}
        provider_id = await add_provider(db, "North", "n1", panel.url)
        for number in range(30):
            await add_provider(db, f"other {number}")
        upstreams = Upstreams(db, BOTH, session, settings)
        await upstreams.refresh()
        over = asyncio.Event()
        seen: list[bool] = []

        async def refresh() -> None:
            while not over.is_set():
                await upstreams.refresh()
                seen.append(provider_id in upstreams.ready() and len(upstreams.ready()) == 31)

        async def send() -> list[object]:
            outcomes = []
            while not over.is_set() or len(outcomes) < 5:
                outcomes.append(await upstreams.add(provider_id, "1", {}))
            return outcomes

        refreshing, sending = asyncio.create_task(refresh()), asyncio.create_task(send())
        done = await rotate(db, BOTH)
        over.set()
        await refreshing
        outcomes = await sending
        assert (done.resealed["providers"], done.left) == (31, [])
        assert seen
        assert all(seen)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        afterwards = Upstreams(db, NEW, session, settings)
        await afterwards.refresh()
        assert len(afterwards.ready()) == 31


# API keys ------------------------------------------------------------------------------------


@pytest.fixture
async def directory(db: Database, database_url: str) -> AsyncIterator[Directory]:
    listener = Listener(database_url)
    directory = Directory(db, BOTH, listener)
    yield directory
    await directory.close()


async def old_key(db: Database) -> tuple[UUID, str]:
    user_id = await add_user(db)
    async with db.transaction() as tx:
        email = await tx.fetchval("SELECT email FROM users WHERE id = $1", user_id)
        return await issue_key(tx, OLD, email, "pro", "shop", "USD", None)


async def needed(db: Database) -> dict[str | None, tuple[int, int, int]]:
    found = await standings(db, BOTH)
    return {each.secret_id: (each.providers, each.webhooks, each.api_keys) for each in found}


async def test_a_key_moves_at_its_next_use_once_the_rotation_was_made(db: Database, directory: Directory) -> None:
    await add_provider(db, "North")
    key_id, key = await old_key(db)
    _, unused = await old_key(db)
    assert await needed(db) == {NEW.kid: (0, 0, 0), OLD.kid: (1, 0, 2)}

    await directory.get_account(key)
    await directory.rehash()
    assert await needed(db) == {NEW.kid: (0, 0, 0), OLD.kid: (1, 0, 2)}, "others may know the old secret alone"

    await rotate(db, BOTH)
    assert (await directory.get_account(key)).key_id == key_id
    await directory.rehash()
    assert await needed(db) == {NEW.kid: (1, 0, 1), OLD.kid: (0, 0, 1)}
    assert (await directory.get_account(key)).key_id == key_id

    later = Directory(db, NEW, Listener("postgresql://nowhere"))
    assert (await later.get_account(key)).key_id == key_id
    with pytest.raises(InvalidKey):
        await later.get_account(unused)
    await later.close()


async def test_a_key_is_not_moved_while_a_provider_is_left_under_an_old_secret(
    db: Database, directory: Directory
) -> None:
    await add_provider(db, "North")
    await rotate(db, BOTH)
    await add_provider(db, "South")
    _, key = await old_key(db)
    await directory.get_account(key)
    await directory.rehash()
    assert (await needed(db))[OLD.kid] == (1, 0, 1)


async def test_a_key_that_was_revoked_meanwhile_stays_revoked(db: Database, directory: Directory) -> None:
    await add_provider(db, "North")
    await rotate(db, BOTH)
    key_id, key = await old_key(db)
    await directory.get_account(key)
    async with db.transaction() as tx:
        await revoke_key(tx, key_id)
    await directory.rehash()
    with pytest.raises(InvalidKey):
        await directory.get_account(key)


async def test_a_key_in_rotation_moves_with_both_its_secrets(db: Database, directory: Directory) -> None:
    await add_provider(db, "North")
    key_id, first = await old_key(db)
    async with db.transaction() as tx:
        second = await rotate_key(tx, OLD, key_id, 3600)
    assert (await needed(db))[OLD.kid] == (1, 0, 1)
    await rotate(db, BOTH)
    await directory.get_account(second)
    await directory.rehash()
    assert ((await needed(db))[NEW.kid], (await needed(db))[OLD.kid]) == ((1, 0, 1), (0, 0, 1))
    await asyncio.gather(directory.get_account(first), directory.get_account(second))
    await directory.rehash()
    assert ((await needed(db))[NEW.kid], (await needed(db))[OLD.kid]) == ((1, 0, 1), (0, 0, 0))
    later = Directory(db, NEW, Listener("postgresql://nowhere"))
    for secret in (first, second):
        assert (await later.get_account(secret)).key_id == key_id
    await later.close()


async def test_both_secrets_of_a_key_move_in_one_write(db: Database, directory: Directory) -> None:
    await add_provider(db, "North")
    key_id, first = await old_key(db)
    async with db.transaction() as tx:
        second = await rotate_key(tx, OLD, key_id, 3600)
    await rotate(db, BOTH)
    await asyncio.gather(directory.get_account(first), directory.get_account(second))
    await directory.rehash()
    assert (await needed(db))[OLD.kid] == (0, 0, 0)


async def test_two_processes_move_the_same_keys_at_once(db: Database) -> None:
    await add_provider(db, "North")
    await rotate(db, BOTH)
    issued = [await old_key(db) for _ in range(20)]
    directories = [Directory(db, BOTH, Listener("postgresql://nowhere")) for _ in range(3)]
    for directory in directories:
        await asyncio.gather(*(directory.get_account(key) for _, key in issued))
    await asyncio.gather(*(directory.rehash() for directory in directories))
    assert (await needed(db))[NEW.kid] == (1, 0, 20)
    for directory in directories:
        for key_id, key in issued:
            assert (await directory.get_account(key)).key_id == key_id
        await directory.close()


# The commands --------------------------------------------------------------------------------


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
