"""Recording what became of an attempt, whenever the answer arrives; the order follows by the table."""

from datetime import timedelta
from uuid import UUID

from compat.errors import Fault, is_bad_request, is_lack_of_funds
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.catalog import store as catalog
from gateway.db.engine import Database, Transaction
from gateway.dispatch import store
from gateway.dispatch.model import Record, back_off, record_of, storable
from gateway.dispatch.routing import Past, is_route_left
from gateway.dispatch.store import AttemptRow
from gateway.errors import Conflict
from gateway.orders.cancels import store as cancels
from gateway.orders.cancels.model import State
from gateway.orders.model import Transition
from gateway.orders.settlement import Change, hold, settle
from gateway.orders.triggers import GaveUp, Trigger, WasAccepted, WasNotPlaced, WasNotSent, WasRefused, WentUnknown
from gateway.providers.money.model import FUNDS_PAUSE_S

RACES_MAX = 3
PAUSE_S = 300
"""How long a route rests after a refusal that was the provider's fault."""


class AttemptMoved(Conflict):
    """The attempt changed between its reading and its writing; the transaction is rolled back."""

    def __init__(self) -> None:
        super().__init__("the order moved on meanwhile; look again")


async def record(db: Database, attempt_id: UUID, outcome: AddOutcome, first_check: timedelta) -> None:
    """Write the outcome of an attempt and what follows for its order, in one transaction.

    A late answer finds the attempt `unknown` or `written_off` and is taken for what it is (rows 7, 8
    and 10 of the table); one whose attempt is decided already changes nothing.

    Raises:
        Unavailable: the database does not answer; the attempt stays as it is.
        AttemptMoved: the order's row and the attempt's do not fit together.
    """
    for race in range(1, RACES_MAX + 1):
        try:
            async with db.transaction() as tx:
                attempt = await store.find(tx, attempt_id)
                if attempt is not None:
                    await _apply(tx, attempt, outcome, first_check)
            return
        except AttemptMoved:
            if race == RACES_MAX:
                raise


async def _apply(tx: Transaction, attempt: AttemptRow, outcome: AddOutcome, first_check: timedelta) -> None:
    if isinstance(outcome, Accepted) and attempt.state in ("sending", "unknown"):
        if await store.bind(tx, attempt.provider_id, outcome.order, attempt.order_id):
            await _accept(tx, attempt, outcome.order, first_check)
            return
        if attempt.state == "unknown":
            await _tell_of_a_bound_id(tx, attempt, outcome.order)
            return
        outcome = Unknown(f"the upstream's id {outcome.order} belongs to another order")
    match attempt.state:
        case "sending":
            await _first_answer(tx, attempt, outcome)
        case "unknown" if isinstance(outcome, Refused | NotSent) and attempt.resends == 0:
            note = record_of(outcome)
            await not_taken(tx, attempt, outcome, {"late answer": note.reason or note.state})
        case "unknown" if isinstance(outcome, Unknown) and outcome.evidence and attempt.resends == 0:
            await _finish(tx, attempt, record_of(outcome))
        case "accepted" if isinstance(outcome, Accepted) and outcome.order != attempt.upstream_id:
            await _tell_of_another_id(tx, attempt, outcome.order)
        case "written_off" | "not_placed" if isinstance(outcome, Accepted):
            await _keep_orphan(tx, attempt, outcome.order)
        case _:
            return


async def _keep_orphan(tx: Transaction, attempt: AttemptRow, upstream_id: str) -> None:
    """Row 10: an id turned up for an attempt that was given up; it is kept, and somebody is told.

    What was written off is to be cancelled there, unless the id is another order's. What was held for
    not placed is not: the order may be at an upstream by another attempt, and that one is wanted.
    """
    is_ours = await store.bind(tx, attempt.provider_id, upstream_id, attempt.order_id)
    await settle(tx, [Change(attempt.order_id, WasAccepted(upstream_id))] if attempt.state == "written_off" else [])
    await _finish(tx, attempt, Record(attempt.state, upstream_id=upstream_id))
    if attempt.state == "written_off" and is_ours:
        await cancels.keep(tx, {attempt.order_id: State.WANTED})
    if attempt.state == "not_placed":
        message = f"the upstream took it as {upstream_id} after it was held for not placed; cancel it there"
        await alerts.raise_(tx, [Alert("orphaned_upstream_order", f"attempt {attempt.id}", message)])


async def _tell_of_another_id(tx: Transaction, attempt: AttemptRow, upstream_id: str) -> None:
    """The upstream's own answer names another id than the one that an operator or a probe found."""
    await store.bind(tx, attempt.provider_id, upstream_id, attempt.order_id)
    message = f"the upstream took it as {upstream_id}, but it was held to be {attempt.upstream_id} there"
    await alerts.raise_(tx, [Alert("orphaned_upstream_order", f"attempt {attempt.id}", message)])


async def _tell_of_a_bound_id(tx: Transaction, attempt: AttemptRow, upstream_id: str) -> None:
    """The upstream's own late answer names an id that is held to be another order's: one of the two is wrong."""
    reason = f"the upstream took it as {upstream_id}, which is held to be another order's"
    await _finish(tx, attempt, Record("unknown", reason, {"late answer": reason}))
    await alerts.raise_(tx, [Alert("orphaned_upstream_order", f"attempt {attempt.id}", reason)])


