"""The proof of the money finds what was tampered with, and nothing else."""

from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.db.engine import Database
from gateway.ledger import store
from gateway.ledger.booking import deposit
from gateway.ledger.model import EntryType, Reference, post
from gateway.ledger.verify import Problem, verify

EMAIL = "reseller@example.com"
HOLD, WITHDRAW, RELEASE, REFUND = EntryType.HOLD, EntryType.WITHDRAW, EntryType.RELEASE, EntryType.REFUND
Moves = list[tuple[EntryType, str]]

LIVES: dict[str, tuple[str, str, Moves]] = {
    "pending": ("10", "0", [(HOLD, "10")]),
    "completed": ("10", "10", [(HOLD, "10"), (WITHDRAW, "10")]),
    "partial": ("10", "3.33333333", [(HOLD, "10"), (WITHDRAW, "3.33333333"), (RELEASE, "6.66666667")]),
    "cancelled": ("10", "0", [(HOLD, "10"), (RELEASE, "10")]),
    "refunded": ("10", "4", [(HOLD, "10"), (WITHDRAW, "10"), (REFUND, "6")]),
    "failed": ("0", "0", [(HOLD, "0"), (RELEASE, "0")]),
}
"""Of an order in each status: its price, its charge and its ledger rows."""


@pytest.fixture
async def wallet_id(db: Database) -> UUID:
    """A wallet with 1000 in it."""
    async with db.transaction() as tx:
        user_id = await add_user(tx, EMAIL, "reseller", UNUSABLE_PASSWORD)
        wallet_id = await store.open_wallet(tx, user_id, "USD")
        await deposit(tx, wallet_id, Decimal(1000), reference="invoice 1")
    return wallet_id


@pytest.fixture
async def orders(db: Database, wallet_id: UUID) -> dict[str, UUID]:
    """An order in each status, with the money that belongs to it."""
    return {status: await an_order(db, wallet_id, status, *LIVES[status]) for status in LIVES}


async def an_order(db: Database, wallet_id: UUID, status: str, price: str, charge: str, moves: Moves) -> UUID:
    order_id, service_id = uuid7(), uuid7()
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO services (id, name, platform, type, category, price_per_1000, min_quantity, max_quantity)"
            " VALUES ($1, 'Likes', 'other', 'likes', 'Other', 1, 1, 1000)",
            service_id,
        )
        await tx.execute(
            "INSERT INTO orders (id, user_id, service_id, link, quantity, price, charge, status)"
            " SELECT $1, user_id, $2, 'https://example.com/p', 100, $3, $4, $5 FROM wallets WHERE id = $6",
            order_id,
            service_id,
            Decimal(price),
            Decimal(charge),
            status,
            wallet_id,
        )
    await book(db, wallet_id, order_id, moves)
    return order_id


async def book(db: Database, wallet_id: UUID, order_id: UUID, moves: Moves, part: str = "") -> None:
    async with db.transaction() as tx:
        wallet = (await store.lock(tx, [wallet_id]))[wallet_id]
        entries = []
        for entry_type, amount in moves:
            wallet, entry = post(wallet, entry_type, Decimal(amount), Reference("order", order_id, part))
            entries.append(entry)
        await store.write(tx, [wallet], entries)


async def found(db: Database) -> list[Problem]:
    async with db.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        return await verify(connection)


async def number_of(root: asyncpg.Connection, order_id: UUID) -> int:
    number: int = await root.fetchval("SELECT number FROM orders WHERE id = $1", order_id)
    return number


async def test_healthy_books_have_no_problem(db: Database, orders: dict[str, UUID]) -> None:
    assert await found(db) == []


