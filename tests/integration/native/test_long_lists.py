"""Lists over many months and many orders: read by index, in the months asked for alone, whatever is asked for."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.db.partitions import NumberMap, close_months, id_at, load_number_map, next_month
from gateway.ledger.model import EntryType
from gateway.ledger.reading import store as ledger
from gateway.ledger.reading.model import Wanted as Lines
from gateway.orders.lists import store as orders
from gateway.orders.lists.model import Wanted
from gateway.orders.model import Dispatch
from gateway.orders.reading import OrderReader
from gateway.orders.refills import store as refills
from gateway.orders.refills.model import Shown
from gateway.orders.store import find_by_numbers
from tests.support.months import FEW, HOT, MANY, RARE, RARE_SERVICE, add_past_months, fill
from tests.support.reads import Measured

MONTHS = 24
ORDERS = 36_000
PAGES_MAX = 400
"""A few of each month's index and a page's rows; the orders alone are some 900."""
PAGES_OF_NOTHING_MAX = 200
"""Two or three of an index of each month, besides a page's rows."""
PAGES_OF_A_NUMBER_MAX = 25
LIMIT = 26


@dataclass(frozen=True)
class Past:
    """A database with the months before this one, by their first days."""

    db: Database
    months: list[date]

    def partitions(self, table: str, since: datetime | None = None, until: datetime | None = None) -> set[str]:
        """Those that may be read, with a margin for clocks that are apart."""
        margin = timedelta(minutes=10)
        months = [*self.months]
        for _ in range(4):
            months.append(next_month(months[-1]))
        first = (since - margin).astimezone(UTC).date().replace(day=1) if since else months[0]
        last = (until + margin).astimezone(UTC).date() if until else months[-1]
        return {f"{table}_{month:%Y_%m}" for month in months if first <= month <= last} | {f"{table}_default"}

    def times(self) -> list[dict[str, datetime]]:
        """Whenever, the last days, within one month of long ago, since it began, before it."""
        now, day = datetime.now(UTC), timedelta(days=1)
        long_ago = datetime.combine(self.months[MONTHS // 2], time(), UTC)
        return [
            {},
            {"since": now - 3 * day},
            {"since": long_ago + 2 * day, "until": long_ago + 20 * day},
            {"since": long_ago},
            {"until": long_ago},
        ]


@pytest.fixture(scope="module")
async def past(shared_database_url: str) -> AsyncIterator[Past]:
    admin = await asyncpg.connect(shared_database_url)
    months = await add_past_months(admin, MONTHS)
    await fill(admin, MONTHS, ORDERS)
    await admin.close()
    db = await Database.open(shared_database_url)
    yield Past(db, months)
    await db.close()


async def too_much(
    past: Past,
    table: str,
    read: Callable[[Any], Awaitable[Any]],
    when: dict[str, datetime] | None = None,
    pages_max: int = PAGES_MAX,
) -> list[str]:
    """What of a read is beyond its bounds, by either kind of plan."""
    allowed = past.partitions(table, **(when or {}))
    found = []
    for generic in (False, True):
        async with past.db.connection() as connection:
            measured = Measured(connection, generic=generic)
            await read(measured)
        if measured.pages > pages_max:
            found.append(f"{measured.pages} pages, {generic=}")
        if strange := {name for name in measured.tables if name.startswith(f"{table}_")} - allowed:
            found.append(f"{sorted(strange)}, {generic=}")
    return found


OF_MANY = {
    "completed": ORDERS,
    "failed": 2,
    1: ORDERS // 60,
    2: ORDERS // 60,
    RARE_SERVICE: 2,
    RARE: 2,
    HOT: ORDERS // 6,
}
"""How many orders of `MANY` each filter lets through, at most."""


@pytest.mark.parametrize("status", [None, "completed", "failed"])
@pytest.mark.parametrize("service", [None, 1, 2, RARE_SERVICE])
async def test_a_users_orders_are_found_by_index_with_every_filter(
    past: Past, status: str | None, service: int | None
) -> None:
    """Several filters at once, which may never meet, cost the rows of the one with the fewest."""
    faults = {}
    for link, when in itertools.product((None, RARE, HOT), past.times()):
        rows = sorted(OF_MANY[each] for each in (status, service, link) if each is not None)
        wanted = Wanted(user_id=MANY, status=status, service=service, link=link, most=LIMIT, **when)  # type: ignore[arg-type]
        found = await too_much(
            past, "orders", partial(list_orders, wanted), when, PAGES_MAX + (rows[0] if len(rows) > 1 else 0)
        )
        faults |= {str((link, when)): found} if found else {}
    assert faults == {}


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": "failed"},
        {"service": RARE_SERVICE},
        {"service": 999},
        {"link": RARE},
        {"link": HOT},
        {"dispatch": "unknown"},
        {"status": "failed", "service": 1},
    ],
)
async def test_operators_find_orders_of_all_users_by_index_too(past: Past, filters: dict[str, Any]) -> None:
    assert await too_much(past, "orders", partial(list_orders, Wanted(most=LIMIT, **filters))) == []


