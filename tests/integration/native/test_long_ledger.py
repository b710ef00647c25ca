"""A wallet's lines over many months: each page, balance and statement by index, and only near what is asked for."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.db.partitions import month_floor
from gateway.ledger.model import EntryType
from gateway.ledger.reading import store as ledger
from gateway.ledger.reading.model import Wanted as Lines
from tests.support.long_past import LIMIT, MONTHS, PAGES_MAX, PAGES_OF_NOTHING_MAX, Past, rolled_back, too_much
from tests.support.months import FEW, MANY
from tests.support.reads import Measured


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


async def test_the_last_page_of_lines_costs_no_more_than_the_first(past: Past) -> None:
    async with past.db.connection() as connection:
        line = await connection.fetchval("SELECT id FROM ledger WHERE wallet_id = $1 AND wallet_seq = 30", MANY)
    assert await too_much(past, "ledger", partial(list_lines, Lines(wallet_id=MANY, before=line, most=LIMIT))) == []


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
        assert measured.passed_over < 400


@pytest.mark.parametrize("kind", [None, EntryType.HOLD])
async def test_a_page_of_lines_that_the_newest_month_fills_is_read_of_no_other(
    past: Past, kind: EntryType | None
) -> None:
    until = datetime.combine(past.months[MONTHS // 2], time(), UTC) + timedelta(days=20)
    async with past.db.connection() as connection:
        measured: Any = Measured(connection)
        wanted = Lines(wallet_id=MANY, type=kind, until=until, most=LIMIT)
        assert len(await ledger.list_lines(measured, wanted)) == LIMIT
    assert len({name for name in measured.tables if name.startswith("ledger_2")}) <= 2


async def first_place_of(admin: asyncpg.Connection, month: date) -> int:
    place: int = await admin.fetchval(
        "SELECT min(wallet_seq) FROM ledger WHERE wallet_id = $1 AND id >= month_floor($2)", MANY, month
    )
    return place


async def give_id(admin: asyncpg.Connection, place: int, number: int) -> None:
    """An id as a process may have made it whose clock goes otherwise."""
    await admin.execute(
        "UPDATE ledger SET id = $3 WHERE wallet_id = $1 AND wallet_seq = $2", MANY, place, UUID(int=number)
    )


async def test_lines_whose_ids_and_places_disagree_about_the_month_keep_their_places(
    past: Past, shared_database_url: str
) -> None:
    """By clocks that are apart: the first of a month by its place may be the last of the month before by its id."""
    month = past.months[MONTHS // 2]
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        await admin.execute("SET LOCAL session_replication_role = replica")
        first = await first_place_of(admin, month)
        for place, (seq, side) in enumerate([(first - 1, 1), (first, -1)]):
            await give_id(admin, seq, month_floor(month).int + side * ((1000 << 80) + place))
        until = datetime.combine(month, time(), UTC) + timedelta(days=2)
        lines = await ledger.list_lines(admin, Lines(wallet_id=MANY, until=until, most=400))
        pages, before = [], None
        for _ in range(len(lines)):
            [line] = await ledger.list_lines(admin, Lines(wallet_id=MANY, until=until, most=1, before=before))
            pages.append(line.seq)
            before = line.id
    await admin.close()
    assert first in pages
    assert pages == [line.seq for line in lines] == [*range(pages[0], pages[0] - 400, -1)]


@pytest.mark.parametrize("most", [3, 4, 5])
async def test_a_line_of_an_earlier_place_in_a_later_month_hides_none_of_the_month_before(
    past: Past, shared_database_url: str, most: int
) -> None:
    """The page begins in the later month, and is full within the month before."""
    month = past.months[MONTHS // 2]
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        await admin.execute("SET LOCAL session_replication_role = replica")
        first = await first_place_of(admin, month)
        until, border = first + 2, month_floor(month).int
        for seq, id_of in ((first - 3, border + (1000 << 80)), (until, border + (2000 << 80))):
            await give_id(admin, seq, id_of)
        before = await admin.fetchval("SELECT id FROM ledger WHERE wallet_id = $1 AND wallet_seq = $2", MANY, until)
        lines = await ledger.list_lines(admin, Lines(wallet_id=MANY, before=before, most=most))
    await admin.close()
    assert [line.seq for line in lines] == [*range(until - 1, until - 1 - most, -1)]


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


async def list_lines(wanted: Lines, tx: Any) -> Any:
    return await ledger.list_lines(tx, wanted)


async def standing_at(moment: datetime, tx: Any) -> Any:
    return await ledger.standing_at(tx, MANY, moment)


def near(when: dict[str, datetime]) -> dict[str, datetime]:
    """With what is looked at behind its end for a line that is later."""
    return {**when, "until": when["until"] + ledger.NEAR} if "until" in when else when
