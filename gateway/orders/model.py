"""An order, and the one table of its transitions and their money (`docs/states.md` row by row); pure."""

import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from compat.money import CENT, round8, share
from compat.status import UpstreamStatus
from gateway.ledger.model import EntryType
from gateway.orders.triggers import (
    CancelWanted,
    Claimed,
    GaveUp,
    QueuedTooLong,
    RefundGiven,
    Reported,
    Trigger,
    WasAccepted,
    WasNotPlaced,
    WasNotSent,
    WasRefused,
    WentUnknown,
)


class Status(enum.StrEnum):
    """What the customer is told."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REFUNDED = "refunded"


class Dispatch(enum.StrEnum):
    """Where the order stands with its upstream."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    WRITTEN_OFF = "written_off"
    WITHDRAWN = "withdrawn"
    PARENT = "parent"


TERMINAL = frozenset({Status.COMPLETED, Status.PARTIAL, Status.CANCELLED, Status.FAILED, Status.REFUNDED})


class Order(msgspec.Struct, frozen=True):
    """The order row as far as decisions need it. Amounts in `currency`, but `upstream_charge` in the upstream's own."""

    id: UUID
    number: int
    user_id: UUID
    service_id: UUID
    provider_id: UUID | None
    external_order_id: str | None
    link: str
    quantity: int
    price: Decimal
    currency: str
    charge: Decimal
    status: Status
    dispatch: Dispatch
    upstream_status: str | None
    start_count: int | None
    remains: int | None
    details: dict[str, str]
    check_failures: int = 0
    parent_id: UUID | None = None
    is_parent: bool = False
    upstream_charge: Decimal | None = None


def price_of(rate: Decimal, quantity: int, *, package: bool) -> Decimal:
    """The price of an order: of 1000 pieces by `rate`, or of one package (design §4)."""
    return round8(rate) if package else share(rate, quantity, 1000)


def charge_for(order: Order, delivered: int) -> Decimal:
    """C(d): what `delivered` pieces of the order cost, half-even to eight places."""
    return share(order.price, delivered, order.quantity)


class Move(msgspec.Struct, frozen=True):
    """One ledger row of a transition; (order, part, type) is booked once."""

    type: EntryType
    amount: Decimal
    part: str = ""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """The order as it is to be, with the rows that go with it. `row` is the line of the table."""

    row: str
    order: Order
    moves: tuple[Move, ...] = ()
    event: str | None = None
    alert: str | None = None


def decide(order: Order, trigger: Trigger) -> Transition | None:
    """The transition that the table has for this order and trigger; None where it has none."""
    rule = _TABLE.get((type(trigger), order.dispatch))
    return rule(order, trigger) if rule else None


def _to(order: Order, dispatch: Dispatch, status: Status, **changes: Any) -> Order:
    return msgspec.structs.replace(order, dispatch=dispatch, status=status, **changes)


def _release(order: Order) -> tuple[Move, ...]:
    return (Move(EntryType.RELEASE, order.price),)


def _claimed(order: Order, trigger: Any) -> Transition:
    return Transition(row="1", order=_to(order, Dispatch.SENDING, Status.PENDING))


def _not_sent(order: Order, trigger: Any) -> Transition:
    return Transition(row="2", order=_to(order, Dispatch.QUEUED, Status.PENDING))


def _accepted(order: Order, trigger: WasAccepted) -> Transition:
    row = "3" if order.dispatch is Dispatch.SENDING else "7"
    after = _to(
        order,
        Dispatch.ACCEPTED,
        Status.PROCESSING,
        external_order_id=trigger.upstream_id,
        remains=order.quantity,
    )
    return Transition(row=row, order=after, event="order.processing")


def _refused(order: Order, trigger: WasRefused) -> Transition:
    if trigger.requeue:
        return Transition(row="4", order=_to(order, Dispatch.QUEUED, Status.PENDING))
    return _failed("5", order)


def _failed(row: str, order: Order) -> Transition:
    after = _to(order, Dispatch.REFUSED, Status.FAILED, remains=order.quantity)
    return Transition(row=row, order=after, moves=_release(order), event="order.failed")


def _queued_too_long(order: Order, trigger: Any) -> Transition:
    return _failed("5a", order)


def _went_unknown(order: Order, trigger: Any) -> Transition:
    return Transition(row="6", order=_to(order, Dispatch.UNKNOWN, Status.PENDING), alert="unknown_order")


def _not_placed(order: Order, trigger: Any) -> Transition:
    return Transition(row="8", order=_to(order, Dispatch.QUEUED, Status.PENDING))


def _gave_up(order: Order, trigger: Any) -> Transition:
    after = _to(order, Dispatch.WRITTEN_OFF, Status.CANCELLED, remains=order.quantity)
    return Transition(row="9", order=after, moves=_release(order), event="order.cancelled")


def _orphaned(order: Order, trigger: Any) -> Transition:
    return Transition(row="10", order=order, alert="orphaned_upstream_order")


def _withdrawn(order: Order, trigger: Any) -> Transition:
    after = _to(order, Dispatch.WITHDRAWN, Status.CANCELLED, remains=order.quantity)
    return Transition(row="11", order=after, moves=_release(order), event="order.cancelled")


def _wish_kept(order: Order, trigger: Any) -> Transition:
    return Transition(row="12", order=order)


def _wish_forwarded(order: Order, trigger: Any) -> Transition | None:
    return Transition(row="20", order=order) if order.status is Status.PROCESSING else None


_OF_SUBSCRIPTIONS = (UpstreamStatus.ACTIVE, UpstreamStatus.PAUSED, UpstreamStatus.EXPIRED)


