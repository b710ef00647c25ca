"""SQL of lists of orders: by id, which carries the time, so that only the months asked for are visited, new ones first.

A parent's number is looked up behind the list, only where an order has one: within its statement the planner would
have all months to weigh once more.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from gateway.db.engine import Transaction, reading_by_index
from gateway.db.partitions import EACH_MONTH, FIRST_ID, LAST_ID, id_at, newest_first
from gateway.orders.families import store as families
from gateway.orders.lists.model import APART, Happened, Index, Listed, Wanted
from gateway.orders.store import COLUMNS_OF_O, numbers_of, to_order

CLOCKS_APART = timedelta(minutes=10)
"""How far the clock of a process that made an id may be from the database's."""

FEW = 100
"""Orders of one link, or of what may be rare, among which any other filter is looked for."""
LOOKED_THROUGH = 2000
"""Orders of an index that are looked at for filters that it does not have. At 1000 a page is often not full yet."""

_APART = ", ".join(f"'{dispatch.value}'" for dispatch in APART)
_SHOWN = (
    f"{COLUMNS_OF_O}, s.number AS service, o.created_at, o.updated_at, o.started_at, o.completed_at, o.cancel_wanted"
)


async def list_orders(tx: Transaction, wanted: Wanted) -> list[Listed]:
    """The newest first."""
    if wanted.is_impossible:
        return []
    service_id: UUID | None = None
    if wanted.service is not None:
        service_id = await tx.fetchval("SELECT id FROM services WHERE number = $1", wanted.service)
        if service_id is None:
            return []
    conditions = [
        "($2::timestamptz IS NULL OR o.created_at >= $2)",
        "($3::timestamptz IS NULL OR o.created_at < $3)",
    ]
    values: list[object] = [wanted.since, wanted.until]
    equal: dict[str, str] = {}
    for column, value in (
        ("o.user_id", wanted.user_id),
        ("o.status", wanted.only_status),
        ("o.dispatch", wanted.dispatch),
        ("o.provider_id", wanted.provider_id),
        ("o.service_id", service_id),
        ("o.link", wanted.link),
    ):
        if value is not None:
            values.append(value)
            equal[column] = f"${len(values) + 1}"
    if wanted.link is not None:
        equal["md5(o.link)"] = f"md5({equal['o.link']})"
    return await _with_families(tx, await _fill(tx, wanted, conditions, equal, values))


async def _fill(
    tx: Transaction, wanted: Wanted, conditions: Sequence[str], equal: Mapping[str, str], values: Sequence[object]
) -> list[asyncpg.Record]:
    """The rows by conditions of the values, which are `$2` and so on, from the newest months on.

    Prepared anew, it is planned for these very values: they tell months, and which index has the fewest rows. Behind
    the newest month, an index that is good for most values is tried by a plan that is kept before all months are
    planned for.
    """
    bottom = id_at(wanted.since - CLOCKS_APART) if wanted.since else FIRST_ID
    top = min(wanted.before or LAST_ID, id_at(wanted.until + CLOCKS_APART) if wanted.until else LAST_ID)
    now = datetime.now(UTC)
    every, low_place = [*conditions, *_terms(equal)], f"${len(values) + 2}"
    if wanted.link is not None:
        months = list(newest_first(bottom, top, now, EACH_MONTH))
        found = await _among_those_of_link(tx, every, equal, months, values, wanted.most)
        if found is not None:
            return found
    ranges = list(newest_first(bottom, top, now))
    if not ranges:
        return []
    planned = await tx.prepare(_page([*every, f"o.id >= {low_place}"], wanted.most))
    [(low, high), *older] = ranges
    rows: list[asyncpg.Record] = await planned.fetch(high, *values, low)
    if older and wanted.has_its_index and len(rows) < wanted.most:
        rows += await tx.fetch(_page(every, wanted.most), low, *values)
        older = []
    for place, index in enumerate(wanted.indexes, 1):
        if not older or len(rows) >= wanted.most:
            break
        looked_max = LOOKED_THROUGH if place == len(wanted.indexes) else FEW
        months = list(newest_first(bottom, low, now, EACH_MONTH))
        found, low = await _look_through(tx, index, looked_max, conditions, equal, months, values, wanted.most)
        rows += found
        older = list(newest_first(bottom, low, now))
    for low, high in older:
        if len(rows) >= wanted.most:
            break
        rows += await planned.fetch(high, *values, low)
    return rows[: wanted.most]


