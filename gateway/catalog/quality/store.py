"""SQL of measured quality: reads orders that ended, their accepted attempts and refills; writes days."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from gateway.catalog.quality.model import BOUNDS, Counts, Histogram
from gateway.db.engine import Transaction

DAYS_BACK = 31
"""Orders that ended earlier are not counted again."""
DAYS_KEPT = 90
DAY_TIMEOUT_S = 300.0
"""For a day's orders the pool's own limit may be too short."""


class Claim(msgspec.Struct, frozen=True):
    """A run of the measuring that nobody else is at. Times are the database's."""

    began_at: datetime
    measured_at: datetime | None
    today: date


async def lock(tx: Transaction) -> bool:
    """Whether nobody else counts now; held until the transaction ends."""
    locked: bool = await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('measure_quality'))")
    return locked


async def claim(tx: Transaction) -> Claim | None:
    """None where a run is not due yet, or another process is at it."""
    if not await lock(tx):
        return None
    row = await tx.fetchrow(
        """
        SELECT now() AS began_at, p.measured_at, (now() AT TIME ZONE 'UTC')::date AS today
          FROM (VALUES (true)) AS always LEFT JOIN quality_progress p ON p.is_only
         WHERE coalesce(p.due_at <= now(), true)
        """
    )
    return Claim(*row) if row else None


async def days_touched(tx: Transaction, claim: Claim, overlap: timedelta) -> list[date]:
    """The UTC days with orders that ended, were taken back or had a refill since the last run, oldest first.

    `overlap` is how long a transaction may have been open: what carries a time before the last run
    may have been committed after it.
    """
    first = claim.today - timedelta(days=DAYS_BACK - 1)
    if claim.measured_at is None:
        return [first + timedelta(days=day) for day in range(DAYS_BACK)]
    since = claim.measured_at - overlap
    rows = await tx.fetch(
        """
        SELECT d.day::date AS day FROM generate_series($1::date, $2::date, interval '1 day') AS d(day)
         WHERE EXISTS (SELECT FROM orders WHERE completed_at >= greatest(d.day::timestamp AT TIME ZONE 'UTC', $3)
                          AND completed_at < (d.day::timestamp + interval '1 day') AT TIME ZONE 'UTC')
        UNION
        SELECT (o.completed_at AT TIME ZONE 'UTC')::date
          FROM events e JOIN orders o ON o.id = e.object_id
         WHERE e.id >= $4 AND e.type = 'order.refunded' AND o.completed_at >= $1::date::timestamp AT TIME ZONE 'UTC'
        UNION
        SELECT (o.completed_at AT TIME ZONE 'UTC')::date
          FROM refills r JOIN orders o ON o.id = r.order_id
         WHERE r.id >= $4 AND o.completed_at >= $1::date::timestamp AT TIME ZONE 'UTC'
         ORDER BY day
        """,
        first,
        claim.today,
        since,
        _first_id(since),
    )
    return [row["day"] for row in rows]


async def count_day(tx: Transaction, day: date) -> None:
    """Count the orders that ended on a UTC day anew, by the route that took each.

    An order that was taken back counts as partial or cancelled, by what was left of it. Those that the
    upstream runs over a long time by agreement, as drip-feeds, have no times.
    """
    midnight = datetime.combine(day, time(), UTC)
    await tx.execute(_COUNT_DAY, day, BOUNDS, _first_id(midnight), timeout=DAY_TIMEOUT_S)


