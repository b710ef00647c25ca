"""SQL of our account at a provider: readings of its balance, pauses for want of money, deposits."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from compat.kinds import RULES, Counting
from gateway.alerts import store as alerts
from gateway.db.engine import Transaction
from gateway.providers.money.model import FUNDS_PAUSE_S, FUNDS_WAIT_S, SPEND_DAYS, Account, Deposit

ORDERS_WOKEN_MAX = 1000
_PACKAGES = [kind.value for kind, rule in RULES.items() if rule.counting is Counting.ONE]


async def keep_reading(tx: Transaction, provider_id: UUID, balance: Decimal) -> None:
    """Keep what the provider said where it is news, and once an hour all the same."""
    await tx.execute(
        """
        INSERT INTO balance_readings (provider_id, balance)
        SELECT $1, $2::numeric WHERE NOT EXISTS (
          SELECT FROM (SELECT balance, read_at FROM balance_readings WHERE provider_id = $1
                        ORDER BY read_at DESC LIMIT 1) last
           WHERE last.balance = $2::numeric AND last.read_at > now() - interval '1 hour')
        ON CONFLICT DO NOTHING
        """,
        provider_id,
        balance,
    )


async def purge_readings(tx: Transaction, most: int) -> int:
    """How many were deleted."""
    rows = await tx.fetch(
        """
        DELETE FROM balance_readings b USING (
          SELECT provider_id, read_at FROM balance_readings WHERE read_at < now() - interval '90 days' LIMIT $1) old
         WHERE b.provider_id = old.provider_id AND b.read_at = old.read_at RETURNING 1
        """,
        most,
    )
    return len(rows)


# Pauses for want of money --------------------------------------------------------------------


async def list_short(tx: Transaction) -> list[UUID]:
    """Providers with a route that rests for want of money."""
    rows = await tx.fetch(
        "SELECT DISTINCT provider_id FROM service_routes WHERE pause_cause = 'funds' AND paused_until > now()"
    )
    return [row["provider_id"] for row in rows]


async def lift_funds_pauses(tx: Transaction, provider_id: UUID, balance: Decimal) -> int:
    """How many routes are used again, because `balance`, read just now and not kept yet, shows that money is back.

    So it does where it is above the lowest reading from the last before the refusal on, and covers the
    cheapest order that waits for the route if any does; or where it covers that one and is another than
    the reading before the refusal. An unchanged balance shows nothing: the upstream refused an order at
    it, whatever the order's expected cost; nor does a cent more that still buys none.
    """
    lifted = await tx.fetch(
        _LIFT,
        provider_id,
        balance,
        float(FUNDS_PAUSE_S),
        _PACKAGES,
    )
    if lifted:
        await _wake(tx, [row["service_id"] for row in lifted])
        if provider_id not in await list_short(tx):
            await alerts.clear(tx, "provider_funds", f"provider {provider_id}")
    return len(lifted)


_LIFT = """
WITH paused AS (
  SELECT id, service_id, cost_per_1000, paused_until - make_interval(secs => $3) AS refused_at
    FROM service_routes WHERE provider_id = $1 AND pause_cause = 'funds' AND paused_until > now()
), before AS (
  SELECT balance, read_at FROM balance_readings
   WHERE provider_id = $1 AND read_at <= (SELECT max(refused_at) FROM paused) ORDER BY read_at DESC LIMIT 1
), low AS (
  SELECT min(balance) AS balance FROM balance_readings
   WHERE provider_id = $1 AND read_at >= coalesce((SELECT read_at FROM before), (SELECT max(refused_at) FROM paused))
), waiting AS (
  SELECT p.id, bool_or($2::numeric >= p.cost_per_1000
                         * CASE WHEN s.kind = ANY($4::text[]) THEN 1 ELSE o.quantity / 1000.0 END) AS is_covered
    FROM orders o JOIN services s ON s.id = o.service_id JOIN paused p ON p.service_id = o.service_id
   WHERE o.dispatch = 'queued' GROUP BY p.id
)
UPDATE service_routes r SET paused_until = NULL, paused_reason = NULL, pause_cause = NULL
  FROM paused LEFT JOIN waiting ON waiting.id = paused.id
 WHERE r.id = paused.id AND coalesce(waiting.is_covered, true)
   AND ($2::numeric > (SELECT balance FROM low)
     OR (waiting.is_covered AND $2::numeric IS DISTINCT FROM (SELECT balance FROM before)))
