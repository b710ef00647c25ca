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
from gateway.orders.lists.model import APART, Happened, Listed, Wanted
from gateway.orders.store import COLUMNS_OF_O, numbers_of, to_order

CLOCKS_APART = timedelta(minutes=10)
"""How far the clock of a process that made an id may be from the database's."""

FEW = 100
"""Orders of one link, among which any other filter is looked for."""

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

    Prepared anew, it is planned for these very values: they tell months, and which index has the fewest rows. Where
    that is known without them, all months behind the newest are read by a plan that is kept.
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
    planned = await tx.prepare(_page([*every, f"o.id >= {low_place}"], wanted.most))
    rows: list[asyncpg.Record] = []
    for place, (low, high) in enumerate(newest_first(bottom, top, now)):
        if place and wanted.has_its_index:
            rows += await tx.fetch(_page(every, wanted.most), high, *values)
            break
        if place and wanted.leading is not None:
            query = _page_of_months(conditions, equal, wanted.leading, low_place, f"${len(values) + 3}")
            months = list(newest_first(bottom, high, now, EACH_MONTH))
            lows, highs = [low for low, _ in months], [high for _, high in months]
            async with reading_by_index(tx):
                rows += await tx.fetch(query, highs, *values, lows, wanted.most)
            break
        rows += await planned.fetch(high, *values, low)
        if len(rows) >= wanted.most:
            break
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
    is that of the index by link and of no other, as in `_page_of_months`.
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


def _page_of_months(
    conditions: Sequence[str], equal: Mapping[str, str], leading: Sequence[str], lows: str, rows_max: str
) -> str:
    """Of as many months as its arrays have, one after the other until the page is full.

    Its plan is kept, where to plan for all months anew takes ten times as long as to read them. It knows no values,
    and might take an index for them that is only good for some. So the leading columns are compared together with the
    id, and are in the order before it: read by index, nothing but the index that begins with these has that order.
    """
    others = _terms({column: value for column, value in equal.items() if column not in leading})
    columns, values = ", ".join(leading), ", ".join(equal[column] for column in leading)
    if "o.dispatch" in leading:
        others.append(f"o.dispatch IN ({_APART})")  # in so many words, which that index is found by
    within = f"({columns}, o.id) >= ({values}, m.low) AND ({columns}, o.id) < ({values}, m.high)"
    return f"""
        SELECT {_SHOWN} FROM (
          SELECT o.* FROM unnest((SELECT {lows}::uuid[]), (SELECT $1::uuid[])) AS m(low, high)
           CROSS JOIN LATERAL (
             SELECT * FROM orders o
              WHERE {" AND ".join([*conditions, *others, within])} AND o.id >= m.low AND o.id < m.high
              ORDER BY {", ".join(f"{column} DESC" for column in leading)}, o.id DESC LIMIT {rows_max}) o
           LIMIT {rows_max}) o
          JOIN services s ON s.id = o.service_id ORDER BY o.id DESC
    """


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
