"""SQL of what was earned."""

from datetime import date
from typing import NamedTuple

from gateway.db.engine import Transaction
from gateway.orders.margin.model import By, Margin

_KEYS = {
    None: ("NULL::text", "NULL::text"),
    By.SERVICE: ("s.number::text", "s.name::text"),
    By.PROVIDER: ("p.name::text", "p.name::text"),
    By.DAY: ("((o.completed_at AT TIME ZONE 'UTC')::date)::text", "NULL::text"),
}
_ORDER = {None: "currency", By.SERVICE: "of::int", By.PROVIDER: "of", By.DAY: "of DESC"}


async def report(tx: Transaction, by: By | None, since: date, until: date, most: int) -> list[Margin]:
    """What ended from the UTC day `since` to `until`, that one too, a row a currency besides.

    The cost of an order is what its upstream says it took, at the provider's exchange rate of now; where
    that is not known, the delivered share of what it was expected to cost. A parent counts with what
    its runs do not have: they are orders of their own.
    """
    of, name = _KEYS[by]
    rows = await tx.fetch(
        f"""
        WITH parts AS (
          {_part(of, name, _MANY, "o.dispatch = 'accepted' AND NOT o.is_parent")}
          UNION ALL
          {_part(of, name, _FEW, "o.dispatch = 'accepted' AND o.is_parent OR o.dispatch = 'written_off'")}
        )
        SELECT of, name, currency, sum(orders)::int AS orders, sum(turnover) AS turnover,
               coalesce(round(sum(cost), 8), 0) AS cost, sum(cost_unknown)::int AS cost_unknown,
               coalesce(sum(losses), 0) AS losses
          FROM parts GROUP BY of, name, currency
        HAVING sum(orders) > 0 OR sum(turnover) <> 0 OR sum(losses) IS NOT NULL
         ORDER BY {_ORDER[by]}, currency LIMIT $3
        """,
        since,
        until,
        most,
    )
    return [Margin(**dict(row)) for row in rows]


_COST = """
  CASE WHEN o.upstream_charge IS NOT NULL THEN o.upstream_charge * p.exchange_rate
       WHEN o.status = 'cancelled' THEN 0
       WHEN o.status = 'completed' THEN o.cost
       ELSE o.cost * (o.quantity - coalesce(o.remains, 0)) / o.quantity END
"""


class _Terms(NamedTuple):
    """Whether an order is counted, what it took and cost, and its loss, with the tables besides its own that tell."""

    counted: str = "true"
    turnover: str = "o.charge"
    cost: str = _COST
    loss: str = "NULL::numeric"
    joined: str = ""


_MANY = _Terms()
_FEW = _Terms(
    counted="o.dispatch = 'accepted' AND c.runs = 0",
    turnover="o.charge - c.charge",
    cost=f"""
      CASE WHEN o.dispatch <> 'accepted' THEN 0
           WHEN c.runs > 0 THEN CASE WHEN o.charge = c.charge THEN 0
                                ELSE o.cost * (o.charge - c.charge) / nullif(o.price, 0) END
           ELSE {_COST} END
    """,
    loss="l.loss",
    joined="""
      LEFT JOIN LATERAL (SELECT count(*) AS runs, coalesce(sum(r.charge), 0) AS charge
                           FROM orders r WHERE o.is_parent AND r.parent_id = o.id) c ON true
      LEFT JOIN LATERAL (SELECT sum(a.loss) AS loss FROM dispatch_attempts a
                          WHERE o.dispatch = 'written_off' AND a.order_id = o.id) l ON true
    """,
)
"""Of parents and of what was written off, for each of which other rows are read too; there are few."""


def _part(of: str, name: str, terms: _Terms, which: str) -> str:
    """The sums over those of the orders that ended of which the condition `which` holds."""
    return f"""
      SELECT {of} AS of, {name} AS name, o.currency, count(*) FILTER (WHERE {terms.counted}) AS orders,
             sum({terms.turnover}) AS turnover, sum({terms.cost}) AS cost,
             count(*) FILTER (WHERE ({terms.cost}) IS NULL) AS cost_unknown, sum({terms.loss}) AS losses
        FROM orders o JOIN services s ON s.id = o.service_id JOIN providers p ON p.id = o.provider_id {terms.joined}
       WHERE o.completed_at >= $1::date::timestamp AT TIME ZONE 'UTC'
         AND o.completed_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC' AND ({which})
       GROUP BY 1, 2, 3
    """
