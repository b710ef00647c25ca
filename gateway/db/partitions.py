"""Months of `orders` and `ledger`: making them ahead, reading them from the newest on, and which hold a number."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from uuid import UUID

from gateway.db.engine import Transaction

MONTHS_AHEAD = 3
DAYS_AHEAD = 14
DAYS_KEPT = 30
"""Of deliveries to webhooks."""
FIRST_ID = UUID(int=0)
LAST_ID = UUID(int=2**128 - 1)
MONTHS_BACK = (0, 3, 15)
"""How far a list looks back from the newest month, one after the other, before it looks at all there is."""
EACH_MONTH = range(36)
"""Each by itself as far back, for a statement whose plan is kept: it costs little for each range, and reads few."""


def month_floor(month: date) -> UUID:
    """The lowest UUIDv7 of a month (UTC)."""
    days = month.toordinal() - date(1970, 1, 1).toordinal()
    return UUID(int=(days * 86_400_000) << 80)


def id_at(moment: datetime) -> UUID:
    """The lowest UUIDv7 of a moment."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def newest_first(
    low: UUID, high: UUID, now: datetime, months_back: Iterable[int] = MONTHS_BACK
) -> Iterator[tuple[UUID, UUID]]:
    """Ranges `(lowest id, id above all)` that together are the one from `low` to below `high`, the newest first.

    PostgreSQL plans a statement for every month that it may touch, some 0.1 ms each. Who reads the newest rows first
    has mostly enough in the first range, from the month that `high` or `now` is in. Where a month was not
    made in time its rows are in these ranges all the same.
    """
    top = datetime.fromtimestamp((min(max(low.int, high.int - 1), id_at(now).int) >> 80) / 1000, UTC)
    months = top.year * 12 + top.month - 1
    for back in months_back:
        floor = month_floor(_month(months - back))
        if floor <= low:
            break
        if floor < high:
            yield floor, high
            high = floor
    if low < high:
        yield low, high


def _month(months: int) -> date:
    """So many since the year 0; none is before ids begin."""
    months = max(months, 1970 * 12)
    return date(months // 12, months % 12 + 1, 1)


class NumberMap:
    """Which ids an order's number can have, so that a look-up visits only those months.

    Months that are closed have their first and last number on record; all the rest, which has no
    record yet, is open: before them, between them and after them.
    """

    def __init__(self, closed: Iterable[tuple[date, int, int]] = ()) -> None:
        spans = [
            (first, last, (month_floor(month), month_floor(next_month(month)))) for month, first, last in sorted(closed)
        ]
        starts = [FIRST_ID, *(end for _, _, (_, end) in spans)]
        ends = [*(start for _, _, (start, _) in spans), LAST_ID]
        open_ = [(low, high) for low, high in zip(starts, ends, strict=True) if low < high][::-1]
        self._bounds = sorted({bound for first, last, _ in spans for bound in (first, last + 1)})
        self._ranges = [
            [*(span for first, last, span in spans if first <= number <= last), *open_] for number in (0, *self._bounds)
        ]
        """Of the numbers below each bound, and of those from the last one on: months share numbers where they meet."""

    def ranges(self, number: int) -> list[tuple[UUID, UUID]]:
        """`(lowest id, id above all)` of every range that may hold the number; the likely one comes first.

        That is a closed month which has such numbers. Without one it is the open range behind them all: what is open
        before or between closed months has rows only where something went wrong, but then it has them.
        """
        return self._ranges[bisect_right(self._bounds, number)]


async def load_number_map(tx: Transaction) -> NumberMap:
    rows = await tx.fetch("SELECT month, first_number, last_number FROM order_months ORDER BY month")
    return NumberMap((row["month"], row["first_number"], row["last_number"]) for row in rows)


async def ensure(tx: Transaction) -> int:
    """Make the months ahead; the number of partitions made."""
    made: int = await tx.fetchval("SELECT ensure_partitions($1)", MONTHS_AHEAD)
    return made


async def keep_days(tx: Transaction) -> int:
    """Make the days of deliveries ahead and drop those that are over; how many partitions changed."""
    changed: int = await tx.fetchval("SELECT keep_delivery_days($1, $2)", DAYS_AHEAD, DAYS_KEPT)
    return changed


async def close_months(tx: Transaction) -> None:
    """Record the numbers of the months that ended more than a day ago."""
    await tx.execute(
        """
        INSERT INTO order_months (month, first_number, last_number)
        SELECT m.month, n.first_number, n.last_number
          FROM (SELECT to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM') AS month FROM pg_inherits
                 WHERE inhparent = 'orders'::regclass AND inhrelid::regclass::text ~ '_[0-9]{4}_[0-9]{2}$') m
         CROSS JOIN LATERAL (SELECT min(number) AS first_number, max(number) AS last_number FROM orders
                 WHERE id >= month_floor(m.month) AND id < month_floor((m.month + interval '1 month')::date)) n
         WHERE m.month + interval '1 month 1 day' < now() AND n.first_number IS NOT NULL
        ON CONFLICT DO NOTHING
        """
    )


async def rows_in_default(tx: Transaction) -> dict[str, bool]:
    """Whether a default partition was used, which means that a month was missing."""
    row = await tx.fetchrow(
        """
        SELECT EXISTS (SELECT FROM orders_default) AS orders, EXISTS (SELECT FROM ledger_default) AS ledger
        """
    )
    return dict(row) if row else {}
