"""Clearing unknown orders at upstreams that honour idempotency keys: the same attempt is sent again (protocol §6)."""

import asyncio
from datetime import timedelta
from uuid import UUID

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.model import Attempt, fields_sent
from gateway.dispatch.outcomes import record
from gateway.dispatch.overdue import store as overdue
from gateway.logs import Logger
from gateway.providers.lanes import Lanes
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

AT_ONCE = 20
KEY_AGE_MAX = timedelta(hours=23)
"""Upstreams keep a key for 24 hours; after that a copy would be a second order."""


async def resend_unknown(
    db: Database, upstreams: Upstreams, *, lease_s: float, first_check_s: float, lanes: Lanes | None = None
) -> int:
    """Send again what is unknown and due, with the same fields and key; how many were sent.

    The claim is committed before a socket opens: it puts the next re-send off beyond the lease, and
    further with each. Only an order id ends it. A refusal of the copy tells nothing for sure: the
    first one may be under way at the upstream still, and be placed after its copy was refused.
    With `lanes` the calls go on after the turn, and attempts at providers that are busy wait for a
    later one; without, the turn ends with its calls.

    Raises:
        Unavailable: the database does not answer.
    """
    hands = lanes or Lanes()
    async with db.transaction() as tx:
        attempts = await overdue.claim_replayable(
            tx, KEY_AGE_MAX, timedelta(seconds=lease_s), AT_ONCE, passing_over=hands.busy()
        )
    by_provider: dict[UUID, list[Attempt]] = {}
    for attempt in attempts:
        by_provider.setdefault(attempt.route.provider_id, []).append(attempt)
    for provider_id, of_one in by_provider.items():
        hands.start(provider_id, _resend_all(db, upstreams, of_one, timedelta(seconds=first_check_s)))
    if lanes is None:
        await hands.drain()
    return len(attempts)


async def _resend_all(db: Database, upstreams: Upstreams, attempts: list[Attempt], first_check: timedelta) -> None:
    await asyncio.gather(*(_resend(db, upstreams, attempt, first_check) for attempt in attempts))


async def _resend(db: Database, upstreams: Upstreams, attempt: Attempt, first_check: timedelta) -> None:
    try:
        outcome = await upstreams.add(
            attempt.route.provider_id, attempt.route.provider_service_id, fields_sent(attempt)
        )
        log.info("sent again", order=attempt.order.number, attempt=str(attempt.id), outcome=type(outcome).__name__)
        if isinstance(outcome, Accepted):
            await record(db, attempt.id, outcome, first_check)
    except Exception:  # one must not end the others sent beside it; it stays unknown
        log.exception("an unknown order could not be cleared", order=attempt.order.number)
