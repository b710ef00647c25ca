"""Another secret for a key: the overlap, its end, and that nobody is refused meanwhile."""

import asyncio
import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.accounts import store
from gateway.accounts.directory import Directory
from gateway.accounts.keys import list_keys, revoke_key, rotate_key
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import Conflict, Invalid, NotFound
from gateway.keyring import Keyring
from tests.support.keys import KEYRING, NOW, Clock, key, refused, scalar, until, until_refused, user


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[Listener]:
    """Not started yet: what listens is made first."""
    listener = Listener(database_url)
    yield listener
    await listener.stop()


@pytest.fixture
async def directory(db: Database, listener: Listener) -> Directory:
    directory = Directory(db, KEYRING, listener)
    await listener.start()
    await until(lambda: listener.healthy)
    return directory


async def rotate(db: Database, key_id: UUID, overlap_s: int = 3600, keyring: Keyring = KEYRING) -> str:
    async with db.transaction() as tx:
        return await rotate_key(tx, keyring, key_id, overlap_s)


async def test_both_secrets_are_the_same_key_until_the_overlap_is_over(db: Database, listener: Listener) -> None:
    clock = Clock()
    clock.now = datetime.now(UTC)
    directory = Directory(db, KEYRING, listener, clock)
    await listener.start()
    await until(lambda: listener.healthy)
    await user(db)
    key_id, old = await key(db)
    new = await rotate(db, key_id)
    ends_at = await scalar(db, "SELECT previous_expires_at FROM api_keys")
    assert isinstance(ends_at, datetime)
    for plain in (old, new, old, new):
        assert (await directory.get_account(plain)).key_id == key_id
    assert (await directory.get_account(old)).expires_at == ends_at
    assert (await directory.get_account(new)).expires_at is None
    clock.now = ends_at - timedelta(microseconds=1)
    assert not await refused(directory, old)
    clock.now = ends_at
    assert await refused(directory, old), "an entry by heart must end with the overlap"
    assert not await refused(directory, new)


async def test_without_an_overlap_the_old_secret_ends_at_once(db: Database, directory: Directory) -> None:
    await user(db)
    key_id, old = await key(db)
    await directory.get_account(old)
    new = await rotate(db, key_id, 0)
    await until_refused(directory, old)
    assert not await refused(directory, new)


async def test_a_second_rotation_ends_the_oldest_secret(db: Database, directory: Directory) -> None:
    await user(db)
    key_id, oldest = await key(db)
    older = await rotate(db, key_id)
    await directory.get_account(oldest)
    newest = await rotate(db, key_id)
    await until_refused(directory, oldest)
    assert not await refused(directory, older)
    assert not await refused(directory, newest)


async def test_a_revoked_key_ends_with_both_its_secrets(db: Database, directory: Directory) -> None:
    await user(db)
    key_id, old = await key(db)
    secrets = (old, await rotate(db, key_id))
    for plain in secrets:
        await directory.get_account(plain)
    async with db.transaction() as tx:
        await revoke_key(tx, key_id)
    for plain in secrets:
        await until_refused(directory, plain)
    async with db.connection() as connection:
        (shown,) = await list_keys(connection)
    assert shown.revoked_at is not None
    assert (shown.is_active, shown.previous_expires_at) == (False, None)
    async with db.transaction() as tx:
        await revoke_key(tx, key_id)
    assert await scalar(db, "SELECT revoked_at FROM api_keys") == shown.revoked_at


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_key_that_is_over_gets_no_other_secret(db: Database, end: str) -> None:
    await user(db)
    key_id, _ = await key(db, expires_at=NOW if end == "expired" else None)
    if end == "revoked":
        async with db.transaction() as tx:
            await revoke_key(tx, key_id)
    with pytest.raises(Conflict, match="revoked or has expired"):
        await rotate(db, key_id)
    with pytest.raises(NotFound):
        await rotate(db, uuid4())


@pytest.mark.parametrize("overlap_s", [-1, 30 * 86_400 + 1])
async def test_an_overlap_is_at_most_thirty_days(db: Database, overlap_s: int) -> None:
    await user(db)
    key_id, _ = await key(db)
    with pytest.raises(Invalid, match="30 days"):
        await rotate(db, key_id, overlap_s)


async def test_while_a_key_is_rotated_no_request_with_a_secret_in_force_is_refused(
    db: Database, directory: Directory, database_url: str
) -> None:
    """Ten rotations under a stream of look-ups, by a process that hears of changes and by one that does not."""
    await user(db)
    key_id, first = await key(db)
    deaf = Directory(db, KEYRING, Listener(database_url))
    in_force, over, rounds = [first], asyncio.Event(), [0] * 8

    async def ask(directory: Directory, number: int) -> None:
        while not over.is_set():
            for plain in tuple(in_force):
                assert (await directory.get_account(plain)).key_id == key_id
            rounds[number] += 1
            await asyncio.sleep(0)

    def begun_anew(before: list[int]) -> bool:
        """None asks with a secret any more that was not in force after `before`."""
        return any(task.done() for task in asking) or all(
            now >= then + 2 for now, then in zip(rounds, before, strict=True)
        )

    asking = [asyncio.create_task(ask((directory, deaf)[number % 2], number)) for number in range(8)]
    for _ in range(10):
        del in_force[:-1]
        before = list(rounds)
        await until(functools.partial(begun_anew, before))
        in_force.append(await rotate(db, key_id))
    over.set()
    await asyncio.gather(*asking)
    await deaf.close()


async def test_a_look_up_by_either_secret_reads_no_table_of_keys_from_end_to_end(
    db: Database, database_url: str
) -> None:
    await user(db)
    await key(db)
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "INSERT INTO api_keys (user_id, key_hash, secret_id, name, previous_hash, previous_secret_id, "
        "previous_expires_at) SELECT id, 'new ' || n, 's', 'k', 'old ' || n, 's', now() FROM users, "
        "generate_series(1, 5000) n"
    )
    await owner.execute("ANALYZE")
    await owner.close()
    async with db.transaction() as tx:
        before = await tx.fetchval(SCANS)
        found = await store.find_by_key_hashes(tx, ["new 7", "old 8"])
        assert await tx.fetchval(SCANS) == before
    assert len(found) == 2


SCANS = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'api_keys'"