def _first_id(moment: datetime) -> UUID:
    """The lowest UUIDv7 of that time: rows that are put down later have higher ones."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


_COUNT_DAY = """
WITH ended AS (
  SELECT a.route_id, t.service_id, coalesce(r.refills, 0) AS refills,
         CASE WHEN o.status <> 'refunded' THEN o.status WHEN o.charge > 0 THEN 'partial' ELSE 'cancelled'
              END AS outcome,
         CASE WHEN NOT o.is_parent THEN width_bucket(extract(epoch FROM o.started_at - a.finished_at)::float8,
                $2::float8[]) END AS start,
         CASE WHEN NOT o.is_parent AND o.status = 'completed'
              THEN width_bucket(extract(epoch FROM o.completed_at - a.finished_at)::float8, $2::float8[]) END AS finish
    FROM orders o
    JOIN dispatch_attempts a ON a.order_id = o.id AND a.state = 'accepted'
    JOIN service_routes t ON t.id = a.route_id
    LEFT JOIN (SELECT order_id, count(*) AS refills FROM refills WHERE id >= $3 GROUP BY order_id) r
      ON r.order_id = o.id
   WHERE o.completed_at >= $1::date::timestamp AT TIME ZONE 'UTC'
     AND o.completed_at < ($1::date + 1)::timestamp AT TIME ZONE 'UTC'
     AND o.status IN ('completed', 'partial', 'cancelled', 'refunded')
), timed AS (
  SELECT route_id, what, bucket, count(*)::int AS orders
    FROM ended CROSS JOIN LATERAL (VALUES ('start', start), ('finish', finish)) AS v(what, bucket)
   WHERE bucket IS NOT NULL GROUP BY route_id, what, bucket
), histograms AS (
  SELECT route_id, what, array_agg(coalesce(t.orders, 0) ORDER BY bucket) AS counts
    FROM (SELECT route_id, what, generate_series(0, max(bucket)) AS bucket FROM timed GROUP BY route_id, what) b
    LEFT JOIN timed t USING (route_id, what, bucket) GROUP BY route_id, what
)
INSERT INTO quality_days AS q (route_id, service_id, day, completed, partial, cancelled, refills, starts, finishes)
SELECT c.route_id, c.service_id, $1::date, c.completed, c.partial, c.cancelled, c.refills,
       coalesce(s.counts, '{}'), coalesce(f.counts, '{}')
  FROM (SELECT route_id, service_id, count(*) FILTER (WHERE outcome = 'completed') AS completed,
               count(*) FILTER (WHERE outcome = 'partial') AS partial,
               count(*) FILTER (WHERE outcome = 'cancelled') AS cancelled, sum(refills) AS refills
          FROM ended GROUP BY route_id, service_id) c
  LEFT JOIN histograms s ON s.route_id = c.route_id AND s.what = 'start'
  LEFT JOIN histograms f ON f.route_id = c.route_id AND f.what = 'finish'
ON CONFLICT (route_id, day) DO UPDATE
   SET completed = excluded.completed, partial = excluded.partial, cancelled = excluded.cancelled,
       refills = excluded.refills, starts = excluded.starts, finishes = excluded.finishes
 WHERE (q.completed, q.partial, q.cancelled, q.refills, q.starts, q.finishes)
    IS DISTINCT FROM (excluded.completed, excluded.partial, excluded.cancelled, excluded.refills, excluded.starts,
                      excluded.finishes)