@pytest.mark.parametrize("status", [None, "completed", "failed", "pending"])
@pytest.mark.parametrize("dispatch", Dispatch)
async def test_operators_find_what_stands_at_a_point_whether_there_is_any_or_none(
    past: Past, status: str | None, dispatch: Dispatch
) -> None:
    """A few pages of each month; above that a month would be read through for what is not there."""
    read = partial(list_orders, Wanted(most=LIMIT, status=status, dispatch=dispatch.value))
    assert await too_much(past, "orders", read, pages_max=PAGES_OF_NOTHING_MAX) == []


@pytest.mark.parametrize("status", ["processing", "failed"])
async def test_operators_find_a_status_that_only_some_months_have(past: Past, status: str) -> None:
    for when in past.times():
        read = partial(list_orders, Wanted(most=LIMIT, status=status, **when))
        assert await too_much(past, "orders", read, when, PAGES_OF_NOTHING_MAX) == []


@pytest.mark.parametrize(
    "filters", [{}, {"user_id": MANY}, {"user_id": MANY, "status": "completed"}, {"link": HOT}, {"service": 1}]
)
async def test_a_page_that_this_and_the_last_months_fill_is_planned_for_no_other(
    past: Past, filters: dict[str, Any]
) -> None:
    """To plan a statement takes longer than to run it, once for each month that it names."""
    async with past.db.connection() as connection:
        measured: Any = Measured(connection)
        assert len(await orders.list_orders(measured, Wanted(most=LIMIT, **filters))) == LIMIT
    recent = past.partitions("orders", since=datetime.combine(past.months[-3], time(), UTC) + timedelta(days=1))
    assert {name for name in measured.planned if name.startswith("orders")} <= recent


async def test_pages_go_on_through_months_that_nobody_made(past: Past, shared_database_url: str) -> None:
    """Before the first month, and behind the last: their orders are in the default partition."""
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        for moment in (past.months[0] - timedelta(days=70), past.months[-1] + timedelta(days=400)):
            await admin.execute(_STRAY, id_at(datetime.combine(moment, time(), UTC)))
        before, pages, listed = None, 0, []
        while True:
            page = await orders.list_orders(admin, Wanted(user_id=FEW, most=4000, before=before))
            listed += [each.order.id for each in page]
            pages += 1
            if len(page) < 4000:
                break
            before = listed[-1]
        everything = await admin.fetch("SELECT id FROM orders WHERE user_id = $1 ORDER BY id DESC", FEW)
        assert await admin.fetchval("SELECT count(*) FROM orders_default") == 2
    await admin.close()
    assert listed == [row["id"] for row in everything]
    assert pages > 2


async def test_a_service_and_a_provider_that_never_met_are_looked_for_in_the_index_alone(
    past: Past, shared_database_url: str
) -> None:
    """Both have orders in every month, so that there is nothing in the months themselves to go by."""
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        await admin.execute("SET LOCAL session_replication_role = replica")
        await admin.execute(
            "UPDATE orders o SET provider_id = CASE s.number WHEN 1 THEN $1::uuid ELSE $2 END "
            "FROM services s WHERE s.id = o.service_id",
            MANY,
            FEW,
        )
        await admin.execute("ANALYZE orders")
        measured: Any = Measured(admin)
        assert await orders.list_orders(measured, Wanted(service=1, provider_id=FEW, most=LIMIT)) == []
        assert len(await orders.list_orders(admin, Wanted(service=1, provider_id=MANY, most=LIMIT))) == LIMIT
    await admin.close()
    assert measured.pages < PAGES_OF_NOTHING_MAX


_STRAY = """
INSERT INTO orders (id, user_id, service_id, link, quantity, price, created_at)
SELECT $1, user_id, service_id, link, quantity, price, created_at FROM orders WHERE user_id = (SELECT id FROM users
 WHERE email = 'many2@example.com') LIMIT 1
"""


