"""SQL of unknown attempts: those to look for, those to resolve, and the pause of a provider that has too many."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction
from gateway.dispatch.resend import KEY_AGE_MAX
from gateway.dispatch.unknowns.model import ROUNDS_MAX, Doubt, Sought, Window, wait_after

NEIGHBOURS = 10_000
"""Attempts before and after one, of all providers, among which ids that bound it are looked for."""
RIVALS_MAX = 100
FAMILIES_MAX = 100
SLACK = timedelta(seconds=10)
"""How long after a call was given up the upstream may still take its order."""
_NUMERIC = "'^[1-9][0-9]{0,17}$'"


# probes --------------------------------------------------------------------------------------


async def providers_to_probe(tx: Transaction) -> list[UUID]:
    """Providers with probes switched on that have an attempt due to be looked for."""
    rows = await tx.fetch(f"SELECT DISTINCT a.provider_id {_DUE}", ROUNDS_MAX, KEY_AGE_MAX)
    return [row["provider_id"] for row in rows]


_DUE = """
  FROM dispatch_attempts a JOIN providers p ON p.id = a.provider_id
 WHERE a.state = 'unknown' AND p.probes AND a.probes < $1 AND a.cost > 0 AND a.lease_until < now()
   AND coalesce(a.next_probe_at, now()) <= now()
   AND NOT (a.replayable AND p.honours_extension AND p.is_active AND a.started_at > now() - $2::interval)
"""
"""Never one under way, nor one that is cleared by copies (`resend`)."""


async def claim_to_probe(tx: Transaction, provider_id: UUID) -> Sought | None:
    """One attempt that is due at the provider, put off to its next round."""
    row = await tx.fetchrow(
        f"""
        WITH due AS (SELECT a.id {_DUE} AND a.provider_id = $3
                      ORDER BY a.next_probe_at NULLS FIRST, a.id LIMIT 1 FOR UPDATE OF a SKIP LOCKED)
        UPDATE dispatch_attempts a SET probes = a.probes + 1, next_probe_at = now() + ($4::interval[])[a.probes + 1]
          FROM due, orders o, providers p
         WHERE a.id = due.id AND o.id = a.order_id AND p.id = a.provider_id
        RETURNING a.id, a.provider_id, o.number, o.quantity, a.cost, p.currency, a.resends, o.is_parent
        """,
        ROUNDS_MAX,
        KEY_AGE_MAX,
        provider_id,
        [wait_after(number) for number in range(1, ROUNDS_MAX + 1)],
    )
    return Sought(*row) if row else None


async def window_of(tx: Transaction, attempt_id: UUID) -> Window:
    """By the ids of what was accepted before the attempt began, and of what was begun after it was given up.

    What was sent again was given up when the lease of its last copy was over.
    """
    row = await tx.fetchrow(
        """
        SELECT provider_id, started_at,
               CASE WHEN resends = 0 THEN finished_at ELSE greatest(finished_at, lease_until) END AS finished_at
          FROM dispatch_attempts WHERE id = $1
        """,
        attempt_id,
    )
    if row is None:
        return Window(None, None)
    above = await tx.fetchval(
        f"""
        SELECT max(upstream_id::bigint) FROM (
          SELECT provider_id, state, upstream_id, finished_at FROM dispatch_attempts
           WHERE id < $1 ORDER BY id DESC LIMIT $4) n
         WHERE provider_id = $2 AND state = 'accepted' AND upstream_id ~ {_NUMERIC} AND finished_at < $3
        """,
        attempt_id,
        row["provider_id"],
        row["started_at"],
        NEIGHBOURS,
    )
    if row["finished_at"] is None:
        return Window(above, None)
    below = await tx.fetchval(
        f"""
        SELECT min(upstream_id::bigint) FROM (
          SELECT provider_id, state, upstream_id, started_at FROM dispatch_attempts
           WHERE id > $1 ORDER BY id LIMIT $4) n
         WHERE provider_id = $2 AND state = 'accepted' AND upstream_id ~ {_NUMERIC} AND started_at > $3
        """,
        attempt_id,
        row["provider_id"],
        row["finished_at"] + SLACK,
        NEIGHBOURS,
    )
    return Window(above, below)


async def bound_among(tx: Transaction, provider_id: UUID, upstream_ids: Sequence[str]) -> set[str]:
    """Those that are some order's of ours already."""
    rows = await tx.fetch(
        "SELECT upstream_id FROM upstream_orders WHERE provider_id = $1 AND upstream_id = ANY($2)",
        provider_id,
        upstream_ids,
    )
    return {row["upstream_id"] for row in rows}


async def rivals_of(tx: Transaction, sought: Sought) -> list[tuple[UUID, Decimal | None]]:
    """Other attempts at the provider about then that may be there under an id nobody knows, with their costs.

    What an operator held for not placed, by itself or by words, is among them: that may have been wrong.
    Of very many, the first.
    """
    rows = await tx.fetch(
        """
        SELECT id, cost FROM (
          (SELECT * FROM dispatch_attempts WHERE id < $1 ORDER BY id DESC LIMIT $3) UNION ALL
          (SELECT * FROM dispatch_attempts WHERE id > $1 ORDER BY id LIMIT $3)) n
         WHERE provider_id = $2 AND upstream_id IS NULL
           AND (state IN ('sending', 'unknown', 'written_off')
             OR state = 'not_placed' AND evidence ?| '{operator,words}')
         LIMIT $4
        """,
        sought.attempt_id,
        sought.provider_id,
        NEIGHBOURS,
        RIVALS_MAX,
    )
    return [(row["id"], row["cost"]) for row in rows]


