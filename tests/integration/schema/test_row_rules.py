"""Rows outside the rules are refused, wallets' above all."""

from uuid import UUID

import asyncpg
import pytest

from gateway.db.engine import Database
from tests.support.factories import add_account
from tests.support.schema import column, wallets_of


async def test_a_row_written_by_hand_gets_a_uuid_of_version_7_and_of_now(owner: asyncpg.Connection) -> None:
    first: UUID = await owner.fetchval(
        "INSERT INTO users (email, password_hash) VALUES ('a@example.com', '!') RETURNING id"
    )
    now_ms = await owner.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert abs((first.int >> 80) - now_ms) < 60_000
    ids = await column(owner, "SELECT uuid7() FROM generate_series(1, 2000)")
    assert len(set(ids)) == 2000
    assert {made.version for made in ids} == {7}


async def test_updated_at_follows_each_change(owner: asyncpg.Connection) -> None:
    await owner.execute("INSERT INTO users (email, password_hash) VALUES ('a@example.com', '!')")
    await owner.execute("UPDATE users SET updated_at = 'epoch', status = 'suspended'")
    assert await owner.fetchval("SELECT updated_at > now() - interval '1 minute' FROM users")


WRONG_ROWS = [
    ("users", "email, password_hash, role", "'a@b.c', '!', 'root'", "ck_users_role"),
    ("users", "email, password_hash, status", "'a@b.c', '!', 'gone'", "ck_users_status"),
    ("users", "email, password_hash", "'A@b.c', '!'", "ck_users_email_lower"),
    (
        "services",
        "name, platform, type, category, price_per_1000, min_quantity, max_quantity",
        "'n', 'p', 't', 'c', -1, 1, 2",
        "ck_services_price",
    ),
    (
        "services",
        "name, platform, type, category, price_per_1000, min_quantity, max_quantity",
        "'n', 'p', 't', 'c', 1, 3, 2",
        "ck_services_quantities",
    ),
    ("providers", "name, api_endpoint, api_key_encrypted, currency", "'n', 'u', 'k', 'usd'", "ck_providers_currency"),
]


@pytest.mark.parametrize(("table", "columns", "values", "constraint"), WRONG_ROWS)
async def test_a_row_outside_the_rules_is_refused_by_name(
    owner: asyncpg.Connection, table: str, columns: str, values: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await owner.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})")


# The wallet's guard --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "balance = balance + 1",
        "hold_amount = hold_amount + 1",
        "balance = balance + 1, last_seq = last_seq - 1",
        "last_seq = last_seq - 1",
        "currency = 'EUR', last_seq = last_seq + 1",
        "user_id = uuid7(), last_seq = last_seq + 1",
        "balance = -1, last_seq = last_seq + 1",
        "hold_amount = balance + 1, last_seq = last_seq + 1",
    ],
)
async def test_a_wallet_changes_only_with_a_ledger_row_and_never_below_zero(
    owner: asyncpg.Connection, change: str
) -> None:
    user_id = await owner.fetchval(
        "INSERT INTO users (email, password_hash) VALUES ('a@example.com', '!') RETURNING id"
    )
    await owner.execute("INSERT INTO wallets (user_id) VALUES ($1)", user_id)
    await owner.execute("UPDATE wallets SET balance = 9, hold_amount = 4, last_seq = 1")
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(f"UPDATE wallets SET {change}")


async def test_a_wallet_may_be_written_as_it_is(db: Database) -> None:
    await add_account(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE wallets SET balance = balance, hold_amount = hold_amount, last_seq = last_seq")


async def test_a_wallet_that_claims_a_ledger_row_must_have_it_by_the_commit(db: Database) -> None:
    await add_account(db)
    before = await wallets_of(db)
    with pytest.raises(asyncpg.CheckViolationError, match="only with a ledger row"):
        async with db.transaction() as tx:
            await tx.execute("UPDATE wallets SET balance = balance + 1, last_seq = last_seq + 1")
    assert await wallets_of(db) == before
    async with db.transaction() as tx:
        await tx.execute("UPDATE wallets SET balance = balance + 1, last_seq = last_seq + 1")
        await tx.execute(
            "INSERT INTO ledger_references (wallet_id, wallet_seq, reference_type, reference_id, type) "
            "SELECT id, last_seq, 'payment', uuid7(), 'deposit' FROM wallets"
        )
    assert await wallets_of(db) != before


async def test_a_wallet_starts_empty(db: Database) -> None:
    account = await add_account(db)
    with pytest.raises(asyncpg.CheckViolationError, match="starts empty"):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO wallets (user_id, currency, balance) VALUES ($1, 'EUR', 5)", account.user_id)


@pytest.mark.parametrize(
    "change",
    ["amount = amount + 1", "balance_after = balance_after + 1", "hold_after = hold_after + 1, amount = amount"],
)
async def test_a_ledger_row_must_add_up(db: Database, admin: asyncpg.Connection, change: str) -> None:
    await add_account(db)
    await admin.execute("ALTER TABLE ledger DISABLE TRIGGER ledger_append_only")
    with pytest.raises(asyncpg.CheckViolationError, match="ck_ledger_"):
        await admin.execute(f"UPDATE ledger SET {change}")
