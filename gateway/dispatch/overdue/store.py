"""SQL of what is due by time alone."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from compat.kinds import Kind, parse_kind
from gateway.catalog.model import Route
from gateway.db.engine import Transaction
from gateway.dispatch.model import Attempt
from gateway.orders.store import to_order


async def claim_replayable(
    tx: Transaction, age: timedelta, lease: timedelta, most: int, *, passing_over: Sequence[UUID]
) -> list[Attempt]:
    """Unknown attempts whose provider honoured idempotency keys then and does now, each put off to its next turn.

    The first copy goes out when the lease of the send is over, the others after 1, 2, 4 … times the
    lease, an hour at most.
    """
    rows = await tx.fetch(
        """
        WITH due AS (
          SELECT a.id FROM dispatch_attempts a JOIN providers p ON p.id = a.provider_id
           WHERE a.state = 'unknown' AND a.replayable AND p.honours_extension AND p.is_active
             AND a.started_at > now() - $1::interval AND a.lease_until < now() AND a.provider_id <> ALL($4::uuid[])
           ORDER BY a.lease_until LIMIT $3 FOR UPDATE OF a SKIP LOCKED
        )
        UPDATE dispatch_attempts a
           SET resends = a.resends + 1,
               lease_until = now() + least($2::interval * power(2, least(a.resends, 10)), interval '1 hour')
          FROM due, orders o, services s
         WHERE a.id = due.id AND o.id = a.order_id AND s.id = o.service_id
        RETURNING a.id AS attempt_id, a.route_id, a.provider_id AS sent_to, a.provider_service_id, s.kind, o.*
        """,
        age,
        lease,
        most,
        passing_over,
    )
    return [
        Attempt(
            row["attempt_id"],
            to_order(row),
            parse_kind(row["kind"]) or Kind.DEFAULT,
            _route_of(row),
        )
        for row in rows
    ]


def _route_of(row: asyncpg.Record) -> Route:
    """The route as far as a copy needs it: where the first one went."""
    return Route(
        id=row["route_id"],
        service_id=row["service_id"],
        provider_id=row["sent_to"],
        provider_name="",
        provider_service_id=row["provider_service_id"],
        cost_per_1000=Decimal(0),
        priority=0,
        weight=1,
    )


async def expired_leases(tx: Transaction, most: int) -> list[UUID]:
    rows = await tx.fetch(
        """
        SELECT id FROM dispatch_attempts WHERE state = 'sending' AND lease_until < now()
         ORDER BY lease_until LIMIT $1
        """,
        most,
    )
    return [row["id"] for row in rows]


async def old_unknown(tx: Transaction, age: timedelta, most: int) -> list[UUID]:
    rows = await tx.fetch(
        """
        SELECT id FROM dispatch_attempts WHERE state = 'unknown' AND started_at < now() - $1::interval
         ORDER BY started_at LIMIT $2
        """,
        age,
        most,
    )
    return [row["id"] for row in rows]


async def queued_longer_than(tx: Transaction, age: timedelta, most: int) -> list[UUID]:
    rows = await tx.fetch(
        """
        SELECT id FROM orders WHERE dispatch = 'queued' AND queued_at < now() - $1::interval
         ORDER BY queued_at LIMIT $2
        """,
        age,
        most,
    )
    return [row["id"] for row in rows]
