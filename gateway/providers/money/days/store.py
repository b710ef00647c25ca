"""SQL of the days of an account, and of orders that were charged more than expected."""

from datetime import date, datetime
from uuid import UUID

from gateway.db.engine import Transaction, reading_by_index
from gateway.providers.money.model import POSTS_CHARGED, Charge, Day

READING_AGE_MAX_H = 2
"""Of the reading that stands for an end of a day; one is kept each hour while any worker runs."""
PRINTED_PLACES_MIN = 2

_EXPECTED = f"""
  SELECT CASE WHEN a.order_id = o.id THEN a.cost
              ELSE a.cost * o.quantity / (p.run_quantity * coalesce(p.runs, {POSTS_CHARGED})) END AS cost
    FROM dispatch_attempts a LEFT JOIN order_parents p ON p.order_id = a.order_id
   WHERE a.order_id IN (o.id, o.parent_id) AND a.state = 'accepted'
"""
"""The expected cost of order `o`, in its provider's currency; of a run that the upstream began, its share."""

_DELIVERED = """
  CASE o.status WHEN 'completed' THEN o.quantity WHEN 'cancelled' THEN 0 ELSE o.quantity - coalesce(o.remains, 0) END
"""


def _reading(provider: str, end: str, columns: str) -> str:
    """The last reading at or before an end of a day, where it is not too old to stand for it."""
    return f"""
  SELECT {columns} FROM balance_readings b
   WHERE b.provider_id = {provider} AND b.read_at <= {end}
     AND b.read_at > {end} - interval '{READING_AGE_MAX_H} hours'
   ORDER BY b.read_at DESC LIMIT 1
"""


_RECKON = f"""
WITH ends AS (
  SELECT opening.balance AS opening, opening.read_at AS first, closing.balance AS closing, closing.read_at AS last
    FROM ({_reading("$1", "$2::date::timestamp AT TIME ZONE 'UTC'", "balance, read_at")}) opening,
         ({_reading("$1", "($2::date + 1)::timestamp AT TIME ZONE 'UTC'", "balance, read_at")}) closing
), paid_in AS (
  SELECT coalesce(sum(d.amount), 0) AS amount FROM ends, provider_deposits d
   WHERE d.provider_id = $1 AND d.created_at > ends.first AND d.created_at <= ends.last
), charged AS (
  SELECT coalesce(sum(coalesce(a.cost, (SELECT upstream_charge FROM orders WHERE id = a.order_id), 0)), 0) AS amount
    FROM ends, dispatch_attempts a
   WHERE a.provider_id = $1 AND a.state = 'accepted' AND a.finished_at > ends.first AND a.finished_at <= ends.last
), ended_short AS (
  SELECT coalesce(sum(round(e.cost - CASE
           WHEN f.started > 0 THEN e.cost * least(coalesce(f.runs, {POSTS_CHARGED}), f.started + f.delivered_rest)
                                 / coalesce(f.runs, {POSTS_CHARGED})
           WHEN o.status = 'refunded' THEN e.cost * (o.charge + r.amount) / nullif(o.price, 0)
           ELSE coalesce(o.upstream_charge, e.cost * {_DELIVERED} / o.quantity) END, 8)), 0) AS amount
    FROM ends, orders o
    JOIN LATERAL ({_EXPECTED}) e ON true
    LEFT JOIN order_parents f ON f.order_id = o.id
    LEFT JOIN LATERAL (
      SELECT coalesce(sum(l.amount), 0) AS amount FROM ledger l
       WHERE l.reference_type = 'order' AND l.reference_id = o.id AND l.type = 'refund') r ON o.status = 'refunded'
   WHERE o.provider_id = $1 AND o.dispatch = 'accepted' AND o.status IN ('partial', 'cancelled', 'refunded')
     AND o.completed_at > ends.first AND o.completed_at <= ends.last
), taken_back AS (
  SELECT coalesce(sum(round(e.cost * l.amount / nullif(o.price, 0), 8)), 0) AS amount
    FROM ends, ledger l JOIN orders o ON o.id = l.reference_id
    JOIN LATERAL ({_EXPECTED}) e ON true
   WHERE l.type = 'refund' AND l.reference_type = 'order' AND l.created_at > ends.first AND l.created_at <= ends.last
     AND o.provider_id = $1 AND o.dispatch = 'accepted'
)
INSERT INTO provider_days (provider_id, day, opening, closing, deposits, charged, returned, difference)
SELECT $1, $2, opening, closing, paid_in.amount, charged.amount, ended_short.amount + taken_back.amount,
       closing - (opening + paid_in.amount - charged.amount + ended_short.amount + taken_back.amount)
  FROM ends, paid_in, charged, ended_short, taken_back
ON CONFLICT (provider_id, day) DO UPDATE
   SET opening = excluded.opening, closing = excluded.closing, deposits = excluded.deposits,
       charged = excluded.charged, returned = excluded.returned, difference = excluded.difference
RETURNING true
"""


