"""API keys in a rotation of secrets: each moves at its next use, once nothing else needs the old secret."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from gateway.accounts.directory import Directory
from gateway.accounts.keys import issue_key, revoke_key, rotate_key
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import InvalidKey
from gateway.rotation.rotating import rotate, standings
from tests.support.factories import add_user
from tests.support.sealing import BOTH, NEW, OLD, add_provider


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
