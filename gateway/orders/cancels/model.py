"""A wish to cancel an order, and what is to be done about it as the order stands; pure."""

import enum
from uuid import UUID

import msgspec

from gateway.orders.model import Dispatch, Status

TRIES_MAX = 20
"""Calls without an answer, over more than an hour, before a wish is given up."""


class State(enum.StrEnum):
    """Where a wish stands; `void`: the order ended before anybody could be asked."""

    WANTED = "wanted"
    WITHDRAWN = "withdrawn"
    FORWARDED = "forwarded"
    REFUSED = "refused"
    VOID = "void"
    FAILED = "failed"


TAKEN = frozenset({State.WANTED, State.WITHDRAWN, State.FORWARDED})
"""A wish in these states is taken; asking again is answered the same and does nothing."""


UNDECIDED = frozenset({"12", "20"})
"""Rows of the table of orders after which a wish is still to be acted on."""


class Orphan(msgspec.Struct, frozen=True):
    """What turned up at an upstream after its order was written off."""

    provider_id: UUID
    upstream_id: str


class Wish(msgspec.Struct, frozen=True):
    """A wish with what is known of its order. `tries` are the calls that were not answered."""

    order_id: UUID
    number: int
    dispatch: Dispatch
    status: Status
    provider_id: UUID | None
    external_order_id: str | None
    orphan: Orphan | None
    tries: int


class Withdraw(msgspec.Struct, frozen=True):
    """The order has not been sent: row 11."""


class Wait(msgspec.Struct, frozen=True):
    """It is not known yet whether the upstream has it: row 12."""


class Forward(msgspec.Struct, frozen=True):
    """The upstream has it: row 20."""

    provider_id: UUID
    upstream_id: str


class Drop(msgspec.Struct, frozen=True):
    """The order ended by itself; there is nothing left to cancel."""


Step = Withdraw | Wait | Forward | Drop


def step_of(wish: Wish) -> Step:
    """What to do now."""
    match wish.dispatch:
        case Dispatch.QUEUED | Dispatch.PARENT if wish.status in (Status.PENDING, Status.PROCESSING):
            return Withdraw()
        case Dispatch.SENDING | Dispatch.UNKNOWN:
            return Wait()
        case Dispatch.ACCEPTED if wish.status is Status.PROCESSING and wish.provider_id and wish.external_order_id:
            return Forward(wish.provider_id, wish.external_order_id)
        case Dispatch.WRITTEN_OFF if wish.orphan is not None:
            return Forward(wish.orphan.provider_id, wish.orphan.upstream_id)
        case _:
            return Drop()