async def reckon(tx: Transaction, provider_id: UUID, day: date) -> bool:
    """Put down a day that is over, anew where it is there; False where a reading at one of its ends is missing.

    What happened counts from the reading that opens the day to the one that closes it, so that each
    thing is in one day, and a day's closing is the next one's opening. The provider is locked first, so
    that of two at once the later one sees what the earlier one entered.
    """
    await tx.execute("SELECT FROM providers WHERE id = $1 FOR NO KEY UPDATE", provider_id)
    return bool(await tx.fetchval(_RECKON, provider_id, day))


async def list_unreckoned(tx: Transaction, days: int, most: int) -> list[tuple[UUID, date]]:
    """Days of the last so many that are over since five minutes and can be reckoned, the oldest first."""
    rows = await tx.fetch(
        f"""
        SELECT p.id, d.day FROM providers p
         CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date - n AS day FROM generate_series(1, $1::int) n) d
         WHERE (d.day + 1)::timestamp AT TIME ZONE 'UTC' <= now() - interval '5 minutes'
           AND NOT EXISTS (SELECT FROM provider_days x WHERE x.provider_id = p.id AND x.day = d.day)
           AND EXISTS ({_reading("p.id", "d.day::timestamp AT TIME ZONE 'UTC'", "1")})
           AND EXISTS ({_reading("p.id", "(d.day + 1)::timestamp AT TIME ZONE 'UTC'", "1")})
         ORDER BY d.day, p.id LIMIT $2
        """,
        days,
        most,
    )
    return [(row["id"], row["day"]) for row in rows]


async def list_days(tx: Transaction, provider_id: UUID, first: date, most: int) -> list[Day]:
    """The days from `first` to yesterday since the provider was added, the newest first, those that are missing too."""
    rows = await tx.fetch(
        f"""
        SELECT d.day, x.opening, x.closing, x.deposits, x.charged, x.returned, x.difference,
               CASE WHEN x.day IS NOT NULL THEN NULL
                    WHEN NOT EXISTS ({_reading("p.id", "d.day::timestamp AT TIME ZONE 'UTC'", "1")})
                      THEN 'no reading near its start'
                    WHEN NOT EXISTS ({_reading("p.id", "(d.day + 1)::timestamp AT TIME ZONE 'UTC'", "1")})
                      THEN 'no reading near its end'
                    ELSE 'not reckoned yet' END AS missing
          FROM providers p
         CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date - n AS day FROM generate_series(1, $3::int) n) d
          LEFT JOIN provider_days x ON x.provider_id = p.id AND x.day = d.day
         WHERE p.id = $1 AND d.day >= $2
           AND (x.day IS NOT NULL OR d.day >= (p.created_at AT TIME ZONE 'UTC')::date)
         ORDER BY d.day DESC
        """,
        provider_id,
        first,
        most,
    )
    return [Day(**dict(row)) for row in rows]


async def list_overcharges(tx: Transaction, provider_id: UUID, since: datetime, most: int) -> list[Charge]:
    """Orders that ended since then and were charged more than their delivered part should cost, the worst first.

    A difference below one unit of the last place that the upstream prints in any of these charges is
    its rounding. Runs are listed in place of their parents.
    """
    async with reading_by_index(tx):  # for one plan of all months, which is made once
        rows = await tx.fetch(
            f"""
            WITH ended AS (
              SELECT o.number, o.external_order_id AS upstream_id, o.status, o.completed_at,
                     round(e.cost * {_DELIVERED} / o.quantity, 8) AS expected, o.upstream_charge AS charged
                FROM orders o JOIN LATERAL ({_EXPECTED}) e ON true
                LEFT JOIN order_parents f ON f.order_id = o.id
               WHERE o.provider_id = $1 AND o.completed_at >= $2 AND o.dispatch = 'accepted'
                 AND o.upstream_charge IS NOT NULL AND e.cost IS NOT NULL AND coalesce(f.started, 0) = 0
            ), printed AS (
              SELECT power(10::numeric, -greatest({PRINTED_PLACES_MIN}, max(scale(trim_scale(charged))))) AS unit
                FROM ended
            )
            SELECT ended.*, charged - expected AS difference FROM ended, printed WHERE charged - expected >= unit
             ORDER BY difference DESC, number LIMIT $3
            """,
            provider_id,
            since,
            most,
        )
    return [Charge(**dict(row)) for row in rows]