def _reported(order: Order, report: Reported) -> Transition | None:
    unreadable = report.status is UpstreamStatus.PARTIAL and report.remains is None
    if report.error is not None or report.status is None or report.status in _OF_SUBSCRIPTIONS or unreadable:
        return Transition(row="19", order=order, alert="unreadable_status")
    seen = msgspec.structs.replace(
        order,
        upstream_status=report.word[:50],
        start_count=order.start_count if report.start_count is None else report.start_count,
        check_failures=0,
    )
    if order.status is Status.PROCESSING:
        return _report_while_open(seen, report)
    return _report_after_the_end(seen, report)


def _report_while_open(order: Order, report: Reported) -> Transition:
    match report.status:
        case UpstreamStatus.COMPLETED:
            return _delivered(order, order.quantity)
        case UpstreamStatus.PARTIAL:
            return _delivered(order, order.quantity - _clamp(report.remains, order))
        case UpstreamStatus.CANCELED | UpstreamStatus.FAILED | UpstreamStatus.REFUNDED:
            return _delivered(order, 0)
        case _:
            remains = order.remains if report.remains is None else _clamp(report.remains, order)
            return Transition(row="13", order=msgspec.structs.replace(order, remains=remains))


def _delivered(order: Order, delivered: int) -> Transition:
    """Rows 14 to 16, by how much of the order was delivered."""
    if delivered == order.quantity:
        after = _to(order, Dispatch.ACCEPTED, Status.COMPLETED, remains=0, charge=order.price)
        moves: tuple[Move, ...] = (Move(EntryType.WITHDRAW, order.price),)
        return Transition(row="14", order=after, moves=moves, event="order.completed")
    if delivered == 0:
        after = _to(order, Dispatch.ACCEPTED, Status.CANCELLED, remains=order.quantity)
        return Transition(row="16", order=after, moves=_release(order), event="order.cancelled")
    charge = charge_for(order, delivered)
    after = _to(order, Dispatch.ACCEPTED, Status.PARTIAL, remains=order.quantity - delivered, charge=charge)
    moves = (Move(EntryType.WITHDRAW, charge), Move(EntryType.RELEASE, order.price - charge))
    return Transition(row="15", order=after, moves=moves, event="order.partial")


def _report_after_the_end(order: Order, report: Reported) -> Transition | None:
    if report.status is UpstreamStatus.COMPLETED and order.status in (Status.PARTIAL, Status.CANCELLED):
        return Transition(row="18", order=order, alert="completed_after_end")
    if order.status not in (Status.COMPLETED, Status.PARTIAL, Status.REFUNDED):
        return None
    if report.status is UpstreamStatus.PARTIAL:
        delivered = order.quantity - _clamp(report.remains, order)
    elif report.status in (UpstreamStatus.CANCELED, UpstreamStatus.REFUNDED):
        delivered = 0
    else:
        return None
    charge = charge_for(order, delivered)
    back = order.charge - charge
    if back < CENT:
        return None
    after = _to(order, order.dispatch, Status.REFUNDED, remains=order.quantity - delivered, charge=charge)
    moves = (Move(EntryType.REFUND, back, f"delivered={delivered}"),)
    return Transition(row="17", order=after, moves=moves, event="order.refunded", alert="refunded_by_upstream")


def _refund_given(order: Order, given: RefundGiven) -> Transition | None:
    """Row 17 by an operator. What is left charged tells how much counts as delivered, for those who resell it."""
    if order.status not in (Status.COMPLETED, Status.PARTIAL, Status.REFUNDED):
        return None
    if not CENT <= given.amount <= order.charge:
        return None
    charge = order.charge - given.amount
    delivered = int(charge * order.quantity / order.price)
    remains = max(order.remains or 0, order.quantity - delivered)
    after = _to(order, order.dispatch, Status.REFUNDED, remains=remains, charge=charge)
    moves = (Move(EntryType.REFUND, given.amount, part_of(given.reference)),)
    return Transition(row="17", order=after, moves=moves, event="order.refunded")


def part_of(reference: str) -> str:
    """The part of an order's money that an operator's refund with this reference is."""
    return f"operator={reference}"


def _clamp(remains: int | None, order: Order) -> int:
    return max(0, min(remains or 0, order.quantity))


_TABLE: dict[tuple[type[Any], Dispatch], Callable[[Order, Any], Transition | None]] = {
    (Claimed, Dispatch.QUEUED): _claimed,
    (WasNotSent, Dispatch.SENDING): _not_sent,
    (WasAccepted, Dispatch.SENDING): _accepted,
    (WasRefused, Dispatch.SENDING): _refused,
    (QueuedTooLong, Dispatch.QUEUED): _queued_too_long,
    (WentUnknown, Dispatch.SENDING): _went_unknown,
    (WasAccepted, Dispatch.UNKNOWN): _accepted,
    (WasNotPlaced, Dispatch.UNKNOWN): _not_placed,
    (GaveUp, Dispatch.UNKNOWN): _gave_up,
    (WasAccepted, Dispatch.WRITTEN_OFF): _orphaned,
    (CancelWanted, Dispatch.QUEUED): _withdrawn,
    (CancelWanted, Dispatch.SENDING): _wish_kept,
    (CancelWanted, Dispatch.UNKNOWN): _wish_kept,
    (CancelWanted, Dispatch.ACCEPTED): _wish_forwarded,
    (Reported, Dispatch.ACCEPTED): _reported,
    (RefundGiven, Dispatch.ACCEPTED): _refund_given,
}