async def _among_those_of_link(
    tx: Transaction,
    conditions: Sequence[str],
    equal: Mapping[str, str],
    months: Sequence[tuple[UUID, UUID]],
    values: Sequence[object],
    rows_max: int,
) -> list[asyncpg.Record] | None:
    """The page, where the link has few orders in these months; None where it has more than `FEW`.

    Nearly all links have one order or two. They are found by a plan that is kept, whatever else is asked for. Its order
    is that of the index by link and of no other, as in `_look_through`.
    """
    lows, limit, link = f"${len(values) + 2}", f"${len(values) + 3}", equal["md5(o.link)"]
    query = f"""
        WITH of_link AS MATERIALIZED (
          SELECT o.* FROM unnest((SELECT {lows}::uuid[]), (SELECT $1::uuid[])) AS m(low, high)
           CROSS JOIN LATERAL (
             SELECT * FROM orders o
              WHERE md5(o.link) >= {link} AND md5(o.link) <= {link} AND o.id >= m.low AND o.id < m.high
              ORDER BY md5(o.link), o.user_id, o.id LIMIT {FEW + 1}) o
           LIMIT {FEW + 1})
        SELECT c.count AS of_link, p.* FROM (SELECT count(*) FROM of_link) c
          LEFT JOIN (SELECT {_SHOWN} FROM of_link o JOIN services s ON s.id = o.service_id
                      WHERE {" AND ".join(conditions)} ORDER BY o.id DESC LIMIT {limit}) p ON true
         ORDER BY p.id DESC
    """
    async with reading_by_index(tx):
        rows = await tx.fetch(query, [high for _, high in months], *values, [low for low, _ in months], rows_max)
    if rows[0]["of_link"] > FEW:
        return None
    return [row for row in rows if row["id"] is not None]


def _terms(equal: Mapping[str, str]) -> list[str]:
    return [f"{column} = {value}" for column, value in equal.items()]


def _page(conditions: Sequence[str], rows_max: int) -> str:
    """With `rows_max` for the planner to see: of a limit that it is not told it expects a tenth of all rows."""
    return f"""
        SELECT {_SHOWN} FROM (
          SELECT * FROM orders o WHERE {" AND ".join(conditions)} AND o.id < $1
           ORDER BY o.id DESC LIMIT {rows_max}) o
          JOIN services s ON s.id = o.service_id ORDER BY o.id DESC
    """


async def _look_through(
    tx: Transaction,
    index: Index,
    looked_max: int,
    conditions: Sequence[str],
    equal: Mapping[str, str],
    months: Sequence[tuple[UUID, UUID]],
    values: Sequence[object],
    rows_max: int,
) -> tuple[list[asyncpg.Record], UUID]:
    """Up to a page of these months, by a plan that is kept, and the id below which nothing was looked at.

    They are read one after the other until the page is full, or `looked_max` orders are looked at for what the index
    does not have. To plan for all months anew takes ten times as long as to read them. The plan knows no values, and
    might take an index for them that is only good for some. So the leading columns are compared together with the id,
    and are in the order before it: read by index, nothing but the index that begins with these has that order.
    """
    lows, limit = f"${len(values) + 2}", f"${len(values) + 3}"
    leading, order = ", ".join(index.leading), ", ".join(f"{column} DESC" for column in index.leading)
    wanted = ", ".join(equal[column] for column in index.leading)
    within = [f"({leading}, o.id) >= ({wanted}, m.low)", f"({leading}, o.id) < ({wanted}, m.high)"]
    within += _terms({column: equal[column] for column in index.columns.difference(index.leading)})
    if "o.dispatch" in index.leading:
        within.append(f"o.dispatch IN ({_APART})")  # in so many words, which that index is found by
    others = {column: value for column, value in equal.items() if column not in index.columns.union(index.leading)}
    query = f"""
        SELECT {_SHOWN}, o.fits, o.place FROM (
          SELECT o.*, {" AND ".join([*conditions, *_terms(others)])} AS fits FROM (
            SELECT o.*, row_number() OVER () AS place FROM (
              SELECT o.* FROM unnest((SELECT {lows}::uuid[]), (SELECT $1::uuid[])) AS m(low, high)
               CROSS JOIN LATERAL (
                 SELECT * FROM orders o WHERE {" AND ".join(within)} AND o.id >= m.low AND o.id < m.high
                  ORDER BY {order}, o.id DESC LIMIT {looked_max}) o
               LIMIT {looked_max}) o) o
           WHERE {" AND ".join([*conditions, *_terms(others)])} OR o.place = {looked_max}
           LIMIT {limit}) o
          JOIN services s ON s.id = o.service_id ORDER BY o.id DESC
    """
    async with reading_by_index(tx):
        rows = await tx.fetch(query, [high for _, high in months], *values, [low for low, _ in months], rows_max)
    has_more = bool(rows) and rows[-1]["place"] == looked_max
    return [row for row in rows if row["fits"]], rows[-1]["id"] if has_more else FIRST_ID


