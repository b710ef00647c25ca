"""Following refills that an upstream took, until it completes or rejects them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from compat.client import UpstreamError, UpstreamRefusal
from compat.errors import Fault, fault_of, is_unknown_refill
from compat.wire import RefillReport, RefillStatus
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database, Transaction
from gateway.dispatch.model import storable
from gateway.errors import NotFound
from gateway.orders.refills import store
from gateway.orders.refills.asking import tell
from gateway.orders.refills.model import Refill, State
from gateway.providers.upstream import Upstreams

log = structlog.get_logger(__name__)

WORD_CHARS_MAX = 100


async def follow_refills(db: Database, upstreams: Upstreams, shortest_s: float, longest_s: float) -> int:
    """One turn over the refills that are due to be asked about, a call a provider; how many there were.

    Raises:
        Unavailable: the database does not answer.
    """
    async with db.transaction() as tx:
        due = await store.claim_accepted(tx, timedelta(seconds=shortest_s), timedelta(seconds=longest_s))
    by_provider: dict[UUID, list[Refill]] = {}
    for refill in due:
        by_provider.setdefault(refill.provider_id, []).append(refill)
    await asyncio.gather(*(_follow(db, upstreams, at, refills) for at, refills in by_provider.items()))
    return len(due)


async def _follow(db: Database, upstreams: Upstreams, provider_id: UUID, refills: Sequence[Refill]) -> None:
    """Ask about one provider's and write what it says; what fails is asked again at the next check."""
    ids = [refill.upstream_id for refill in refills if refill.upstream_id]
    try:
        reports = await _ask(upstreams, provider_id, ids)
        async with db.transaction() as tx:
            await _record(tx, refills, reports)
    except (UpstreamError, NotFound) as error:
        log.warning("no refill status", provider=str(provider_id), error=str(error))
    except Exception:
        log.exception("refill statuses could not be written", provider=str(provider_id))


async def _ask(upstreams: Upstreams, provider_id: UUID, ids: Sequence[str]) -> dict[str, RefillReport]:
    """Ask about all ids at once. One that refuses the list for a refill it does not know is asked by halves."""
    try:
        return await upstreams.refill_statuses(provider_id, ids)
    except UpstreamRefusal as refusal:
        if len(ids) == 1 or not is_unknown_refill(refusal.text):
            raise
    middle = len(ids) // 2
    return await _ask(upstreams, provider_id, ids[:middle]) | await _ask(upstreams, provider_id, ids[middle:])


async def _record(tx: Transaction, refills: Sequence[Refill], reports: Mapping[str, RefillReport]) -> None:
    for refill in refills:
        report = reports.get(refill.upstream_id or "", RefillReport(error="left out of the answer"))
        match report.status:
            case RefillStatus.COMPLETED:
                await _finish(tx, refill, State.COMPLETED)
            case RefillStatus.REJECTED:
                await _finish(tx, refill, State.REJECTED)
            case RefillStatus.PENDING | RefillStatus.IN_PROGRESS if report.status != refill.upstream_status:
                await store.see(tx, refill.id, report.status.value)
                await alerts.clear(tx, "unreadable_refill", f"order {refill.order_number}")
            case None:
                await _warn(tx, refill, report.error or report.word)
            case _:
                continue


async def _warn(tx: Transaction, refill: Refill, word: str) -> None:
    """Its status cannot be read: the refill stays open, and its order gets no other, until somebody looks at it."""
    word = storable(word, WORD_CHARS_MAX)
    log.warning("a refill's status cannot be read", refill=refill.number, word=word)
    if fault_of(word) is not Fault.PASSING:
        message = f"the upstream's status of refill {refill.number} cannot be read: {word}"
        await alerts.raise_(tx, [Alert("unreadable_refill", f"order {refill.order_number}", message)])


async def _finish(tx: Transaction, refill: Refill, state: State) -> None:
    if await store.finish(tx, refill, state):
        await alerts.clear(tx, "unreadable_refill", f"order {refill.order_number}")
        await tell(tx, refill, f"refill.{state.value}", f"Refill{state.value.capitalize()}", state)
