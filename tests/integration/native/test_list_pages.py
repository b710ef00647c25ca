"""Pages of each list beside all rows sorted at once: none is left out, none comes twice, whatever is asked for."""

import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.db.partitions import close_months, id_at, load_number_map, month_floor, next_month
from gateway.ledger.model import EntryType
from gateway.ledger.reading import store as ledger
from gateway.ledger.reading.model import Wanted as Lines
from gateway.orders import store
from gateway.orders.lists import store as orders
from gateway.orders.lists.model import STATUSES_OF, Wanted
from gateway.orders.model import Dispatch, Status
from tests.support.hooks import add_owner, tell
from tests.support.long_past import rolled_back

SEED = 7
SHAPES = 60
"""Of what may be asked for, drawn by chance."""
MADE = (date(2023, 1, 1), date(2023, 2, 1), date(2023, 4, 1), date(2024, 12, 1))
"""Months that have partitions; March of 2023 and all others of the past have none."""
USERS = [UUID(int=number) for number in (1, 2)]
PROVIDERS = [UUID(int=number) for number in (1, 2)]
LINKS = {"https://example.com/a": 12, "https://example.com/b": 12, "https://example.com/c": 1}
"""One has fewer orders than are looked through for any other filter; how many to the others' one."""
POSSIBLE = [(dispatch.value, status.value) for dispatch, statuses in STATUSES_OF.items() for status in sorted(statuses)]
Page = Callable[[UUID | None], Awaitable[list[UUID]]]