async def test_numbers_of_a_user_with_many_orders_are_found_by_number(past: Past, shared_database_url: str) -> None:
    """Beside thousands of users with few orders, by whom the planner would take a user's orders of a month for one."""
    admin = await asyncpg.connect(shared_database_url)
    async with past.db.transaction() as tx:
        await close_months(tx)
    async with rolled_back(admin):
        for statement in _CROWD:
            await admin.execute(statement, past.months[MONTHS // 2])
        await admin.execute("ANALYZE orders")
        numbers = await load_number_map(admin)
        rows = await admin.fetch(
            "SELECT number FROM orders WHERE user_id = $1 AND id >= month_floor($2) ORDER BY id LIMIT 60",
            MANY,
            past.months[MONTHS // 2],
        )
        asked = [row["number"] for row in rows]
        for generic in (False, True):
            measured: Any = Measured(admin, generic=generic)
            found = await find_by_numbers(
                measured, [(MANY, number, *span) for number in asked for span in numbers.ranges(number)]
            )
            assert {number for _, number in found} == set(asked)
            assert await orders.ids_of_numbers(measured, MANY, asked[0], numbers.ranges(asked[0]))
            assert measured.pages < PAGES_OF_A_NUMBER_MAX * (len(asked) + 1)
    await admin.close()


async def test_a_number_is_looked_up_by_a_plan_that_was_made_once(past: Past) -> None:
    """Few at a time too: to plan for every month takes ten times as long as the look-up."""
    async with past.db.connection() as connection:
        [row] = await connection.fetch("SELECT user_id, number FROM orders LIMIT 1")
        for span in NumberMap().ranges(row["number"]) * 12:
            await find_by_numbers(connection, [(row["user_id"], row["number"], *span)])
        planned = await connection.fetchrow(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%w(user_id, number%'"
        )
    assert planned is not None
    assert planned["generic_plans"] > planned["custom_plans"]


async def test_a_number_is_looked_for_elsewhere_only_where_it_likely_is_not(
    past: Past, shared_database_url: str
) -> None:
    """As one of a month that nobody made, among numbers of a month that is closed."""
    async with past.db.transaction() as tx:
        await close_months(tx)
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        stray = id_at(datetime.combine(past.months[0] - timedelta(days=70), time(), UTC))
        await admin.execute(_STRAY, stray)
        numbers = [
            row["number"]
            for row in await admin.fetch(
                "SELECT number FROM orders WHERE user_id = $1 AND id >= month_floor($2) ORDER BY id LIMIT 20",
                FEW,
                past.months[MONTHS // 2],
            )
        ]
        await admin.execute("UPDATE orders SET number = $2 WHERE id = $1", stray, numbers[0] + 1)
        through = Through(admin)
        reader = OrderReader(through)  # type: ignore[arg-type]
        await reader.refresh()
        assert set(await reader.find(FEW, numbers)) == set(numbers)
        month = f"orders_{past.months[MONTHS // 2]:%Y_%m}"
        assert {name for name in through.measured.tables if name.startswith("orders_2")} == {month}
        [found] = (await reader.find(FEW, [numbers[0] + 1])).values()
        assert found.id == stray
    await admin.close()


class Through:
    """A database of one connection, which notes what is read."""

    def __init__(self, connection: Any) -> None:
        self.measured = Measured(connection, generic=True)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Measured]:
        yield self.measured


@contextlib.asynccontextmanager
async def rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


_CROWD = (
    "INSERT INTO users (id, email, password_hash) SELECT gen_random_uuid(), 'crowd' || n || '@example.com', 'x' "
    "FROM generate_series(1, 5000) n WHERE $1::date IS NOT NULL",
    "INSERT INTO orders (id, user_id, service_id, link, quantity, price, status, dispatch) "
    "SELECT (left(month_floor($1)::text, 13) || '-7000-8001-' || lpad(to_hex(row_number() OVER ()), 12, '0'))::uuid, "
    "id, (SELECT id FROM services LIMIT 1), 'https://example.com/crowd', 100, 0.1, 'completed', 'accepted' "
    "FROM users WHERE email LIKE 'crowd%'",
)
"""One order each in the month."""


async def test_operators_find_a_link_of_any_user_as_fast_as_he_does(past: Past) -> None:
    read = partial(list_orders, Wanted(most=LIMIT, link=RARE))
    assert await too_much(past, "orders", read, pages_max=PAGES_OF_NOTHING_MAX) == []


async def test_the_last_page_costs_no_more_than_the_first(past: Past) -> None:
    async with past.db.connection() as connection:
        before = await connection.fetchval(
            "SELECT id FROM orders WHERE user_id = $1 ORDER BY id LIMIT 1 OFFSET 30", MANY
        )
        line = await connection.fetchval("SELECT id FROM ledger WHERE wallet_id = $1 AND wallet_seq = 30", MANY)
    wanted = Wanted(user_id=MANY, before=before, most=LIMIT)
    assert await too_much(past, "orders", partial(list_orders, wanted)) == []
    assert await too_much(past, "ledger", partial(list_lines, Lines(wallet_id=MANY, before=line, most=LIMIT))) == []


@pytest.mark.parametrize("kind", [None, *EntryType])
async def test_a_wallets_lines_are_found_by_index_with_every_filter(past: Past, kind: EntryType | None) -> None:
    async with past.db.connection() as connection:
        order_id = await connection.fetchval("SELECT id FROM orders WHERE user_id = $1 LIMIT 1", MANY)
    faults = {}
    for of, when in itertools.product((None, order_id), past.times()):
        wanted = Lines(wallet_id=MANY, type=kind, order_id=of, most=LIMIT, **when)
        found = await too_much(past, "ledger", partial(list_lines, wanted), near(when))
        faults |= {str((of, when)): found} if found else {}
    assert faults == {}


async def test_a_balance_of_the_past_and_a_part_of_a_statement_are_found_by_index(past: Past) -> None:
    for when in past.times():
        moment = when.get("until", datetime.now(UTC))
        read = partial(standing_at, moment)
        assert await too_much(past, "ledger", read, near({"until": moment}), PAGES_OF_NOTHING_MAX) == []
    since = past.times()[3]["since"]
    async with past.db.connection() as connection:
        seq = (await ledger.standing_at(connection, MANY, since)).seq
    found = await too_much(
        past, "ledger", lambda tx: ledger.lines_between(tx, MANY, seq, seq + 10_000, since), {"since": since},
        PAGES_MAX + 6 * ledger.BATCH,
    )  # fmt: skip
    assert found == []


async def test_lines_that_are_later_than_what_is_asked_for_are_not_passed_over_one_by_one(past: Past) -> None:
    """A busy wallet has some two thousand in the month of that moment."""
    moment = datetime.combine(past.months[MONTHS // 2], time(), UTC) + timedelta(days=3)
    reads = [
        partial(standing_at, moment),
        *(
            partial(list_lines, Lines(wallet_id=MANY, type=kind, until=moment, most=LIMIT))
            for kind in (None, EntryType.HOLD)
        ),
    ]
    for read in reads:
        async with past.db.connection() as connection:
            measured: Any = Measured(connection)
            await read(measured)
        assert measured.passed_over < 200


async def test_a_page_of_lines_that_the_newest_month_fills_is_planned_for_no_other(past: Past) -> None:
    moment = datetime.combine(past.months[MONTHS // 2], time(), UTC) + timedelta(days=20)
    for until, kind in itertools.product((None, moment), (None, EntryType.HOLD)):
        async with past.db.connection() as connection:
            measured: Any = Measured(connection)
            wanted = Lines(wallet_id=MANY, type=kind, until=until, most=LIMIT)
            assert len(await ledger.list_lines(measured, wanted)) == LIMIT
        assert len({name for name in measured.planned if name.startswith("ledger_2")}) <= 5


@pytest.mark.parametrize("wallet_id", [MANY, FEW])
async def test_what_there_was_at_a_moment_is_the_last_line_by_then(past: Past, wallet_id: UUID) -> None:
    """Wherever in the months the moment is, and whether a later line is near or there is none."""
    begin, now = datetime.combine(past.months[0], time(), UTC), datetime.now(UTC)
    moments = [begin + (now - begin) * part / 40 for part in range(-1, 42)]
    async with past.db.connection() as connection:
        for moment in moments:
            row = await connection.fetchrow(
                "SELECT max(wallet_seq) FILTER (WHERE created_at <= $2) AS seq, max(wallet_seq) "
                "FILTER (WHERE created_at < $2) AS before FROM ledger WHERE wallet_id = $1",
                wallet_id,
                moment,
            )
            assert row is not None
            assert (await ledger.standing_at(connection, wallet_id, moment)).seq == (row["seq"] or 0)
            lines = await ledger.list_lines(connection, Lines(wallet_id=wallet_id, until=moment, most=3))
            assert [line.seq for line in lines] == [*range(row["before"] or 0, 0, -1)][:3]


@pytest.mark.parametrize("shown", [None, *Shown])
async def test_refills_are_found_by_index(past: Past, shown: Shown | None) -> None:
    def listed(order_id: UUID | None, before: UUID | None) -> Callable[[Any], Awaitable[Any]]:
        return lambda tx: refills.list_refills(tx, MANY, shown, order_id, before, LIMIT)

    async with past.db.connection() as connection:
        [order_id, before] = [
            row["id"]
            for row in await connection.fetch("SELECT id FROM orders WHERE user_id = $1 ORDER BY id LIMIT 2", MANY)
        ]
    for read in (listed(None, None), listed(order_id, None), listed(None, before)):
        assert await too_much(past, "refills", read) == []


async def list_orders(wanted: Wanted, tx: Any) -> Any:
    return await orders.list_orders(tx, wanted)


async def list_lines(wanted: Lines, tx: Any) -> Any:
    return await ledger.list_lines(tx, wanted)


async def standing_at(moment: datetime, tx: Any) -> Any:
    return await ledger.standing_at(tx, MANY, moment)


def near(when: dict[str, datetime]) -> dict[str, datetime]:
    """With what is looked at behind its end for a line that is later."""
    return {**when, "until": when["until"] + ledger.NEAR} if "until" in when else when
