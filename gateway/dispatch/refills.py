"""Passing refills upstream: a repeat does no harm, so what is not answered is asked again."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from compat.errors import ORDER_NOT_COMPLETED, REFILL_DISABLED, Fault, fault_of, fold, is_of_our_key, is_unknown_order
from compat.failures import UpstreamError, UpstreamRefusal
from compat.wire import RefillAnswer
from gateway.alerts import store as alerts
from gateway.db.engine import Database, Transaction
from gateway.dispatch.model import back_off, storable
from gateway.errors import NotFound
from gateway.logs import Logger
from gateway.orders.refills import store
from gateway.orders.refills.asking import lose, tell
from gateway.orders.refills.model import TRIES_MAX, Refill, State
from gateway.providers.lanes import Lanes
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

EACH_AT_ONCE = 8
"""Refills in one turn for one provider: a call each."""
LEASE = timedelta(minutes=5)
"""The rest of a refill that a worker asks for; longer than a turn's calls take."""
NOT_WANTED = "the order was taken back before it was asked for"
REASON_CHARS_MAX = 500
UPSTREAM_ID_CHARS_MAX = 64
_NEVER = frozenset(fold(text) for text in (REFILL_DISABLED, ORDER_NOT_COMPLETED))


async def send_refills(db: Database, upstreams: Upstreams, first_check_s: float, lanes: Lanes | None = None) -> int:
    """One turn over the refills that are due; how many there were.

    With `lanes` the calls go on after the turn, and refills at providers that are busy wait for a
    later one; without, the turn ends with its calls.

    Raises:
        Unavailable: the database does not answer.
    """
    hands = Lanes() if lanes is None else lanes
    if hands.stopping:
        return 0
    async with db.transaction() as tx:
        due = await store.claim_requested(tx, EACH_AT_ONCE, LEASE, hands.busy())
    by_provider: dict[UUID, list[Refill]] = {}
    for refill in due:
        by_provider.setdefault(refill.provider_id, []).append(refill)
    for at, refills in by_provider.items():
        hands.start(at, _send(db, upstreams, refills, timedelta(seconds=first_check_s)))
    if lanes is None:
        await hands.drain()
    return len(due)


async def _send(db: Database, upstreams: Upstreams, refills: Sequence[Refill], first_check: timedelta) -> None:
    """All of one provider's, side by side."""
    await asyncio.gather(*(_survive(db, upstreams, refill, first_check) for refill in refills))


async def _survive(db: Database, upstreams: Upstreams, refill: Refill, first_check: timedelta) -> None:
    """What fails with one refill stops no other; it is asked for again when its lease is over."""
    try:
        answer = await _ask(upstreams, refill) if refill.is_wanted else RefillAnswer(error=NOT_WANTED)
        async with db.transaction() as tx:
            await _record(tx, refill, answer, first_check)
    except Exception:  # one must not end the others asked beside it; it is due again
        log.exception("a refill failed", refill=refill.number)


async def _ask(upstreams: Upstreams, refill: Refill) -> RefillAnswer | str:
    """The answer, or why there is none."""
    try:
        return await upstreams.refill(refill.provider_id, refill.external_order_id)
    except UpstreamRefusal as refusal:
        return refusal.text if refusal.of_us else RefillAnswer(error=refusal.text)
    except (UpstreamError, NotFound) as error:
        return str(error)


async def _record(tx: Transaction, refill: Refill, answer: RefillAnswer | str, first_check: timedelta) -> None:
    match answer:
        case RefillAnswer(refill=str(upstream_id)) if len(upstream_id) <= UPSTREAM_ID_CHARS_MAX:
            if await store.accept(tx, refill.id, upstream_id, first_check):
                await alerts.clear(tx, "unknown_refill", f"order {refill.order_number}")
                await tell(tx, refill, "refill.accepted", "RefillAccepted", State.ACCEPTED)
        case RefillAnswer(error=str(text)) if fault_of(text) is Fault.PASSING or is_of_our_key(text):
            await _try_again(tx, refill, text)
        case RefillAnswer(error=str(text)) if refill.is_wanted and refill.tries > 1 and not _was_never_taken(text):
            await _lose(tx, refill, f"an earlier call was not answered, and now it says: {text}")
        case RefillAnswer(error=str(text)):
            reason = storable(text, REASON_CHARS_MAX)
            if await store.finish(tx, refill, State.REFUSED, reason):
                await tell(tx, refill, "refill.rejected", "RefillRefused", State.REFUSED, reason)
        case RefillAnswer():
            await _try_again(tx, refill, "neither an id nor an error")
        case reason:
            await _try_again(tx, refill, reason)


def _was_never_taken(text: str) -> bool:
    """Whether the upstream's words would have refused an earlier call too; others may be of that very call."""
    return is_unknown_order(text) or fold(text) in _NEVER or fault_of(text) is Fault.PROVIDER


async def _try_again(tx: Transaction, refill: Refill, reason: str) -> None:
    log.warning("a refill was not answered", refill=refill.number, tries=refill.tries, reason=reason)
    if refill.tries >= TRIES_MAX:
        await _lose(tx, refill, reason)
    else:
        await store.try_again(tx, refill.id, storable(reason, REASON_CHARS_MAX), back_off(refill.tries))


async def _lose(tx: Transaction, refill: Refill, reason: str) -> None:
    await lose(tx, refill, storable(reason, REASON_CHARS_MAX))
