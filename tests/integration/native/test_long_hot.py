"""What is read for every order or request, on a database of many months, users and keys: nothing is read through."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from gateway.accounts.store import find_by_key_hashes
from gateway.orders.entering.store import place_covered
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.store import NewOrder, find_active, lock, numbers_of, update, update_charges
from tests.support.long_past import Past, rolled_back
from tests.support.months import FEW, HOT, MANY
from tests.support.reads import Measured, Writing

COUNT = 20
PAGES_OF_MONTHS_MAX = 250
"""Of each month's index, twice, and of the rows."""
PASSED_OVER_MAX = 400
"""All rows of the two months that have not a tenth of the others', for which an index is no quicker."""
_CROWD = (
    "SET LOCAL session_replication_role = replica",
    "INSERT INTO users (id, email, password_hash) SELECT gen_random_uuid(), 'crowd' || n || '@example.com', 'x' "
    "FROM generate_series(1, 5000) n",
    "INSERT INTO wallets (id, user_id, balance) SELECT id, id, 100 FROM users WHERE email LIKE 'crowd%'",
    "INSERT INTO api_keys (user_id, name, key_hash, secret_id, previous_hash, previous_secret_id, previous_expires_at) "
    "SELECT id, 'key', encode(sha256(id::text::bytea), 'hex'), repeat('0', 16), encode(sha256(email::bytea), 'hex'), "
    "repeat('0', 16), now() + interval '1 day' "
    "FROM users WHERE email LIKE 'crowd%'",
    "ANALYZE users, wallets, api_keys",
)

pytestmark = pytest.mark.parametrize("generic", [False, True])


@pytest.fixture
async def admin(past: Past, shared_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        for statement in _CROWD:
            await admin.execute(statement)
        yield admin
    await admin.close()


def new_order(user_id: UUID, link: str) -> Order:
    return Order(
        id=uuid7(),
        number=0,
        user_id=user_id,
        service_id=UUID(int=1),
        provider_id=None,
        external_order_id=None,
        link=link,
        quantity=100,
        price=Decimal("0.1"),
        currency="USD",
        charge=Decimal(0),
        status=Status.PENDING,
        dispatch=Dispatch.QUEUED,
        upstream_status=None,
        start_count=None,
        remains=None,
        details={},
    )


@pytest.mark.parametrize("newest", [True, False])
async def test_orders_are_locked_and_numbered_by_their_ids(
    admin: asyncpg.Connection, generic: bool, newest: bool
) -> None:
    """The months of all are looked into by index, as a plan for whichever ids does it."""
    order = "id DESC" if newest else "md5(id::text)"
    ids = [row["id"] for row in await admin.fetch(f"SELECT id FROM orders ORDER BY {order} LIMIT {COUNT}")]
    for read in (lock, numbers_of):
        measured: Any = Measured(admin, generic=generic)
        assert set(await read(measured, ids)) == set(ids)
        assert measured.pages < PAGES_OF_MONTHS_MAX
        assert measured.passed_over < PASSED_OVER_MAX


async def test_what_changed_is_written_to_the_month_of_each_order(admin: asyncpg.Connection, generic: bool) -> None:
    ids = [row["id"] for row in await admin.fetch(f"SELECT id FROM orders ORDER BY md5(id::text) LIMIT {COUNT}")]
    orders = list((await lock(admin, ids)).values())
    measured: Any = Measured(admin, generic=generic)
    await update(measured, orders)
    await update_charges(measured, {each: Decimal(1) for each in ids})
    assert sum(measured.rows.values()) < 10 * COUNT
    assert measured.passed_over < 2 * PASSED_OVER_MAX


async def test_an_active_order_of_a_link_is_looked_for_among_the_active_ones(
    admin: asyncpg.Connection, generic: bool
) -> None:
    """Of a user with tens of thousands, a quarter of which have this link."""
    measured: Any = Measured(admin, generic=generic)
    orders = [new_order(user_id, HOT) for user_id in (MANY, FEW) for _ in range(COUNT // 2)]
    assert await find_active(measured, orders) == {order.id for order in orders}
    assert measured.pages < PAGES_OF_MONTHS_MAX * COUNT / 2
    assert measured.passed_over < PASSED_OVER_MAX * COUNT


async def test_accounts_are_found_by_the_hashes_of_their_keys(admin: asyncpg.Connection, generic: bool) -> None:
    hashes = [
        hash_ for row in await admin.fetch("SELECT key_hash, previous_hash FROM api_keys LIMIT 10") for hash_ in row
    ]
    measured: Any = Measured(admin, generic=generic)
    assert set(await find_by_key_hashes(measured, hashes)) == set(hashes)
    assert measured.read_whole == set()
    assert measured.pages < 300


async def test_a_plain_order_is_placed_by_its_wallet_and_reads_no_order(
    admin: asyncpg.Connection, generic: bool
) -> None:
    wallets = [row["id"] for row in await admin.fetch("SELECT id FROM wallets WHERE balance = 100 LIMIT 20")]
    before = await admin.fetchval("SELECT count(*) FROM orders")
    measured: Any = Writing(admin, generic=generic)
    await place_covered(measured, [(NewOrder(new_order(each, HOT), uuid7()), each) for each in wallets])
    assert await admin.fetchval("SELECT count(*) FROM orders") == before + len(wallets)
    assert measured.rows["wallets"] <= 2 * len(wallets)
    assert "wallets" not in measured.read_whole
    assert not any(table.startswith(("orders", "ledger")) for table in measured.rows)
