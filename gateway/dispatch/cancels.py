"""Acting on wishes to cancel: withdrawing what was not sent, asking upstream for what was."""

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from uuid import UUID

from compat.errors import Fault, fault_of, is_of_our_key
from compat.failures import UpstreamError, UpstreamRefusal
from compat.wire import CancelAnswer
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database, Transaction
from gateway.dispatch.model import back_off, storable
from gateway.errors import NotFound
from gateway.logs import Logger
from gateway.orders import store as orders
from gateway.orders.cancels import store
from gateway.orders.cancels.model import TRIES_MAX, UNDECIDED, Drop, Forward, State, Wait, Wish, Withdraw, step_of
from gateway.orders.settlement import Change, settle
from gateway.orders.store import HistoryLine
from gateway.orders.triggers import CancelWanted
from gateway.providers.lanes import Lanes
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

AT_ONCE = 100
LEASE = timedelta(minutes=2)
"""The rest of a wish that a worker acts on; longer than the calls take."""
REASON_CHARS_MAX = 500
NO_ANSWER = "left out of the answer"


async def act_on_cancels(db: Database, upstreams: Upstreams, lanes: Lanes | None = None) -> int:
    """One turn over the wishes that are due; how many there were.

    With `lanes` the calls go on after the turn, and wishes at providers that are busy wait for a later
    one; without, the turn ends with its calls.

    A wish that is in hand when the process dies is acted on again; that does no harm, since the
    upstream's answer moves no money and a withdrawn order is withdrawn once.

    Raises:
        Unavailable: the database does not answer.
    """
    hands = Lanes() if lanes is None else lanes
    if hands.stopping:
        return 0
    async with db.transaction() as tx:
        wishes = await store.claim(tx, AT_ONCE, LEASE, hands.busy())
    to_ask: dict[UUID, dict[str, Wish]] = {}
    for wish in wishes:
        step = step_of(wish)
        if isinstance(step, Forward):
            to_ask.setdefault(step.provider_id, {})[step.upstream_id] = wish
    for at, asked in to_ask.items():
        hands.start(at, _survive(_forward(db, upstreams, at, asked), provider=str(at)))
    for wish in wishes:
        step = step_of(wish)
        if not isinstance(step, Forward):
            await _survive(_act(db, wish, step), order=wish.number)
    if lanes is None:
        await hands.drain()
    return len(wishes)


async def _survive(work: Awaitable[None], **whose: object) -> None:
    """What fails with one wish or provider stops no other; it is tried again when its lease is over."""
    try:
        await work
    except Exception:  # one must not end the others asked beside it; it is due again
        log.exception("a cancel failed", **whose)


async def _act(db: Database, wish: Wish, step: Withdraw | Wait | Drop) -> None:
    async with db.transaction() as tx:
        match step:
            case Withdraw():
                await _withdraw(tx, wish)
            case Wait():
                await store.wait(tx, wish.order_id)
            case Drop():
                await _finish(tx, wish, State.VOID, f"the order is {wish.status}")


async def _withdraw(tx: Transaction, wish: Wish) -> None:
    """Row 11; where the order has moved on meanwhile, the wish is looked at again."""
    applied = await settle(tx, [Change(wish.order_id, CancelWanted())])
    transition = applied.get(wish.order_id)
    if transition is not None and transition.row not in UNDECIDED:
        await store.finish(tx, wish.order_id, State.WITHDRAWN)
    else:
        await store.wait(tx, wish.order_id)


async def _forward(db: Database, upstreams: Upstreams, provider_id: UUID, asked: dict[str, Wish]) -> None:
    """Ask one provider and write each of its answers."""
    answers = await _ask(upstreams, provider_id, list(asked))
    async with db.transaction() as tx:
        for upstream_id, wish in sorted(asked.items(), key=lambda pair: pair[1].order_id):
            await _record(tx, wish, answers.get(upstream_id, NO_ANSWER))


async def _ask(upstreams: Upstreams, provider_id: UUID, ids: Sequence[str]) -> dict[str, CancelAnswer | str]:
    """What the provider answered for each id, or why it did not.

    A list that is refused for one of its ids is asked by halves.
    """
    try:
        return dict(await upstreams.cancel(provider_id, ids))
    except UpstreamRefusal as refusal:
        if refusal.is_of_all:
            return dict.fromkeys(ids, refusal.text)
        if len(ids) == 1:
            return {ids[0]: CancelAnswer(error=refusal.text)}
    except (UpstreamError, NotFound) as error:
        return dict.fromkeys(ids, str(error))
    middle = len(ids) // 2
    return await _ask(upstreams, provider_id, ids[:middle]) | await _ask(upstreams, provider_id, ids[middle:])


async def _record(tx: Transaction, wish: Wish, answer: CancelAnswer | str) -> None:
    match answer:
        case CancelAnswer(error=None):
            await alerts.clear(tx, "cancel_unanswered", f"order {wish.number}")
            await _finish(tx, wish, State.FORWARDED, None)
        case CancelAnswer(error=str(text)) if fault_of(text) is not Fault.PASSING and not is_of_our_key(text):
            await _finish(tx, wish, State.REFUSED, text)
        case CancelAnswer(error=text):
            await _try_again(tx, wish, text or NO_ANSWER)
        case reason:
            await _try_again(tx, wish, reason)


async def _try_again(tx: Transaction, wish: Wish, reason: str) -> None:
    tries = wish.tries + 1
    log.warning("a cancel was not answered", order=wish.number, tries=tries, reason=reason)
    if tries < TRIES_MAX:
        await store.try_again(tx, wish.order_id, storable(reason, REASON_CHARS_MAX), back_off(tries))
        return
    await _finish(tx, wish, State.FAILED, reason)
    message = f"the upstream did not answer the cancel of this order: {reason[:300]}"
    await alerts.raise_(tx, [Alert("cancel_unanswered", f"order {wish.number}", storable(message))])


async def _finish(tx: Transaction, wish: Wish, state: State, reason: str | None) -> None:
    reason = None if reason is None else storable(reason, REASON_CHARS_MAX)
    if await store.finish(tx, wish.order_id, state, reason):
        details = {"state": state.value} | ({"reason": reason} if reason else {})
        await orders.write_history(tx, [HistoryLine(wish.order_id, "CancelAnswered", details)])
