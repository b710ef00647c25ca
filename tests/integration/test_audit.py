"""The audit log: every change of an operator, with who, what and from where, and never a secret."""

from decimal import Decimal

import pytest

from gateway.accounts.keys import issue_key
from gateway.accounts.users import add_user, set_user_status
from gateway.audit import store as audit
from gateway.audit.model import Actor, Record
from gateway.db.engine import Database
from gateway.errors import Conflict
from gateway.keyring import Keyring
from gateway.ledger import booking
from gateway.ledger import store as ledger
from gateway.providers.actions import add_provider
from gateway.providers.words import store as taught
from gateway.providers.words.model import WORDS_CHARS_MAX

OPERATOR = Actor(kind="operator", name="ann (command line)", action="user status", address="192.0.2.7", reason="abuse")
KEYRING = Keyring(("a secret of thirty-two characters!",))


async def records(db: Database, object_type: str) -> list[Record]:
    async with db.connection() as connection:
        return await audit.list_records(
            connection, object_type=object_type, object_id=None, actor_user_id=None, before=None, most=50
        )


async def test_an_operators_change_is_put_down_with_what_was_there(db: Database) -> None:
    async with db.transaction() as tx:
        user_id = await add_user(tx, "eve@example.com", "reseller", "!")
    async with db.acting_as(OPERATOR.to_setting()).transaction() as tx:
        await set_user_status(tx, "eve@example.com", "suspended")
    (line,) = await records(db, "users")
    assert (line.actor, line.actor_name, line.address, line.action) == (
        "operator", "ann (command line)", "192.0.2.7", "user status",
    )  # fmt: skip
    assert (line.object_id, line.reason) == (str(user_id), "abuse")
    assert (line.before, line.after) == ({"status": "active"}, {"status": "suspended"})


async def test_what_is_rolled_back_leaves_no_line(db: Database) -> None:
    acting = db.acting_as(OPERATOR.to_setting())
    with pytest.raises(Conflict):
        await add_twice(acting)
    assert await records(db, "users") == []


async def add_twice(db: Database) -> None:
    async with db.transaction() as tx:
        await add_user(tx, "eve@example.com", "reseller", "!")
        await add_user(tx, "eve@example.com", "reseller", "!")


async def test_nobody_is_named_for_the_next_transaction_of_the_connection(db: Database) -> None:
    async with db.acting_as(OPERATOR.to_setting()).transaction() as tx:
        await add_user(tx, "eve@example.com", "reseller", "!")
    async with db.transaction() as tx:
        await set_user_status(tx, "eve@example.com", "suspended")
    assert len(await records(db, "users")) == 1


async def test_no_secret_is_in_the_log_but_that_it_changed_is(db: Database) -> None:
    acting = db.acting_as(OPERATOR.to_setting())
    async with acting.transaction() as tx:
        user_id = await add_user(tx, "eve@example.com", "reseller", "a hash of a password")
        key_id, key = await issue_key(tx, KEYRING, "eve@example.com", "basic", "main", "USD", None)
        _, key_hash = KEYRING.hash_api_key(key)
        await tx.execute("UPDATE users SET password_hash = 'another hash' WHERE id = $1", user_id)
    changed, added = await records(db, "users")
    assert (changed.before, changed.after) == ({"password_hash": "hidden"}, {"password_hash": "changed"})
    (issued,) = await records(db, "api_keys")
    assert issued.object_id == str(key_id)
    told = repr((changed, added, issued))
    assert not any(secret in told for secret in (key, key_hash, "a hash", "another hash", KEYRING.kid))


async def test_money_is_put_down_to_the_last_digit(db: Database) -> None:
    acting = db.acting_as(OPERATOR.to_setting())
    async with acting.transaction() as tx:
        user_id = await add_user(tx, "eve@example.com", "reseller", "!")
        wallet_id = await ledger.open_wallet(tx, user_id, "USD")
        await booking.deposit(tx, wallet_id, Decimal("123456789012.12345678"))
    changed, _ = await records(db, "wallets")
    assert changed.after == {"balance": "123456789012.12345678", "last_seq": 1}


async def test_the_log_is_append_only(db: Database) -> None:
    import asyncpg

    async with db.acting_as(OPERATOR.to_setting()).transaction() as tx:
        await add_user(tx, "eve@example.com", "reseller", "!")
    for statement in ("UPDATE audit_log SET actor_name = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.transaction() as tx:
                await tx.execute(statement)


async def test_taught_words_are_put_down_by_provider_and_words(db: Database) -> None:
    words = "w" * WORDS_CHARS_MAX
    async with db.transaction() as tx:
        provider_id = await add_provider(tx, KEYRING, "one", "https://one.example/api/v2", "k", Decimal(0))
    acting = db.acting_as(OPERATOR.to_setting())
    for meaning in ("refused", "passing"):
        async with acting.transaction() as tx:
            await taught.save(tx, provider_id, words, meaning)
    async with acting.transaction() as tx:
        await taught.delete(tx, provider_id, words)
    lines = await records(db, "taught_words")
    assert len(lines) == 3
    by_meaning = {(line.after or {}).get("meaning"): line for line in lines}  # those of one millisecond have no order
    forgot, changed, learnt = by_meaning[None], by_meaning["passing"], by_meaning["refused"]
    assert {line.object_id for line in (forgot, changed, learnt)} == {f"{provider_id} {words}"[:255]}
    assert learnt.after is not None
    assert (learnt.after["words"], learnt.after["meaning"]) == (words, "refused")
    assert changed.after is not None
    assert changed.after["meaning"] == "passing"
    assert forgot.after is None
