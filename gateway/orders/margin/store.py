"""SQL of what was earned: days that are over are added up once, and read as sums while none of their orders changes."""

from datetime import date
from typing import NamedTuple

from gateway.db.engine import Transaction, reading_by_index
from gateway.orders.margin.model import By, Margin


class _Rows(NamedTuple):
    """What a report has a row of: the column that tells sums apart; what is shown of it, joined and ordered by."""

    column: str
    of: str
    name: str
    joined: str
    order: str


_ROWS = {
    None: _Rows("NULL::date AS it", "NULL::text", "NULL::text", "", "1"),
    By.SERVICE: _Rows(
        "service_id AS it", "s.number::text", "s.name::text", "JOIN services s ON s.id = d.it", "min(s.number)"
    ),
    By.PROVIDER: _Rows("provider_id AS it", "p.name::text", "p.name::text", "", "1"),
    By.DAY: _Rows("day AS it", "d.it::text", "NULL::text", "", "min(d.it) DESC"),
}

ADD_UP_TIMEOUT_S = 300.0
"""Of a day: one with so many orders that it took longer would be tried again and again, before all older ones."""

_DAY = "(o.completed_at AT TIME ZONE 'UTC')::date"

_EXPECTED = """
  CASE WHEN o.status = 'cancelled' THEN 0 WHEN o.status = 'completed' THEN o.cost
       ELSE o.cost * (o.quantity - coalesce(o.remains, 0)) / o.quantity END
"""
"""The delivered share of what an order was expected to cost, in our currency; of one whose cost nobody knows, NULL."""

_PLAIN = f"""
  SELECT {_DAY} AS day, o.service_id, o.provider_id, o.currency, count(*) AS orders, sum(o.charge) AS turnover,
         coalesce(sum(o.upstream_charge), 0) AS upstream_charge,
         coalesce(sum({_EXPECTED}) FILTER (WHERE o.upstream_charge IS NULL), 0) AS cost,
         count(*) FILTER (WHERE o.upstream_charge IS NULL AND ({_EXPECTED}) IS NULL) AS cost_unknown
    FROM (SELECT o.* FROM ranges r JOIN orders o ON o.completed_at >= r.since AND o.completed_at < r.until
           WHERE o.dispatch = 'accepted' AND NOT o.is_parent AND o.provider_id IS NOT NULL) o
   GROUP BY 1, 2, 3, 4
"""
"""Of the orders that ended in `ranges`, what each is counted with by itself; all others are `_APART`."""

_APART = f"""
  SELECT {_DAY}, o.service_id, o.provider_id, o.currency, (o.dispatch = 'accepted' AND c.runs = 0)::int,
         o.charge - c.charge, CASE WHEN o.dispatch = 'accepted' AND c.runs = 0 THEN o.upstream_charge ELSE 0 END,
         CASE WHEN o.dispatch <> 'accepted' OR o.charge = c.charge AND c.runs > 0 THEN 0
              WHEN c.runs > 0 THEN o.cost * (o.charge - c.charge) / nullif(o.price, 0)
              WHEN o.upstream_charge IS NOT NULL THEN 0
              ELSE {_EXPECTED} END, l.loss
    FROM orders o
   CROSS JOIN LATERAL (SELECT count(*) AS runs, coalesce(sum(r.charge), 0) AS charge
                         FROM orders r WHERE o.is_parent AND r.parent_id = o.id) c
    LEFT JOIN LATERAL (SELECT sum(a.loss) AS loss FROM dispatch_attempts a
                        WHERE o.dispatch = 'written_off' AND a.order_id = o.id) l ON true
   WHERE o.completed_at >= $1::date::timestamp AT TIME ZONE 'UTC'
     AND o.completed_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
     AND (o.dispatch = 'accepted' AND o.is_parent OR o.dispatch = 'written_off')
"""
"""Parents and what was written off, an order a row: other rows are read for each, so that they are in no sums; there
are few."""

_IS_OPEN = """
  (NOT EXISTS (SELECT FROM margin_days m WHERE m.day = d.day)
   OR EXISTS (SELECT FROM margin_changes g WHERE g.day = d.day))
"""
"""Whether there are no sums of the day `d`, or not as it stands."""

_RANGES = f"""
  SELECT min(day)::timestamp AT TIME ZONE 'UTC' AS since, (max(day) + 1)::timestamp AT TIME ZONE 'UTC' AS until
    FROM (SELECT day, day - (row_number() OVER (ORDER BY day))::int AS block
            FROM (SELECT $1::date + n AS day FROM generate_series(0, $2::date - $1::date) n) d WHERE {_IS_OPEN}) open
   GROUP BY block
"""
"""The open days from `$1` to `$2`, those side by side together."""


