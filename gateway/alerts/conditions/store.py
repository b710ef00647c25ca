"""Every kind of alert in one table, with the SQL that tells what holds and what is over, and the SQL of the sweep."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from gateway.db.engine import Transaction

Severity = Literal["info", "warning", "critical"]

HELD_MAX = 1000
"""Of one kind at once; while there are more, none of that kind is cleared."""

_PROVIDER_LOW = """
SELECT 'provider ' || id AS subject, jsonb_build_object('balance', balance, 'low_balance', low_balance) AS details,
       format('%s has %s %s of ours left, below %s', name, trim_scale(balance), currency, trim_scale(low_balance))
         AS message
  FROM providers WHERE is_active AND balance < low_balance
"""

# $1: between two readings of a balance. The newest attempts alone are read: a provider that takes
# sends by the thousand shows among them.
_PROVIDER_DOWN = """
WITH patience AS (
  SELECT greatest(interval '20 minutes', 4 * $1::interval) AS balance
), newest AS (
  SELECT provider_id, state FROM dispatch_attempts WHERE started_at > now() - interval '10 minutes'
     AND id >= (lpad(to_hex((extract(epoch FROM now() - interval '11 minutes') * 1000)::bigint), 12, '0')
                || repeat('0', 20))::uuid
   ORDER BY id DESC LIMIT 20000
), sends AS (
  SELECT provider_id, count(*) AS finished, count(*) FILTER (WHERE state = 'not_sent') AS not_sent
    FROM newest WHERE state <> 'sending' GROUP BY provider_id
), causes AS (
  SELECT p.id, p.name, array_remove(ARRAY[
           CASE WHEN p.sync_error IS NOT NULL THEN 'its services cannot be read: ' || left(p.sync_error, 200) END,
           CASE WHEN s.finished >= 5 AND s.not_sent = s.finished
                THEN format('none of its last %s orders could be sent', s.finished) END,
           CASE WHEN p.balance_at < now() - b.balance AND EXISTS (
                  SELECT FROM processes w WHERE w.kind = 'work' AND w.seen_at > now() - interval '1 minute'
                     AND w.started_at < now() - b.balance)
                THEN to_char(p.balance_at AT TIME ZONE 'UTC',
                             '"it has not told our balance since "YYYY-MM-DD HH24:MI" UTC"') END], NULL) AS said
    FROM patience b CROSS JOIN providers p LEFT JOIN sends s ON s.provider_id = p.id WHERE p.is_active
)
SELECT 'provider ' || id AS subject, name || ': ' || array_to_string(said, '; ') AS message,
       jsonb_build_object('causes', said) AS details FROM causes WHERE said <> '{}'
"""

# Of our own accord, that is: an operator who pauses a provider knows of it.
_PROVIDER_PAUSED = """
SELECT 'provider ' || id AS subject, jsonb_build_object() AS details,
       left(paused_reason, 300) || '; it gets no orders until they are resolved or it is resumed' AS message
  FROM providers WHERE is_active AND paused_until > now() AND starts_with(paused_reason, 'too many unknown orders')
"""

_QUARANTINE = """
SELECT 'provider ' || p.id AS subject, jsonb_build_object('count', count(*)) AS details,
       format('%s: new prices of %s routes wait to be accepted, among them of services %s', p.name, count(*),
         array_to_string((array_agg(s.number || ' (' || trim_scale(r.cost_per_1000) || ' to '
           || trim_scale(r.offered_cost) || ')' ORDER BY s.number))[1:5], ', ')) AS message
  FROM service_routes r JOIN providers p ON p.id = r.provider_id JOIN services s ON s.id = r.service_id
 WHERE r.offered_cost IS NOT NULL AND r.is_active AND r.is_listed AND p.is_active AND s.is_offered GROUP BY p.id
"""

_UNKNOWN_ORDER = """
SELECT 'order ' || number AS subject, jsonb_build_object() AS details,
       'it is not known whether the upstream took the order; it will not be sent again by itself' AS message
  FROM orders WHERE dispatch = 'unknown'