RETURNING r.service_id
"""


async def _wake(tx: Transaction, service_ids: list[UUID]) -> None:
    """What waits for a route of the services is due at once; what was put off for longer stays so."""
    await tx.execute(
        """
        WITH due AS (
          UPDATE orders o SET next_attempt_at = now()
            FROM (SELECT id FROM orders WHERE dispatch = 'queued' AND service_id = ANY($1)
                     AND next_attempt_at > now() AND next_attempt_at <= now() + make_interval(secs => $2)
                   ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED) waiting
           WHERE o.id = waiting.id)
        SELECT pg_notify('orders_queued', '')
        """,
        service_ids,
        float(FUNDS_WAIT_S),
        ORDERS_WOKEN_MAX,
    )


# The account ---------------------------------------------------------------------------------


async def find_account(tx: Transaction, provider_id: UUID) -> Account | None:
    row = await tx.fetchrow(
        """
        SELECT p.name, p.currency, p.balance, p.balance_at, p.low_balance, coalesce(a.spent, 0) AS spent,
               coalesce(extract(epoch FROM now() - a.first) / 86400, 0)::float8 AS spent_days,
               (SELECT count(*) FROM service_routes r WHERE r.provider_id = p.id AND r.pause_cause = 'funds'
                   AND r.paused_until > now())::int AS routes_paused
          FROM providers p
          LEFT JOIN LATERAL (
            SELECT sum(cost) AS spent, min(finished_at) AS first FROM dispatch_attempts
             WHERE provider_id = p.id AND state = 'accepted'
               AND finished_at > now() - make_interval(days => $2)) a ON true
         WHERE p.id = $1
        """,
        provider_id,
        SPEND_DAYS,
    )
    return Account(**dict(row)) if row else None


async def update_low_balance(tx: Transaction, provider_id: UUID, low_balance: Decimal | None) -> None:
    """In the provider's currency; None where nobody is to be told."""
    await tx.execute("UPDATE providers SET low_balance = $2 WHERE id = $1", provider_id, low_balance)


async def insert_deposit(
    tx: Transaction, provider_id: UUID, amount: Decimal, reference: str, at: datetime | None
) -> datetime | None:
    """When it was made, `at` or now; None where the reference was entered before, or `at` is yet to come."""
    made_at: datetime | None = await tx.fetchval(
        """
        INSERT INTO provider_deposits (provider_id, amount, reference, created_at)
        SELECT $1, $2::numeric, $3::text, coalesce($4::timestamptz, now()) WHERE coalesce($4 <= now(), true)
        ON CONFLICT DO NOTHING RETURNING created_at
        """,
        provider_id,
        amount,
        reference,
        at,
    )
    return made_at


async def list_deposits(tx: Transaction, provider_id: UUID, before: UUID | None, most: int) -> list[Deposit]:
    """The last entered first, below the id `before`."""
    rows = await tx.fetch(
        """
        SELECT id, amount, reference, created_at FROM provider_deposits
         WHERE provider_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
        """,
        provider_id,
        before,
        most,
    )
    return [Deposit(*row) for row in rows]


async def find_deposit(tx: Transaction, provider_id: UUID, reference: str) -> tuple[Decimal, datetime] | None:
    """Amount and time."""
    row = await tx.fetchrow(
        "SELECT amount, created_at FROM provider_deposits WHERE provider_id = $1 AND reference = $2",
        provider_id,
        reference,
    )
    return (row["amount"], row["created_at"]) if row else None


async def clock(tx: Transaction) -> datetime:
    """The database's."""
    now: datetime = await tx.fetchval("SELECT now()")
    return now
