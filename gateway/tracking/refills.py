"""Following refills that an upstream took, until it completes or rejects them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from compat.errors import Fault, fault_of
from compat.failures import UpstreamError, UpstreamRefusal
from compat.wire import RefillReport, RefillStatus
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database, Transaction
from gateway.dispatch.model import storable
from gateway.errors import NotFound
from gateway.logs import Logger
from gateway.orders.refills import store
from gateway.orders.refills.asking import lose, tell
from gateway.orders.refills.model import FOLLOWED_S_MAX, Refill, State
from gateway.providers.lanes import Lanes
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

WORD_CHARS_MAX = 100


async def follow_refills(
    db: Database, upstreams: Upstreams, shortest_s: float, longest_s: float, lanes: Lanes | None = None
) -> int:
    """One turn over the refills that are due to be asked about, a call a provider; how many there were.

    With `lanes` the calls go on after the turn, and refills at providers that are busy wait for a
    later one; without, the turn ends with its calls.

    Raises:
        Unavailable: the database does not answer.
    """
    hands = Lanes() if lanes is None else lanes
    if hands.stopping:
        return 0
    async with db.transaction() as tx:
        due = await store.claim_accepted(tx, timedelta(seconds=shortest_s), timedelta(seconds=longest_s), hands.busy())
    by_provider: dict[UUID, list[Refill]] = {}
    for refill in due:
        by_provider.setdefault(refill.provider_id, []).append(refill)
    for at, refills in by_provider.items():
        hands.start(at, _follow(db, upstreams, at, refills))
    if lanes is None:
        await hands.drain()
    return len(due)


async def _follow(db: Database, upstreams: Upstreams, provider_id: UUID, refills: Sequence[Refill]) -> None:
    """Ask about one provider's and write what it says; what fails is asked again at the next check."""
    ids = list(dict.fromkeys(refill.upstream_id for refill in refills if refill.upstream_id))
    try:
        reports = await _ask(upstreams, provider_id, ids)
        async with db.transaction() as tx:
            await _record(tx, refills, reports)
    except Exception:  # one provider must not end the others; they are asked about again
        log.exception("refill statuses could not be written", provider=str(provider_id))


async def _ask(upstreams: Upstreams, provider_id: UUID, ids: Sequence[str]) -> dict[str, RefillReport]:
    """What the provider says of each; a list that is refused for one of its ids is asked by halves."""
    try:
        return await upstreams.refill_statuses(provider_id, ids)
    except UpstreamRefusal as refusal:
        if refusal.of_us:
            log.warning("no refill status", provider=str(provider_id), error=str(refusal))
            return {}
        if len(ids) == 1:
            return {ids[0]: RefillReport(error=refusal.text)}
    except (UpstreamError, NotFound) as error:
        log.warning("no refill status", provider=str(provider_id), error=str(error))
        return {}
    middle = len(ids) // 2
    return await _ask(upstreams, provider_id, ids[:middle]) | await _ask(upstreams, provider_id, ids[middle:])


async def _record(tx: Transaction, refills: Sequence[Refill], reports: Mapping[str, RefillReport]) -> None:
    for refill in refills:
        report = reports.get(refill.upstream_id or "")
        match report and report.status:
            case RefillStatus.COMPLETED:
                await _finish(tx, refill, State.COMPLETED)
            case RefillStatus.REJECTED:
                await _finish(tx, refill, State.REJECTED)
            case _ if refill.age_s > FOLLOWED_S_MAX:
                await alerts.clear(tx, "unreadable_refill", f"order {refill.order_number}")
                await lose(tx, refill, f"no end of it is known after {refill.age_s / 86_400:.0f} days")
            case RefillStatus.PENDING | RefillStatus.IN_PROGRESS as status if status != refill.upstream_status:
                await store.see(tx, refill.id, status.value)
                await alerts.clear(tx, "unreadable_refill", f"order {refill.order_number}")
            case None if report is not None:
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
