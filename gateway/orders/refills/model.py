"""A refill, and whether one may be asked for; pure."""

import enum
from uuid import UUID

import msgspec

from gateway.errors import GatewayError, OrderNotCompleted, RefillDisabled, RefillTooEarly
from gateway.orders.model import Order, Status

TRIES_MAX = 20
"""Calls without an answer, over more than an hour, before it is not known whether a refill was taken."""


class State(enum.StrEnum):
    """Where a refill stands. `refused`: never taken upstream, or of no use any more; `unknown`: taken or not."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    COMPLETED = "completed"
    REJECTED = "rejected"


class Shown(enum.StrEnum):
    """What customers are told of a refill."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    REJECTED = "rejected"


MOVING = "In progress"
"""The upstream's word for a refill that it is at."""
STATES_OF: dict[Shown, tuple[State, ...]] = {
    Shown.PENDING: (State.REQUESTED, State.UNKNOWN, State.ACCEPTED),
    Shown.IN_PROGRESS: (State.ACCEPTED,),
    Shown.COMPLETED: (State.COMPLETED,),
    Shown.REJECTED: (State.REFUSED, State.REJECTED),
}


def shown_state(state: State, upstream_status: str | None) -> Shown:
    """An accepted one is in progress while the upstream says so, and pending else."""
    if state is State.ACCEPTED and upstream_status == MOVING:
        return Shown.IN_PROGRESS
    return next(shown for shown, states in STATES_OF.items() if state in states)


FOLLOWED_S_MAX = 30 * 86_400.0
"""How long after it was asked for an accepted refill is followed, before nobody knows what became of it."""

OPEN = frozenset({State.REQUESTED, State.ACCEPTED, State.UNKNOWN})


class Refill(msgspec.Struct, frozen=True):
    """The row. `upstream_status` is the upstream's word as it stands; `tries` are calls begun; ages in seconds.

    It `is_wanted` while the order stands completed: what was refunded since is not refilled.
    """

    id: UUID
    number: int
    order_id: UUID
    order_number: int
    user_id: UUID
    provider_id: UUID
    external_order_id: str
    state: State
    upstream_id: str | None = None
    upstream_status: str | None = None
    tries: int = 0
    age_s: float = 0.0
    is_wanted: bool = True


class Standing(msgspec.Struct, frozen=True):
    """What there is to know of an order besides its row; ages in seconds, None for what never was."""

    has_refill: bool
    since_completed_s: float | None = None
    since_asked_s: float | None = None
    open_number: int | None = None
    open_is_unknown: bool = False


def refusal_of(order: Order, standing: Standing, wait_s: float) -> GatewayError | None:
    """Why no refill of the order may be asked for now, where none is open; None where one may (protocol §3)."""
    if not standing.has_refill:
        return RefillDisabled()
    if order.is_parent or order.status is not Status.COMPLETED:
        return OrderNotCompleted()
    if order.provider_id is None or order.external_order_id is None:
        return OrderNotCompleted()
    ages = (standing.since_completed_s, standing.since_asked_s)
    if any(age_s is not None and age_s < wait_s for age_s in ages):
        return RefillTooEarly()
    return None