async def families_at(tx: Transaction, provider_id: UUID) -> list[str]:
    """The provider's ids of drip-feeds and subscriptions that it runs for us and that are still followed."""
    rows = await tx.fetch(
        """
        SELECT o.external_order_id FROM order_checks c JOIN order_parents p ON p.order_id = c.order_id
         CROSS JOIN LATERAL (SELECT external_order_id FROM orders WHERE id = c.order_id OFFSET 0) o
         WHERE c.provider_id = $1 LIMIT $2
        """,
        provider_id,
        FAMILIES_MAX + 1,
    )
    return [row["external_order_id"] for row in rows]


async def note(tx: Transaction, attempt_id: UUID, evidence: dict[str, str]) -> None:
    """Add to the evidence of an attempt that is still unknown."""
    await tx.execute(
        """
        UPDATE dispatch_attempts SET evidence = coalesce(evidence, '{}'::jsonb) || $2::jsonb
         WHERE id = $1 AND state = 'unknown'
        """,
        attempt_id,
        evidence,
    )


# taught words --------------------------------------------------------------------------------


class Answered(msgspec.Struct, frozen=True):
    """An unknown attempt of which no copy was sent, with the answer that was not understood."""

    attempt_id: UUID
    provider_id: UUID
    number: int
    answer: str


async def answered(
    tx: Transaction, reason: str, provider_ids: Collection[UUID], after: UUID, most: int
) -> list[Answered]:
    """Those of these providers with an answer of that kind, in the order of their ids."""
    rows = await tx.fetch(
        """
        SELECT a.id, a.provider_id, o.number, a.evidence ->> 'answer'
          FROM dispatch_attempts a JOIN orders o ON o.id = a.order_id
         WHERE a.state = 'unknown' AND a.resends = 0 AND a.reason = $1 AND a.evidence ? 'answer'
           AND a.provider_id = ANY($2::uuid[]) AND a.id > $3
         ORDER BY a.id LIMIT $4
        """,
        reason,
        list(provider_ids),
        after,
        most,
    )
    return [Answered(*row) for row in rows]


# pauses --------------------------------------------------------------------------------------


async def doubts(tx: Transaction, since: UUID, reason: str) -> list[Doubt]:
    """The providers that have unknown orders which no operator acknowledged.

    Recent are those from that id on; at rest is what is paused for a reason like this one.
    """
    rows = await tx.fetch(
        """
        WITH unknown AS (
          SELECT provider_id, count(*) AS open, count(*) FILTER (WHERE id >= $1) AS recent FROM dispatch_attempts
           WHERE state = 'unknown' AND NOT coalesce(evidence ? 'acknowledged', false) GROUP BY provider_id)
        SELECT provider_id, open, recent, CASE WHEN recent > 1 THEN (
                 SELECT count(*) FROM dispatch_attempts s
                  WHERE s.id >= $1 AND s.provider_id = unknown.provider_id AND s.state <> 'not_sent') ELSE 0 END,
               (SELECT coalesce(p.paused_reason LIKE $2, false) FROM providers p WHERE p.id = provider_id)
          FROM unknown
        """,
        since,
        reason,
    )
    return [Doubt(*row) for row in rows]


async def database_time(tx: Transaction) -> datetime:
    now: datetime = await tx.fetchval("SELECT now()")
    return now


async def pause(tx: Transaction, provider_id: UUID, reason: str, wait: timedelta) -> bool:
    """Put the provider's next order off; True where that is news. A longer pause of another cause stays as it is."""
    before = await tx.fetchrow(
        "SELECT paused_until, paused_reason, paused_until > now() + $2::interval / 2 AS lasts FROM providers"
        " WHERE id = $1 FOR NO KEY UPDATE",
        provider_id,
        wait,
    )
    if before is None or before["lasts"]:
        return False
    await tx.execute(
        "UPDATE providers SET paused_until = now() + $2::interval, paused_reason = $3 WHERE id = $1",
        provider_id,
        wait,
        reason,
    )
    return before["paused_until"] is None or not (before["paused_reason"] or "").startswith(reason.partition(":")[0])


async def lift(tx: Transaction, cause: str, wait: timedelta, but: Collection[UUID]) -> list[UUID]:
    """End the pauses of this cause, except those of some; the providers whose pauses ended.

    One that lasts for longer than `wait` is an operator's in the same words.
    """
    rows = await tx.fetch(
        """
        UPDATE providers SET paused_until = NULL, paused_reason = NULL
         WHERE starts_with(paused_reason, $1) AND paused_until <= now() + $2::interval AND id <> ALL($3::uuid[])
        RETURNING id
        """,
        cause,
        wait,
        list(but),
    )
    return [row["id"] for row in rows]


async def acknowledge(tx: Transaction, provider_id: UUID, by: str) -> int:
    """Let the provider's unknown orders of now no longer count against it; how many there are."""
    rows = await tx.fetch(
        """
        UPDATE dispatch_attempts
           SET evidence = coalesce(evidence, '{}'::jsonb) || jsonb_build_object('acknowledged', $2::text)
         WHERE provider_id = $1 AND state = 'unknown' RETURNING id
        """,
        provider_id,
        by,
    )
    return len(rows)