async def report(tx: Transaction, by: By | None, since: date, until: date, most: int) -> list[Margin]:
    """What ended from the UTC day `since` to `until`, that one too, a row a currency besides.

    The cost of an order is what its upstream says it took, at the provider's exchange rate of now; where
    that is not known, the delivered share of what it was expected to cost. A parent counts with what
    its runs do not have: they are orders of their own.
    """
    rows_of = _ROWS[by]
    query = f"""
        WITH ranges AS ({_RANGES}), parts AS (
          SELECT m.day, service_id, provider_id, currency, orders, turnover, upstream_charge, cost, cost_unknown,
                 NULL::numeric AS loss
            FROM margin_sums m
           WHERE m.day BETWEEN $1 AND $2 AND NOT EXISTS (SELECT FROM margin_changes g WHERE g.day = m.day)
          UNION ALL
          SELECT *, NULL FROM ({_PLAIN}) plain
          UNION ALL
          SELECT day, service_id, provider_id, currency, orders, turnover, coalesce(upstream_charge, 0),
                 coalesce(cost, 0), (cost IS NULL)::int, loss
            FROM ({_APART}) apart(day, service_id, provider_id, currency, orders, turnover, upstream_charge, cost, loss)
        ), sums AS (
          SELECT {rows_of.column}, provider_id, currency, sum(orders) AS orders, sum(turnover) AS turnover,
                 sum(upstream_charge) AS upstream_charge, sum(cost) AS cost, sum(cost_unknown) AS cost_unknown,
                 sum(loss) AS loss
            FROM parts GROUP BY 1, 2, 3
        )
        SELECT {rows_of.of} AS of, {rows_of.name} AS name, d.currency, sum(d.orders)::int AS orders,
               sum(d.turnover) AS turnover, round(sum(d.cost + d.upstream_charge * p.exchange_rate), 8) AS cost,
               sum(d.cost_unknown)::int AS cost_unknown, coalesce(sum(d.loss), 0) AS losses
          FROM sums d JOIN providers p ON p.id = d.provider_id {rows_of.joined}
         GROUP BY 1, 2, 3 HAVING sum(d.orders) > 0 OR sum(d.turnover) <> 0 OR sum(d.loss) IS NOT NULL
         ORDER BY {rows_of.order}, d.currency LIMIT $3
        """
    async with reading_by_index(tx):
        rows = await tx.fetch(query, since, until, most)
    return [Margin(**dict(row)) for row in rows]


async def list_open(tx: Transaction, rest_s: float, most: int) -> list[date]:
    """Days that are over for so long, of which there are no sums or not as they stand, the latest first."""
    rows = await tx.fetch(
        f"""
        WITH bounds AS (
          SELECT ((SELECT min(completed_at) FROM orders) AT TIME ZONE 'UTC')::date AS first,
                 ((now() - make_interval(secs => $1)) AT TIME ZONE 'UTC')::date - 1 AS last
        )
        SELECT d.day FROM bounds, LATERAL (SELECT last - n AS day FROM generate_series(0, last - first) n) d
         WHERE {_IS_OPEN} ORDER BY d.day DESC LIMIT $2
        """,
        rest_s,
        most,
    )
    return [row["day"] for row in rows]


async def lock(tx: Transaction) -> bool:
    """Whether nobody else adds up days just now; the lock ends with the transaction."""
    locked: bool = await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('margin_days'))")
    return locked


async def add_up(tx: Transaction, day: date) -> bool:
    """Put down the sums of a day, anew where they are there; False where it is not open by now.

    The caller has the `lock`. The sums are made by the statement that drops the notes of changes: a change that
    is not in them is noted still.
    """
    if not await tx.fetchval(f"SELECT {_IS_OPEN} FROM (SELECT $1::date AS day) d", day):
        return False
    await tx.execute("DELETE FROM margin_days WHERE day = $1", day)
    await tx.execute("INSERT INTO margin_days (day) VALUES ($1)", day)
    await tx.execute(
        f"""
        WITH noted AS (DELETE FROM margin_changes WHERE day = $1),
             ranges AS (SELECT $1::date::timestamp AT TIME ZONE 'UTC' AS since,
                               ($1::date + 1)::timestamp AT TIME ZONE 'UTC' AS until)
        INSERT INTO margin_sums (day, service_id, provider_id, currency, orders, turnover, upstream_charge, cost,
                                 cost_unknown)
        {_PLAIN}
        """,
        day,
        timeout=ADD_UP_TIMEOUT_S,
    )
    return True
