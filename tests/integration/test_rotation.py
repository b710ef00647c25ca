"""What an older secret sealed is sealed under the newest while orders are sent, keys change and processes die."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.rotation import rotating
from gateway.rotation.rotating import rotate
from gateway.settings import Settings
from tests.integration.scripted_panel import open_panel
from tests.support.factories import add_shop, begin_attempt, place_order
from tests.support.sealing import BOTH, NEW, OLD, add_provider, add_webhook


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