"""


async def finish(tx: Transaction, measured_at: datetime, rest: timedelta) -> None:
    """What ended before `measured_at` is counted; the next run is due a `rest` after now. Never goes back."""
    await tx.execute(
        """
        INSERT INTO quality_progress AS p (measured_at, due_at) VALUES ($1, clock_timestamp() + $2)
        ON CONFLICT (is_only) DO UPDATE SET measured_at = greatest(p.measured_at, excluded.measured_at),
           due_at = greatest(p.due_at, excluded.due_at)
        """,
        measured_at,
        rest,
    )


async def forget(tx: Transaction, today: date) -> None:
    """Delete the days that nothing is said of any more."""
    await tx.execute(
        "DELETE FROM quality_days WHERE day <= $1", today - timedelta(days=DAYS_KEPT), timeout=DAY_TIMEOUT_S
    )


# Reading -------------------------------------------------------------------------------------

Of = Literal["service_id", "route_id"]


async def totals(
    tx: Transaction,
    of: Of,
    days: int,
    *,
    orders_min: int = 1,
    service_id: UUID | None = None,
) -> Mapping[UUID, Counts]:
    """What was counted in the last `days` UTC days, today among them, by service or by route; None for all services."""
    values: list[object] = [days, orders_min]
    conditions = ["day > (now() AT TIME ZONE 'UTC')::date - $1::int"]
    if service_id is not None:
        values.append(service_id)
        conditions.append("service_id = $3")
    rows = await tx.fetch(
        f"""
        WITH days AS (
          SELECT {of} AS id, completed, partial, cancelled, refills, starts, finishes FROM quality_days
           WHERE {" AND ".join(conditions)}
        ), sums AS (
          SELECT id, sum(completed) AS completed, sum(partial) AS partial, sum(cancelled) AS cancelled,
                 sum(refills) AS refills
            FROM days GROUP BY id HAVING sum(completed + partial + cancelled) >= $2::int
        ), timed AS (
          SELECT id, bucket, sum(u.starts) AS starts, sum(u.finishes) AS finishes
            FROM days JOIN sums USING (id)
           CROSS JOIN LATERAL unnest(starts, finishes) WITH ORDINALITY AS u(starts, finishes, bucket)
           GROUP BY id, bucket
        ), spread AS (
          SELECT id, array_agg(starts ORDER BY bucket) AS starts, array_agg(finishes ORDER BY bucket) AS finishes
            FROM timed GROUP BY id
        )
        SELECT * FROM sums LEFT JOIN spread USING (id)
        """,
        *values,
        timeout=DAY_TIMEOUT_S,
    )
    return {
        row["id"]: Counts(
            row["completed"],
            row["partial"],
            row["cancelled"],
            row["refills"],
            _to_histogram(row["starts"]),
            _to_histogram(row["finishes"]),
        )
        for row in rows
    }


async def total_of_provider(tx: Transaction, provider_id: UUID, days: int) -> Counts:
    """What was counted in the last `days` UTC days, today among them, of all routes to a provider together.

    Bucket by bucket over the days: with all buckets of all days as rows there would be tens of thousands to sort.
    """
    row = await tx.fetchrow(_TOTAL_OF_PROVIDER, days, provider_id, timeout=DAY_TIMEOUT_S)
    assert row is not None, "sums have a row"
    return Counts(
        row["completed"],
        row["partial"],
        row["cancelled"],
        row["refills"],
        _to_histogram(row["starts"]),
        _to_histogram(row["finishes"]),
    )


def _summed(histogram: str) -> str:
    return f"""
      ARRAY(SELECT (SELECT sum({histogram}[bucket]) FROM days)
              FROM generate_series(1, (SELECT max(cardinality({histogram})) FROM days)) AS bucket ORDER BY bucket)
    """


_TOTAL_OF_PROVIDER = f"""
WITH days AS MATERIALIZED (
  SELECT completed, partial, cancelled, refills, starts, finishes FROM quality_days
   WHERE day > (now() AT TIME ZONE 'UTC')::date - $1::int
     AND route_id = ANY(ARRAY(SELECT id FROM service_routes WHERE provider_id = $2))
)
SELECT coalesce(sum(completed), 0) AS completed, coalesce(sum(partial), 0) AS partial,
       coalesce(sum(cancelled), 0) AS cancelled, coalesce(sum(refills), 0) AS refills,
       {_summed("starts")} AS starts, {_summed("finishes")} AS finishes
  FROM days
"""


def _to_histogram(orders: Sequence[int | None] | None) -> Histogram:
    """Up to the last bucket that has any; None is for none, as where another histogram is longer."""
    counts = [int(count or 0) for count in orders or ()]
    while counts and not counts[-1]:
        counts.pop()
    return tuple(counts)


class RouteRow(msgspec.Struct, frozen=True):
    """A route as an operator knows it, with its service."""

    service_id: UUID
    number: int
    name: str
    route_id: UUID
    provider: str
    provider_service_id: str


async def list_routes(tx: Transaction, number: int | None) -> list[RouteRow]:
    """All routes, or those of one service, by the service's number."""
    rows = await tx.fetch(
        """
        SELECT s.id, s.number, s.name, r.id, p.name, r.provider_service_id
          FROM services s JOIN service_routes r ON r.service_id = s.id JOIN providers p ON p.id = r.provider_id
         WHERE $1::int IS NULL OR s.number = $1 ORDER BY s.number, r.priority DESC, p.priority DESC, r.id
        """,
        number,
    )
    return [RouteRow(*row) for row in rows]