async def _accept(
    tx: Transaction,
    attempt: AttemptRow,
    upstream_id: str,
    first_check: timedelta,
    evidence: dict[str, str] | None = None,
) -> None:
    await _settle(tx, attempt, WasAccepted(upstream_id))
    await _finish(tx, attempt, Record("accepted", evidence=evidence, upstream_id=upstream_id))
    await store.start_tracking(tx, attempt.order_id, first_check)


async def _first_answer(tx: Transaction, attempt: AttemptRow, outcome: AddOutcome) -> None:
    written = record_of(outcome)
    match outcome:
        case Refused(Fault.ORDER | Fault.PROVIDER as fault, text):
            await hold(tx, [Change(attempt.order_id, WasRefused(requeue=False))])
            await _finish(tx, attempt, written)
            requeue = (fault is Fault.PROVIDER and not is_bad_request(text)) or await _another_route(tx, attempt)
            await _settle(tx, attempt, WasRefused(requeue=requeue), written.reason)
            if fault is Fault.PROVIDER:
                await _rest(tx, attempt, storable(text))
        case Refused() | NotSent():
            await _settle(tx, attempt, WasNotSent(), written.reason)
            await _finish(tx, attempt, written)
            tries = await store.count_not_sent(tx, attempt.order_id)
            await store.plan(tx, attempt.order_id, None, back_off(tries))
        case Unknown():
            await _settle(tx, attempt, WentUnknown(), written.reason)
            await _finish(tx, attempt, written)
        case Accepted():
            raise AssertionError("accepted is handled before")


async def accept_unknown(tx: Transaction, attempt: AttemptRow, upstream_id: str, evidence: dict[str, str]) -> bool:
    """Row 7: the order was placed after all; False where the id is another order's."""
    if not await store.bind(tx, attempt.provider_id, upstream_id, attempt.order_id):
        return False
    await _accept(tx, attempt, upstream_id, timedelta(), evidence)
    return True


async def not_placed(tx: Transaction, attempt: AttemptRow, evidence: dict[str, str]) -> None:
    """Row 8: it is certain that the unknown attempt placed nothing; the order is queued again."""
    await _settle(tx, attempt, WasNotPlaced(), next(iter(evidence.values())))
    await _finish(tx, attempt, Record("not_placed", evidence=evidence))
    await store.queue_anew(tx, attempt.order_id)


async def not_taken(tx: Transaction, attempt: AttemptRow, outcome: Refused | NotSent, evidence: dict[str, str]) -> None:
    """Row 8 by the upstream's own answer, which also says how the order goes on.

    A route that refused the order is not taken again while another is left. Without another it is
    tried once more, so that its first answer then decides by rows 4 and 5.
    """
    fault = outcome.fault if isinstance(outcome, Refused) else Fault.PASSING
    if fault is Fault.ORDER and await _another_route(tx, attempt, but=attempt.route_id):
        evidence = {**evidence, "fault": fault.value}
    await not_placed(tx, attempt, evidence)
    if isinstance(outcome, Refused) and fault is Fault.PROVIDER:
        await _rest(tx, attempt, storable(outcome.text))
    if fault is Fault.PASSING:
        await store.plan(tx, attempt.order_id, None, back_off(await store.count_not_sent(tx, attempt.order_id)))


async def give_up(tx: Transaction, attempt: AttemptRow, evidence: dict[str, str]) -> None:
    """Row 9: the customer's hold is released and our cost is noted as loss; never to be sent again."""
    await _settle(tx, attempt, GaveUp(), next(iter(evidence.values())))
    await _finish(tx, attempt, Record("written_off", evidence=evidence))


async def _settle(tx: Transaction, attempt: AttemptRow, trigger: Trigger, reason: str | None = None) -> Transition:
    note = {"attempt": str(attempt.id)} | ({"reason": reason[:500]} if reason else {})
    applied = await settle(tx, [Change(attempt.order_id, trigger, note)])
    transition = applied.get(attempt.order_id)
    if transition is None:
        raise AttemptMoved
    if attempt.state == "unknown":
        await alerts.clear(tx, "unknown_order", f"order {transition.order.number}")
    return transition


async def _finish(tx: Transaction, attempt: AttemptRow, written: Record) -> None:
    if not await store.finish(tx, attempt, written):
        raise AttemptMoved


async def _another_route(tx: Transaction, attempt: AttemptRow, but: UUID | None = None) -> bool:
    """Whether the order may go out again, now that what came of this attempt is written, by any route but one."""
    order, kind = await store.get_order(tx, attempt.order_id)
    routes = await catalog.routes_of(tx, [order.service_id])
    past = (await store.past_of(tx, [order.id])).get(order.id, Past())
    return is_route_left(order, kind, [route for route in routes if route.id != but], past)


async def _rest(tx: Transaction, attempt: AttemptRow, text: str) -> None:
    """Let the route rest after a refusal that was the provider's fault, and say so."""
    funds = is_lack_of_funds(text)
    if attempt.route_id is not None:
        pause_s, cause = (FUNDS_PAUSE_S, "funds") if funds else (PAUSE_S, "refusal")
        await catalog.pause_route(tx, attempt.route_id, text[:500], pause_s, cause)
    kind = "provider_funds" if funds else "route_paused"
    subject = f"provider {attempt.provider_id}" if kind == "provider_funds" else f"route {attempt.route_id}"
    await alerts.raise_(tx, [Alert(kind, subject, f"the provider refused an order: {text[:300]}")])