async def test_an_empty_database_has_no_problem(db: Database) -> None:
    assert await found(db) == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger SET amount = 999 WHERE type = 'deposit'",
        "UPDATE ledger SET amount = 900, balance_after = 900 WHERE type = 'deposit'",
        "UPDATE wallets SET balance = balance + 0.00000001",
        "UPDATE wallets SET hold_amount = hold_amount - 1",
        "UPDATE wallets SET last_seq = last_seq + 1",
        "UPDATE wallets SET balance = -1, hold_amount = 0",
        "UPDATE ledger SET wallet_seq = wallet_seq + 1 WHERE wallet_seq = (SELECT last_seq FROM wallets)",
        "DELETE FROM ledger WHERE type = 'deposit'",
        "DELETE FROM ledger WHERE wallet_seq = (SELECT last_seq FROM wallets)",
        "DELETE FROM ledger_references WHERE type = 'deposit'",
        "UPDATE ledger_references SET reference_id = gen_random_uuid() WHERE type = 'deposit'",
        "UPDATE ledger SET user_id = gen_random_uuid() WHERE type = 'deposit'",
        "DELETE FROM orders WHERE status = 'partial'",
    ],
)
async def test_tampering_names_the_wallet(
    db: Database, root: asyncpg.Connection, wallet_id: UUID, orders: dict[str, UUID], tampering: str
) -> None:
    for table in ("wallets", "ledger"):
        for name in await constraints(root, table):
            await root.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    await root.execute(tampering)
    assert (wallet_id, EMAIL) in {(problem.wallet_id, problem.user_email) for problem in await found(db)}


async def constraints(root: asyncpg.Connection, table: str) -> list[str]:
    rows = await root.fetch("SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'", table)
    return [row["conname"] for row in rows]


@pytest.mark.parametrize(
    ("status", "moves", "words"),
    [
        ("pending", [], "0 hold rows"),
        ("pending", [(HOLD, "9")], "1 hold rows of 9"),
        ("pending", [(HOLD, "10"), (RELEASE, "10")], "still pending"),
        ("completed", [(HOLD, "10")], "completed, but withdrew 0"),
        ("completed", [(HOLD, "10"), (WITHDRAW, "9")], "but withdrew 9"),
        ("cancelled", [(HOLD, "10"), (WITHDRAW, "10")], "charge of 0"),
        ("refunded", [(HOLD, "10"), (WITHDRAW, "10"), (REFUND, "11")], "refunded 11"),
        ("refunded", [(HOLD, "10"), (WITHDRAW, "10"), (REFUND, "5")], "charge of 4"),
    ],
)
async def test_an_order_whose_money_is_wrong_is_named(
    db: Database, root: asyncpg.Connection, wallet_id: UUID, status: str, moves: Moves, words: str
) -> None:
    price, charge, _ = LIVES[status]
    order_id = await an_order(db, wallet_id, status, price, charge, moves)
    problems = await found(db)
    assert {(problem.order_number, problem.user_email) for problem in problems} == {
        (await number_of(root, order_id), EMAIL)
    }
    assert any(words in problem.what for problem in problems)


async def test_a_hold_that_is_resolved_twice_is_named(
    db: Database, root: asyncpg.Connection, wallet_id: UUID, orders: dict[str, UUID]
) -> None:
    await book(db, wallet_id, orders["pending"], [(HOLD, "10")], part="again")
    await book(db, wallet_id, orders["completed"], [(WITHDRAW, "10")], part="again")
    numbers = {problem.order_number for problem in await found(db)}
    assert numbers == {await number_of(root, orders["pending"]), await number_of(root, orders["completed"])}


async def test_money_of_an_order_that_does_not_exist_is_named(db: Database, wallet_id: UUID) -> None:
    await book(db, wallet_id, uuid4(), [(HOLD, "1")])
    assert [problem.wallet_id for problem in await found(db)] == [wallet_id]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE ledger_default DISABLE TRIGGER ledger_append_only", "ledger_append_only on ledger_default"),
        ("ALTER TABLE ONLY ledger DISABLE TRIGGER ledger_append_only", "ledger_append_only on ledger is"),
        ("ALTER TABLE wallets DISABLE TRIGGER ALL", "wallets_guard on wallets is switched off"),
        ("DROP TRIGGER wallets_guard ON wallets", "wallets_guard on wallets is missing"),
        ("DROP TRIGGER wallets_recorded ON wallets", "wallets_recorded on wallets is missing"),
        ("DROP TRIGGER ledger_no_truncate ON ledger_default", "ledger_no_truncate on ledger_default is missing"),
        (
            "DROP TRIGGER ledger_references_append_only ON ledger_references",
            "ledger_references_append_only on ledger_references is missing",
        ),
    ],
)
async def test_a_guard_that_is_off_or_gone_is_named(
    db: Database, root: asyncpg.Connection, change: str, words: str
) -> None:
    await root.execute(change)
    assert any(words in problem.what for problem in await found(db))