@pytest.fixture(scope="module")
async def connection(shared_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """With 1500 orders and 1500 lines of two wallets, of which many have the very same moment."""
    connection = await asyncpg.connect(shared_database_url)
    await connection.set_type_codec("jsonb", encoder=str, decoder=str, schema="pg_catalog")
    for month in MADE:
        for parent in ("orders", "ledger"):
            await connection.execute(
                f"CREATE TABLE {parent}_{month:%Y_%m} PARTITION OF {parent} FOR VALUES FROM "
                f"(month_floor('{month}')) TO (month_floor('{next_month(month)}'))"
            )
    await connection.execute("SET session_replication_role = replica")
    chance = random.Random(SEED)
    await _add_orders(connection, chance)
    await _add_lines(connection, chance)
    await connection.execute("SET session_replication_role = DEFAULT")
    yield connection
    await connection.close()


def ids_around(chance: random.Random, count: int) -> list[UUID]:
    """Of the months made and of others: at their very edges, of the same instants, of before and of the future."""
    now = datetime.now(UTC)
    moments = [now, now - timedelta(days=40), now + timedelta(days=2), now + timedelta(days=500)]
    moments += [datetime(1971, 1, 1, tzinfo=UTC), datetime(2023, 3, 15, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)]
    for month in (*MADE, next_month(MADE[1]), now.date().replace(day=1), next_month(now.date().replace(day=1))):
        floor = datetime.combine(month, time(), UTC)
        moments += [floor, floor - timedelta(milliseconds=1), floor + timedelta(days=3)]
    floors = [month_floor(month).int for month in MADE]
    edges = [UUID(int=floor + side) for floor in floors for side in (-1, 0)]
    rest = {UUID(int=id_at(chance.choice(moments)).int + chance.getrandbits(60)) for _ in range(count - len(edges))}
    return [*edges, *rest]


async def _add_orders(connection: asyncpg.Connection, chance: random.Random) -> None:
    await connection.execute(
        "INSERT INTO services (id, number, name, platform, type, category, price_per_1000, min_quantity, max_quantity) "
        "SELECT lpad(n::text, 32, '0')::uuid, n, 's', 'p', 't', 'c', 1, 1, 1000 FROM generate_series(1, 2) n"
    )
    rows = []
    for order_id in ids_around(chance, 1500):
        dispatch, status = chance.choice(POSSIBLE)
        at = datetime.fromtimestamp((order_id.int >> 80) / 1000, UTC) + timedelta(seconds=chance.choice([0, 0, 300]))
        rows.append((order_id, chance.choice(USERS), UUID(int=chance.choice([1, 1, 2])), chance.choice(PROVIDERS)))
        rows[-1] += (*chance.choices([*LINKS], [*LINKS.values()]), dispatch, status, at)
    await connection.executemany(
        "INSERT INTO orders (id, user_id, service_id, provider_id, link, dispatch, status, created_at, quantity, "
        "price) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1)",
        rows,
    )


async def _add_lines(connection: asyncpg.Connection, chance: random.Random) -> None:
    """In the order of their ids, but for neighbours of nearly one moment."""
    await connection.execute("INSERT INTO wallets (id, user_id) SELECT id, id FROM unnest($1::uuid[]) id", USERS)
    ids = sorted(ids_around(chance, 1500))
    for left, right in itertools.pairwise(range(len(ids))):
        if (ids[right].int - ids[left].int) >> 80 < 1000 and chance.random() < 0.3:
            ids[left], ids[right] = ids[right], ids[left]
    seqs = dict.fromkeys(USERS, 0)
    rows, at = [], datetime(1970, 1, 1, tzinfo=UTC)
    known = [row["id"] for row in await connection.fetch("SELECT id FROM orders ORDER BY id LIMIT 400")]
    for line_id in ids:
        wallet = chance.choice(USERS)
        seqs[wallet] += 1
        at = max(at, datetime.fromtimestamp((line_id.int >> 80) / 1000, UTC))
        of = [order for order in known if order < line_id][-3:]
        kind = chance.choice([EntryType.HOLD, EntryType.RELEASE, EntryType.DEPOSIT]).value
        rows.append((line_id, wallet, seqs[wallet], kind, chance.choice(of) if of else wallet, at))
    await connection.executemany(
        "INSERT INTO ledger (id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after, "
        "hold_before, hold_after, reference_type, reference_id, created_at) VALUES ($1, $2, $2, $3, $4::text, 1, 5, "
        "5 + ($4::text = 'deposit')::int, 2, 2 + CASE $4::text WHEN 'hold' THEN 1 WHEN 'release' THEN -1 ELSE 0 END, "
        "'order', $5, $6)",
        rows,
    )


def times(chance: random.Random) -> Iterator[dict[str, datetime]]:
    yield {}
    edges = [datetime.combine(month, time(), UTC) for month in (*MADE, date(2023, 3, 1), date(2024, 5, 1))]
    edges += [datetime.now(UTC), datetime.now(UTC) + timedelta(days=3), datetime(1970, 1, 1, tzinfo=UTC)]
    for edge in edges:
        yield {"since": edge}
        yield {"until": edge}
        since, until = sorted((edge, chance.choice(edges)))
        yield {"since": since, "until": until}


async def paged(page: Page, most: int) -> list[UUID]:
    found: list[UUID] = []
    before: UUID | None = None
    while True:
        rows = await page(before)
        found += rows
        if len(rows) < most or not rows:
            return found
        before = rows[-1]


def fits(row: asyncpg.Record, asked: dict[str, Any]) -> bool:
    names = {"provider_id": "provider_id", "user_id": "user_id", "status": "status", "dispatch": "dispatch"}
    return (
        all(row[column] == asked[name] for name, column in names.items() if name in asked)
        and ("service" not in asked or row["service_id"].int == asked["service"])
        and ("link" not in asked or row["link"] == asked["link"])
        and ("since" not in asked or row["created_at"] >= asked["since"])
        and ("until" not in asked or row["created_at"] < asked["until"])
    )


async def test_pages_of_orders_are_all_that_is_asked_for(connection: asyncpg.Connection) -> None:
    chance = random.Random(SEED)
    everything = await connection.fetch("SELECT * FROM orders ORDER BY id DESC")
    assert await connection.fetchval("SELECT count(*) FROM orders_default") > 100
    choices: dict[str, Sequence[Any]] = {
        "user_id": USERS,
        "status": [status.value for status in Status],
        "dispatch": [dispatch.value for dispatch in Dispatch],
        "provider_id": PROVIDERS,
        "service": [1, 2, 3],
        "link": [*LINKS, "https://example.com/d"],
    }
    sets = [names for size in range(4) for names in itertools.combinations(choices, size)]
    for names, when in chance.sample([*itertools.product(sets, times(chance))], SHAPES):
        asked: dict[str, Any] = {name: chance.choice(choices[name]) for name in names} | when
        most = chance.choice([1, 7, 26, 101]) if len(names) > 1 else chance.choice([26, 101])

        async def page(before: UUID | None, asked: Any = asked, most: int = most) -> list[UUID]:
            rows = await orders.list_orders(connection, Wanted(**asked, before=before, most=most))
            return [row.order.id for row in rows]

        expected = [row["id"] for row in everything if fits(row, asked)]
        assert await paged(page, most) == expected, (asked, most)


async def test_pages_of_lines_are_all_that_is_asked_for(connection: asyncpg.Connection) -> None:
    chance = random.Random(SEED)
    everything = await connection.fetch("SELECT * FROM ledger ORDER BY wallet_seq DESC")
    of = chance.choices([row["reference_id"] for row in everything], k=8)
    kinds = (None, EntryType.HOLD, EntryType.RELEASE, EntryType.DEPOSIT, EntryType.FEE)
    shapes = [*itertools.product(kinds, (None, *of), times(chance))]
    for kind, order_id, when in chance.sample(shapes, SHAPES):
        wallet, most = chance.choice(USERS), chance.choice([1, 7, 26, 101]) if order_id else chance.choice([26, 101])

        async def page(
            before: UUID | None, wallet: UUID = wallet, kind: Any = kind, order_id: Any = order_id, when: Any = when,
            most: int = most,
        ) -> list[UUID]:  # fmt: skip
            wanted = Lines(wallet_id=wallet, type=kind, order_id=order_id, before=before, most=most, **when)
            return [line.id for line in await ledger.list_lines(connection, wanted)]

        expected = [
            row["id"]
            for row in everything
            if row["wallet_id"] == wallet
            and (kind is None or row["type"] == kind.value)
            and (order_id is None or row["reference_id"] == order_id)
            and ("since" not in when or row["created_at"] >= when["since"])
            and ("until" not in when or row["created_at"] < when["until"])
        ]
        assert await paged(page, most) == expected, (wallet, kind, order_id, when, most)


async def test_pages_of_what_happened_to_an_order_are_in_the_order_in_which_it_happened(
    db: Database, owner: asyncpg.Connection
) -> None:
    """Ids of one millisecond are by chance; places are not, which the events of old have none of."""
    order = uuid7()
    await tell(db, await add_owner(db), order, *["order.processing"] * 40)

    async def page(after: UUID | None) -> list[UUID]:
        return [row.id for row in await orders.events_of(owner, order, after, 7)]

    for of_old in (0, 9):
        async with rolled_back(owner):
            old = "SELECT id FROM events WHERE object_id = $1 ORDER BY id LIMIT $2"
            await owner.execute(f"UPDATE events SET sequence = NULL WHERE id IN ({old})", order, of_old)
            places = await owner.fetch(
                "SELECT id FROM events WHERE object_id = $1 ORDER BY sequence NULLS FIRST, id", order
            )
            assert await paged(page, 7) == [row["id"] for row in places]


async def test_every_order_is_found_by_its_number_wherever_it_is(connection: asyncpg.Connection) -> None:
    """Months that were made are closed, with numbers that overlap; all others have their orders among the rest."""
    await close_months(connection)
    numbers = await load_number_map(connection)
    everything = await connection.fetch("SELECT id, number, user_id FROM orders")
    wanted = [(row["user_id"], row["number"], *span) for row in everything for span in numbers.ranges(row["number"])]
    found = await store.find_by_numbers(connection, wanted)
    assert {(user_id, number): order.id for (user_id, number), order in found.items()} == {
        (row["user_id"], row["number"]): row["id"] for row in everything
    }
    assert await connection.fetchval("SELECT count(*) FROM order_months") == len(MADE)