async def find_by_ids(tx: Transaction, user_id: UUID | None, ids: Sequence[UUID]) -> list[Listed]:
    """The orders with these ids, only the user's where one is named."""
    rows = await tx.fetch(
        f"""
        SELECT {_SHOWN} FROM orders o JOIN services s ON s.id = o.service_id
         WHERE o.id = ANY($1) AND ($2::uuid IS NULL OR o.user_id = $2)
        """,
        ids,
        user_id,
    )
    return await _with_families(tx, rows)


async def ids_of_numbers(
    tx: Transaction, user_id: UUID | None, number: int, ranges: Sequence[tuple[UUID, UUID]]
) -> list[UUID]:
    """The id of the order with a number; none where there is no such order of the user.

    A number that no order can have has no ranges, and would be none that the column's type can hold. The user is
    looked at behind the look-up, and the arrays are SELECTed, as in `find_by_numbers`.
    """
    if not ranges:
        return []
    rows = await tx.fetch(
        """
        SELECT o.id FROM unnest((SELECT $3::uuid[]), (SELECT $4::uuid[])) AS w(low, high)
         CROSS JOIN LATERAL (SELECT id, user_id FROM orders WHERE number = $2 AND id >= w.low AND id < w.high
                             OFFSET 0) o
         WHERE $1::uuid IS NULL OR o.user_id = $1
        """,
        user_id,
        number,
        [low for low, _ in ranges],
        [high for _, high in ranges],
    )
    return [row["id"] for row in rows]


async def events_of(tx: Transaction, order_id: UUID, after: UUID | None, most: int) -> list[Happened]:
    """What happened to an order, as its owner is told of it, oldest first, behind the event `after`.

    By their places, which those of old have none of: the ids of events of one millisecond are in no order.
    """
    rows = await tx.fetch(
        """
        SELECT id, type, data, created_at FROM events
         WHERE object_type = 'order' AND object_id = $1
           AND ($2::uuid IS NULL
                OR (coalesce(sequence, 0), id) > (SELECT coalesce(sequence, 0), id FROM events WHERE id = $2))
         ORDER BY coalesce(sequence, 0), id LIMIT $3
        """,
        order_id,
        after,
        most,
    )
    return [Happened(**row) for row in rows]


async def _with_families(tx: Transaction, rows: Sequence[asyncpg.Record]) -> list[Listed]:
    """Parents with their families and the numbers of their runs, runs with their parent's."""
    parents = [row["id"] for row in rows if row["is_parent"]]
    known = await families.load(tx, parents) if parents else {}
    children = await families.children_of(tx, parents) if parents else {}
    parents_of_runs = {row["parent_id"] for row in rows} - {None}
    numbers = await numbers_of(tx, list(parents_of_runs)) if parents_of_runs else {}
    return [
        Listed(
            to_order(row),
            row["service"],
            numbers.get(row["parent_id"]),
            row["created_at"],
            row["updated_at"],
            row["started_at"],
            row["completed_at"],
            known.get(row["id"]),
            tuple(number for _, number, _ in children.get(row["id"], ())),
            row["cancel_wanted"],
        )
        for row in rows
    ]
