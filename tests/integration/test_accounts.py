"""Users, keys and the directory on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import argon2
import pytest

from gateway.accounts.directory import Directory
from gateway.accounts.keys import list_keys, revoke_key
from gateway.accounts.model import Role, UserStatus, new_key
from gateway.accounts.usage import UsageMarks
from gateway.accounts.users import hash_password, set_user_status
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import Conflict, InvalidKey, NotFound, Unavailable
from gateway.keyring import Keyring
from tests.support.keys import (
    EMAIL,
    KEYRING,
    NOW,
    OLD,
    Clock,
    key,
    refused,
    scalar,
    until,
    until_let_in,
    until_refused,
    user,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[Listener]:
    """Not started yet: what listens is made first."""
    listener = Listener(database_url)
    yield listener
    await listener.stop()


@pytest.fixture
async def directory(db: Database, listener: Listener, clock: Clock) -> Directory:
    directory = Directory(db, KEYRING, listener, clock)
    await listener.start()
    await until(lambda: listener.healthy)
    return directory


async def test_a_key_leads_to_its_user_wallet_and_tier(db: Database, directory: Directory) -> None:
    user_id = await user(db)
    key_id, plain = await key(db, tier="enterprise", currency="EUR")
    account = await directory.get_account(plain)
    assert (account.key_id, account.user_id, account.tier) == (key_id, user_id, "enterprise")
    assert (account.currency, account.key_name, account.permissions) == ("EUR", "shop", None)
    wallet = await scalar(db, "SELECT id FROM wallets WHERE user_id = $1 AND currency = 'EUR'", user_id)
    assert account.wallet_id == wallet


@pytest.mark.parametrize("role", ["user", "reseller", "admin"])
async def test_a_user_of_any_role_may_hold_a_key(db: Database, directory: Directory, role: Role) -> None:
    await user(db, role=role)
    _, plain = await key(db)
    assert not await refused(directory, plain)


async def test_a_second_key_of_a_currency_spends_from_the_same_wallet(db: Database, directory: Directory) -> None:
    await user(db)
    accounts = [await directory.get_account((await key(db))[1]) for _ in range(2)]
    assert accounts[0].wallet_id == accounts[1].wallet_id
    assert accounts[0].key_id != accounts[1].key_id


async def test_an_email_is_one_user_in_whatever_case_it_is_written(db: Database) -> None:
    await user(db, "Reseller@Example.com ")
    with pytest.raises(Conflict, match="exists already"):
        await user(db, "RESELLER@example.com")
    assert await key(db, "reseller@EXAMPLE.com")


async def test_nothing_in_the_database_holds_the_key_itself(db: Database) -> None:
    await user(db)
    _, plain = await key(db)
    stored = str(await scalar(db, "SELECT to_jsonb(k)::text FROM api_keys k"))
    assert plain not in stored
    assert plain[3:] not in stored
    assert KEYRING.kid in stored


async def test_a_password_is_stored_as_argon2_and_none_as_a_hash_that_nothing_matches(db: Database) -> None:
    stored = await hash_password("correct horse")
    assert argon2.PasswordHasher().verify(stored, "correct horse")
    unusable = await hash_password(None)
    with pytest.raises(argon2.exceptions.InvalidHashError):
        argon2.PasswordHasher().verify(unusable, "")


async def test_what_does_not_exist_is_said_to_be_missing(db: Database) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await key(db, "nobody@example.com")
    async with db.transaction() as tx:
        with pytest.raises(NotFound):
            await revoke_key(tx, uuid4())
        with pytest.raises(NotFound):
            await set_user_status(tx, "nobody@example.com", "banned")


async def test_a_currency_that_is_none_is_a_clear_refusal(db: Database) -> None:
    await user(db)
    with pytest.raises(Conflict, match="three capital letters"):
        await key(db, currency="dollars")


async def test_a_key_issued_under_the_old_secret_works_while_that_is_listed(db: Database, directory: Directory) -> None:
    await user(db)
    key_id, plain = await key(db, keyring=Keyring((OLD,)))
    for _ in range(2):
        assert (await directory.get_account(plain)).key_id == key_id


@pytest.mark.parametrize(
    "junk", ["", "yb_", "hello", "yb_" + "0" * 36, new_key()], ids=["none", "prefix", "word", "zeros", "never issued"]
)
async def test_malformed_and_unknown_keys_get_the_same_answer(directory: Directory, junk: str) -> None:
    with pytest.raises(InvalidKey) as refusal:
        await directory.get_account(junk)
    assert str(refusal.value) == str(InvalidKey())


async def test_a_revoked_key_is_refused_though_it_was_known_by_heart(db: Database, directory: Directory) -> None:
    await user(db)
    key_id, plain = await key(db)
    await directory.get_account(plain)
    async with db.transaction() as tx:
        await revoke_key(tx, key_id)
    await until_refused(directory, plain)


@pytest.mark.parametrize("status", ["suspended", "banned"])
async def test_a_user_who_may_not_act_is_refused_with_every_key_and_let_in_again(
    db: Database, directory: Directory, status: UserStatus
) -> None:
    await user(db)
    keys = [(await key(db))[1] for _ in range(2)]
    for plain in keys:
        await directory.get_account(plain)
    async with db.transaction() as tx:
        await set_user_status(tx, EMAIL, status)
    for plain in keys:
        await until_refused(directory, plain)
    async with db.transaction() as tx:
        await set_user_status(tx, EMAIL, "active")
    await until_let_in(directory, keys[0])


async def test_a_key_expires_between_two_uses_without_any_news(
    db: Database, directory: Directory, clock: Clock
) -> None:
    await user(db)
    _, plain = await key(db, expires_at=NOW + timedelta(hours=1))
    await directory.get_account(plain)
    clock.now = NOW + timedelta(hours=1)
    assert await refused(directory, plain)


async def test_a_known_key_needs_no_database_until_the_listener_falls_silent(
    db: Database, directory: Directory, listener: Listener
) -> None:
    await user(db)
    _, plain = await key(db)
    known = await directory.get_account(plain)
    await db.close()
    assert await directory.get_account(plain) == known
    await listener.stop()
    await until(lambda: not listener.healthy)
    with pytest.raises(Unavailable):
        await directory.get_account(plain)


async def test_a_wrong_key_that_comes_again_needs_no_database_until_the_listener_falls_silent(
    db: Database, directory: Directory, listener: Listener
) -> None:
    wrong = new_key()
    assert await refused(directory, wrong)
    await db.close()
    assert await refused(directory, wrong)
    await listener.stop()
    await until(lambda: not listener.healthy)
    with pytest.raises(Unavailable):
        await directory.get_account(wrong)


async def test_without_news_every_use_sees_the_database_as_it_is(db: Database, listener: Listener) -> None:
    directory = Directory(db, KEYRING, listener)
    await user(db)
    key_id, plain = await key(db)
    await directory.get_account(plain)
    async with db.transaction() as tx:
        await revoke_key(tx, key_id)
    assert await refused(directory, plain)


async def test_look_ups_that_wait_together_get_each_their_own_account(db: Database, directory: Directory) -> None:
    await user(db)
    issued = [await key(db) for _ in range(20)]
    wrong = [new_key() for _ in range(20)]
    accounts = await asyncio.gather(*(directory.get_account(plain) for _, plain in issued for _ in range(3)))
    assert [account.key_id for account in accounts] == [key_id for key_id, _ in issued for _ in range(3)]
    assert all(await asyncio.gather(*(refused(directory, plain) for plain in wrong)))


async def test_keys_are_listed_without_anything_secret(db: Database) -> None:
    await user(db)
    await user(db, "other@example.com")
    key_id, plain = await key(db)
    await key(db, "other@example.com")
    async with db.transaction() as tx:
        await revoke_key(tx, key_id)
    async with db.connection() as connection:
        (mine,) = await list_keys(connection, "Reseller@example.com")
        assert len(await list_keys(connection)) == 2
    assert (mine.key_id, mine.email, mine.is_active, mine.tier) == (key_id, EMAIL, False, "pro")
    assert plain not in str(mine)


async def test_last_use_is_written_in_batches_and_never_goes_back(db: Database, clock: Clock) -> None:
    await user(db)
    key_id, _ = await key(db)
    marks = UsageMarks(clock)
    marks.mark(key_id)
    marks.mark(uuid4())
    await marks.flush(db)
    assert len(marks) == 0
    clock.now = NOW - timedelta(hours=1)
    marks.mark(key_id)
    await marks.flush(db)
    assert await scalar(db, "SELECT last_used_at FROM api_keys WHERE id = $1", key_id) == NOW


async def test_marking_the_last_use_does_not_make_the_account_unknown(
    db: Database, directory: Directory, clock: Clock
) -> None:
    await user(db)
    key_id, plain = await key(db)
    known = await directory.get_account(plain)
    marks = UsageMarks(clock)
    marks.mark(key_id)
    await marks.flush(db)
    await db.close()
    assert await directory.get_account(plain) == known


async def test_marks_that_could_not_be_written_are_kept(db: Database) -> None:
    marks = UsageMarks()
    marks.mark(uuid4())
    await db.close()
    await marks.flush(db)
    assert len(marks) == 1
