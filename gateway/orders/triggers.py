"""What can happen to an order; `model` decides what follows."""

from decimal import Decimal
from typing import TypeAlias

import msgspec

from compat.status import UpstreamStatus


class Claimed(msgspec.Struct, frozen=True):
    """A dispatcher took it; the attempt row is in the same transaction."""


class WasNotSent(msgspec.Struct, frozen=True):
    """Nothing left this machine, or a passing refusal; it may be tried again."""


class WasAccepted(msgspec.Struct, frozen=True):
    """The upstream gave an id."""

    upstream_id: str


class WasRefused(msgspec.Struct, frozen=True):
    """The upstream said no; `requeue` is False where no route is left."""

    requeue: bool


class WentUnknown(msgspec.Struct, frozen=True):
    """It may have been placed upstream, or not."""


class QueuedTooLong(msgspec.Struct, frozen=True):
    """No route could take it within `QUEUED_MAX_AGE`, or none ever will."""


class WasNotPlaced(msgspec.Struct, frozen=True):
    """There is stored evidence that the unknown attempt placed nothing."""


class GaveUp(msgspec.Struct, frozen=True):
    """Unknown for longer than `UNKNOWN_MAX_AGE`, or an operator's refund."""


class Reported(msgspec.Struct, frozen=True):
    """The upstream's answer to `status`. `status` is None for a word we do not know."""

    word: str
    status: UpstreamStatus | None
    remains: int | None = None
    start_count: int | None = None
    error: str | None = None
    charge: Decimal | None = None
    """What the upstream says it took, in its currency."""


class RefundGiven(msgspec.Struct, frozen=True):
    """An operator gives some of what was charged back, once a reference."""

    amount: Decimal
    reference: str


class CancelWanted(msgspec.Struct, frozen=True):
    """The customer wants it cancelled."""


class ChildChanged(msgspec.Struct, frozen=True):
    """Something happened to an order that is a run of it."""


Trigger: TypeAlias = (
    CancelWanted
    | ChildChanged
    | Claimed
    | WasNotSent
    | WasAccepted
    | WasRefused
    | WentUnknown
    | QueuedTooLong
    | WasNotPlaced
    | GaveUp
    | RefundGiven
    | Reported
)

_MOVING = frozenset(
    {
        UpstreamStatus.COMPLETED,
        UpstreamStatus.PARTIAL,
        UpstreamStatus.CANCELED,
        UpstreamStatus.FAILED,
        UpstreamStatus.REFUNDED,
        UpstreamStatus.EXPIRED,
    }
)


def may_move_money(trigger: Trigger) -> bool:
    """Whether any row of the table books money for it, whatever state the order is in."""
    match trigger:
        case Reported():
            return trigger.status in _MOVING
        case WasRefused():
            return not trigger.requeue
        case QueuedTooLong() | GaveUp() | CancelWanted() | RefundGiven():
            return True
        case Claimed() | WasNotSent() | WasAccepted() | WentUnknown() | WasNotPlaced() | ChildChanged():
            return False