"""

# $1: how long an accepted order may stay as it is. A parent lives as long as its runs do.
_STUCK_ORDERS = """
WITH stuck AS (
  SELECT 'queued' AS state, provider_id, number, queued_at AS since FROM orders
   WHERE dispatch = 'queued' AND queued_at < now() - interval '15 minutes'
  UNION ALL
  SELECT 'sending', a.provider_id, o.number, a.started_at FROM dispatch_attempts a JOIN orders o ON o.id = a.order_id
   WHERE a.state = 'sending' AND a.lease_until < now() - interval '2 minutes'
  UNION ALL
  SELECT 'accepted', provider_id, number, created_at FROM orders o
   WHERE dispatch = 'accepted' AND status IN ('pending', 'processing') AND NOT is_parent
     AND created_at < now() - $1::interval AND NOT EXISTS (
       SELECT FROM order_events e WHERE e.order_id = o.id AND e.created_at > now() - $1::interval)
)
SELECT format('%s at provider %s', state, coalesce(provider_id::text, 'none')) AS subject,
       format('%s: %s orders %s, the oldest since %s UTC: %s', coalesce(p.name, 'no provider'), count(*),
         CASE state WHEN 'queued' THEN 'wait in the queue for more than 15 minutes'
                    WHEN 'sending' THEN 'are sent by a worker that does not say what came of it'
                    ELSE 'are in work with no news of them' END,
         to_char(min(since) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
         array_to_string((array_agg(number ORDER BY since, number))[1:5], ', ')) AS message,
       jsonb_build_object('count', count(*)) AS details
  FROM stuck LEFT JOIN providers p ON p.id = provider_id GROUP BY state, provider_id, p.name
"""

# Said only where a process was there all the last minute: while the database was gone, none was seen.
_WORKER_SILENT = """
SELECT 'worker' AS subject, 'no worker was seen for a minute: nothing is sent or followed' AS message,
       jsonb_build_object('last_seen', (SELECT max(seen_at) FROM processes WHERE kind = 'work')) AS details
 WHERE NOT EXISTS (SELECT FROM processes WHERE kind = 'work' AND seen_at > now() - interval '1 minute')
   AND (EXISTS (SELECT FROM processes WHERE kind = 'work') OR EXISTS (
          SELECT FROM orders WHERE dispatch = 'queued' AND queued_at < now() - interval '1 minute'))
   AND EXISTS (SELECT FROM processes WHERE seen_at > now() - interval '1 minute'
                  AND started_at < now() - interval '1 minute')
"""

_DEFAULT_PARTITION = """
SELECT used AS subject, used || '_default holds rows: a month was missing; see docs/operations.md' AS message,
       jsonb_build_object() AS details
  FROM (SELECT 'orders' AS used WHERE EXISTS (SELECT FROM orders_default)
        UNION ALL SELECT 'ledger' WHERE EXISTS (SELECT FROM ledger_default)) d
"""

# A user's price: of the service, else a percentage of it, else the percentage on all. The lowest of
# the last kind sorts out, once, the services that nobody buys below cost by it.
_SOLD_AT_A_LOSS = """
WITH discount AS (SELECT min(percent) AS percent FROM custom_prices WHERE service_id IS NULL),
own AS (
  SELECT c.service_id, min(coalesce(c.price, s.price_per_1000 * (1 + c.percent / 100))) AS price
    FROM custom_prices c JOIN services s ON s.id = c.service_id GROUP BY c.service_id
), bought AS (
  SELECT p.id AS provider_id, p.name, s.id AS service_id, s.number, s.price_per_1000 AS price,
         max(r.cost_per_1000 * p.exchange_rate) AS cost
    FROM service_routes r JOIN providers p ON p.id = r.provider_id JOIN services s ON s.id = r.service_id
   WHERE s.is_active AND r.is_active AND r.is_listed AND r.offered_cost IS NULL AND p.is_active
   GROUP BY p.id, s.id
), lost AS (
  SELECT b.* FROM bought b CROSS JOIN discount d LEFT JOIN own ON own.service_id = b.service_id
   WHERE b.price < b.cost OR own.price < b.cost
      OR (b.price * (1 + d.percent / 100) < b.cost AND EXISTS (
            SELECT FROM custom_prices g WHERE g.service_id IS NULL AND b.price * (1 + g.percent / 100) < b.cost
               AND NOT EXISTS (SELECT FROM custom_prices c WHERE c.user_id = g.user_id
                                  AND c.service_id = b.service_id)))
)
SELECT 'provider ' || provider_id AS subject, jsonb_build_object('count', count(*)) AS details,
       format('%s costs more than %s of its services are sold for, to all or to some: %s', name, count(*),
         array_to_string((array_agg(number || ' (price ' || trim_scale(price) || ', cost ' || trim_scale(cost) || ')'
           ORDER BY number))[1:5], ', ')) AS message
  FROM lost GROUP BY provider_id, name
"""

_RESELLER_LOW = """
SELECT 'wallet ' || w.id AS subject, jsonb_build_object('spendable', w.balance - w.hold_amount) AS details,
       format('%s has %s %s left to spend, below %s', u.email, trim_scale(w.balance - w.hold_amount), w.currency,
         trim_scale(w.low_balance)) AS message
  FROM wallets w JOIN users u ON u.id = w.user_id
 WHERE u.status = 'active' AND w.balance - w.hold_amount < w.low_balance
"""

_ID = "CASE WHEN a.subject ~ '^[a-z]+ [0-9a-f-]{36}$' THEN split_part(a.subject, ' ', 2)::uuid END"
_NUMBER = "CASE WHEN a.subject ~ '^order [0-9]{1,10}$' THEN split_part(a.subject, ' ', 2)::bigint END"


SAID_NO_MORE = "true"
"""Of a kind that other code counts while it lasts: over when it was not for a while."""


class Condition(msgspec.Struct, frozen=True):
    """A kind of alert.

    `holding` selects subject, message and details of all that hold now: the sweep raises what is new,
    counts what lasts and clears the rest. `over` is said of an open alert `a` that other code raised:
    the sweep clears it. A kind with neither is a fact, which stays until an operator clears it.
    `arguments` are the settings, in seconds, that the SQL takes as intervals.
    """

    kind: str
    severity: Severity
    holding: str | None = None
    over: str | None = None
    arguments: tuple[str, ...] = ()


CONDITIONS = (
    Condition("provider_low", "warning", _PROVIDER_LOW),
    Condition("provider_down", "critical", _PROVIDER_DOWN, arguments=("balance_interval_s",)),
    Condition("provider_paused", "critical", _PROVIDER_PAUSED),
    Condition("quarantine", "warning", _QUARANTINE),
    Condition("unknown_order", "critical", _UNKNOWN_ORDER),
    Condition("stuck_orders", "warning", _STUCK_ORDERS, arguments=("stuck_order_s",)),
    Condition("worker_silent", "critical", _WORKER_SILENT),
    Condition("default_partition", "critical", _DEFAULT_PARTITION),
    Condition("sold_at_a_loss", "critical", _SOLD_AT_A_LOSS),
    Condition("reseller_low", "info", _RESELLER_LOW),
    Condition(
        "unsendable_order",
        "critical",
        over=f"NOT EXISTS (SELECT FROM orders o WHERE o.id = {_ID} AND o.dispatch = 'queued')",
    ),
    Condition(
        "unreadable_status",
        "warning",
        over=f"NOT EXISTS (SELECT FROM orders o WHERE o.number = {_NUMBER} AND o.check_failures > 0"
        " AND o.dispatch = 'accepted' AND o.completed_at IS NULL)",
    ),
    Condition(
        "route_paused",
        "warning",
        over=f"NOT EXISTS (SELECT FROM service_routes r WHERE r.id = {_ID} AND r.is_active"
        " AND r.paused_until > now() - interval '10 minutes' AND r.pause_cause IS DISTINCT FROM 'operator')",
    ),
    Condition(
        "provider_funds",
        "critical",
        over=f"NOT EXISTS (SELECT FROM service_routes r WHERE r.provider_id = {_ID} AND r.is_active"
        " AND r.paused_until > now() - interval '10 minutes' AND r.pause_cause IS DISTINCT FROM 'operator')",
    ),
    Condition(
        "provider_key_refused",
        "critical",
        over=f"NOT EXISTS (SELECT FROM providers p WHERE p.id = {_ID} AND p.is_active)",
    ),
    Condition(
        "provider_currency",
        "critical",
        over=f"NOT EXISTS (SELECT FROM providers p WHERE p.id = {_ID} AND p.is_active)",
    ),
    Condition(
        "unreadable_refill",
        "warning",
        over="NOT EXISTS (SELECT FROM refills f JOIN orders o ON o.id = f.order_id"
        f" WHERE o.number = {_NUMBER} AND f.state = 'accepted')",
    ),
    Condition(
        "unknown_refill",
        "warning",
        over="NOT EXISTS (SELECT FROM refills f JOIN orders o ON o.id = f.order_id"
        f" WHERE o.number = {_NUMBER} AND f.state = 'unknown')",
    ),
    Condition(
        "cancel_unanswered",
        "warning",
        over="NOT EXISTS (SELECT FROM orders o JOIN cancellations c ON c.order_id = o.id"
        f" WHERE o.number = {_NUMBER} AND c.state = 'failed' AND o.status IN ('pending', 'processing'))",
    ),
    Condition(
        "subscription_unpaid",
        "info",
        over="NOT EXISTS (SELECT FROM orders o JOIN order_parents f ON f.order_id = o.id"
        f" WHERE o.number = {_NUMBER} AND f.state = 'paused')",
    ),
    Condition(
        "webhook_off", "info", over=f"NOT EXISTS (SELECT FROM webhooks w WHERE w.id = {_ID} AND NOT w.is_active)"
    ),
    Condition("redis_down", "critical", over=SAID_NO_MORE),
    Condition("alert_undelivered", "critical"),
    Condition("ledger", "critical"),
    Condition("orphaned_upstream_order", "critical"),
    Condition("completed_after_end", "warning"),
    Condition("refunded_by_upstream", "warning"),
    Condition("surplus_run", "warning"),
)
_SEVERITIES: dict[str, Severity] = {condition.kind: condition.severity for condition in CONDITIONS}


def severity_of(kind: str) -> Severity:
    """A kind that is not in the table is a warning."""
    return _SEVERITIES.get(kind, "warning")


async def claim_sweep(tx: Transaction) -> bool:
    """Whether no other process sweeps at this moment; held until the transaction ends."""
    claimed: bool = await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('alerts_sweep'))")
    return claimed


async def apply(tx: Transaction, condition: Condition, arguments: Sequence[timedelta], quiet: timedelta) -> None:
    """Bring the alerts of a kind up to what holds now; one that was raised within `quiet` is not cleared yet."""
    quiet_place = f"${len(arguments) + 1}"
    if condition.holding is not None:
        await tx.execute(_hold(condition.kind, condition.severity, condition.holding, quiet_place), *arguments, quiet)
    elif condition.over is not None:
        await tx.execute(_end(condition.kind, condition.over, quiet_place), *arguments, quiet)


def _hold(kind: str, severity: Severity, holding: str, quiet: str) -> str:
    gone = f"a.subject NOT IN (SELECT subject FROM held) AND (SELECT count(*) FROM held) <= {HELD_MAX}"
    return f"""
        WITH held AS MATERIALIZED (
          SELECT left(subject, 255) AS subject, message, details FROM ({holding}) h LIMIT {HELD_MAX + 1}
        ), raised AS (
          INSERT INTO alerts (kind, severity, subject, message, details)
          SELECT '{kind}', '{severity}', subject, message, details FROM held ORDER BY subject LIMIT {HELD_MAX}
          ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
          DO UPDATE SET count = alerts.count + 1, last_at = now(), message = excluded.message,
                        details = excluded.details, severity = excluded.severity
        )
        {_end(kind, gone, quiet)}
        """


def _end(kind: str, gone: str, quiet: str) -> str:
    return f"""
        UPDATE alerts SET cleared_at = now() WHERE id IN (
          SELECT a.id FROM alerts a WHERE a.kind = '{kind}' AND a.cleared_at IS NULL
             AND a.last_at < now() - {quiet}::interval AND {gone} FOR UPDATE OF a SKIP LOCKED)
        """
