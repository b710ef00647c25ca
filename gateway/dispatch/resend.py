"""Clearing unknown orders at upstreams that honour idempotency keys: the same attempt is sent again (protocol §6)."""

import asyncio
from datetime import timedelta

import structlog

from compat.errors import Fault, is_lack_of_funds
from compat.wire import Accepted, AddOutcome, Refused
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.model import Attempt, fields_sent
from gateway.dispatch.outcomes import not_placed, record
from gateway.providers.upstream import Upstreams

log = structlog.get_logger(__name__)

AT_ONCE = 20
KEY_AGE_MAX = timedelta(hours=23)
"""Upstreams keep a key for 24 hours; after that a copy would be a second order."""


async def resend_unknown(db: Database, upstreams: Upstreams, *, lease_s: float, first_check_s: float) -> int:
    """Send again what is unknown and due, with the same fields and key; how many were sent.

    The claim is committed before a socket opens: it puts the next re-send off beyond the lease, and
    further with each. An answer that is none changes nothing.

    Raises:
        Unavailable: the database does not answer.
    """
    async with db.transaction() as tx:
        attempts = await store.claim_replayable(tx, KEY_AGE_MAX, timedelta(seconds=lease_s), AT_ONCE)
    await asyncio.gather(*(_resend(db, upstreams, attempt, timedelta(seconds=first_check_s)) for attempt in attempts))
    return len(attempts)


async def _resend(db: Database, upstreams: Upstreams, attempt: Attempt, first_check: timedelta) -> None:
    try:
        outcome = await upstreams.add(
            attempt.route.provider_id, attempt.route.provider_service_id, fields_sent(attempt)
        )
        log.info("sent again", order=attempt.order.number, attempt=str(attempt.id), outcome=type(outcome).__name__)
        if isinstance(outcome, Accepted):
            await record(db, attempt.id, outcome, first_check)
        elif was_never_placed(outcome):
            await _queue_again(db, attempt, outcome)
    except Exception:
        log.exception("an unknown order could not be cleared", order=attempt.order.number)


def was_never_placed(outcome: AddOutcome) -> bool:
    """Whether the answer to a copy tells that the first one placed nothing.

    An upstream that honours the key would have answered with the order. It tells so only where it
    looked at the order itself: not where it refused our key or our haste, and not where the copy did
    not leave, which says nothing of the first.
    """
    return isinstance(outcome, Refused) and (outcome.fault is Fault.ORDER or is_lack_of_funds(outcome.text))


async def _queue_again(db: Database, attempt: Attempt, outcome: AddOutcome) -> None:
    async with db.transaction() as tx:
        row = await store.find(tx, attempt.id)
        if row is not None and row.state == "unknown" and isinstance(outcome, Refused):
            await not_placed(tx, row, {"copy refused": outcome.text[:500]})
