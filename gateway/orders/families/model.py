"""A parent order, its children, and what becomes of both; pure.

The parent holds the money of `held` runs. Each run that began is a child order with the price of one
run as its share, which it resolves by itself by the table of `gateway.orders.model`. What has no
child is resolved on the parent, once, when no more children will come.
"""

import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from compat.drafts import Draft
from compat.kinds import RULES, Counting, Kind
from compat.money import share
from compat.status import SubscriptionWord, UpstreamStatus
from gateway.ledger.model import EntryType
from gateway.orders.model import Dispatch, Move, Order, Status, Transition
from gateway.orders.triggers import CancelWanted, Reported, Trigger

POSTS_AHEAD = 10
"""Posts whose money is held of a subscription with an open number of them."""
UNPAID = "subscription_unpaid"
"""The alert of an open subscription without money for its next posts."""
REST = "rest"
"""The part of the parent's hold that is of no child."""


class Mode(enum.StrEnum):
    """Who runs the children: we, or the upstream as a drip-feed or as a subscription."""

    OWN = "own"
    UPSTREAM = "upstream"
    SUBSCRIPTION = "subscription"


class State(enum.StrEnum):
    """Whether more children will come, in the words of subscriptions."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELED = "canceled"


OPEN = frozenset({State.ACTIVE, State.PAUSED})


class Family(msgspec.Struct, frozen=True):
    """The row beside a parent's order row.

    `runs` is None where their number is open. Of the `held` runs, `started` have a child and
    `delivered_rest` were delivered without one that we know.
    """

    order_id: UUID
    mode: Mode
    runs: int | None
    run_quantity: int
    run_price: Decimal
    interval_minutes: int | None
    held: int
    started: int = 0
    delivered_rest: int = 0
    state: State = State.ACTIVE

    @property
    def left(self) -> int:
        """Runs that are held and not begun."""
        return self.held - self.started - self.delivered_rest

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_whole(self) -> bool:
        """Whether its upstream runs it and shows no run, so that it is settled as an order that stands alone."""
        return self.mode is Mode.UPSTREAM and self.started == 0

    @property
    def is_short(self) -> bool:
        """Whether the next posts of an open number of them are not paid for."""
        return self.runs is None and self.left < POSTS_AHEAD


class Children(msgspec.Struct, frozen=True):
    """All children of one parent, added up; `quantity` and `delivered` in pieces."""

    count: int = 0
    open: int = 0
    sent: int = 0
    quantity: int = 0
    delivered: int = 0
    charge: Decimal = Decimal(0)


def family_of(order_id: UUID, kind: Kind, draft: Draft, run_price: Decimal, *, native: bool) -> Family | None:
    """The family of an order about to be placed; None for an order that stands alone."""
    if RULES[kind].counting is Counting.POSTS:
        held = POSTS_AHEAD if draft.runs is None else draft.runs
        return Family(order_id, Mode.SUBSCRIPTION, draft.runs, draft.quantity, run_price, None, held)
    if draft.runs is None or draft.runs <= 1:
        return None
    mode = Mode.UPSTREAM if native else Mode.OWN
    return Family(order_id, mode, draft.runs, draft.quantity, run_price, draft.interval_minutes, draft.runs)


def drip_details(family: Family | None) -> dict[str, str]:
    """The fields of `add` that make an order a drip-feed."""
    if family is None or family.mode is Mode.SUBSCRIPTION:
        return {}
    return {"runs": str(family.runs), "interval": str(family.interval_minutes)}


def child_of(parent: Order, family: Family, child_id: UUID, quantity: int, **changes: Any) -> Order:
    """An order for one run; its price is the share of that quantity in the price of a run."""
    child = msgspec.structs.replace(
        parent,
        id=child_id,
        number=0,
        parent_id=parent.id,
        is_parent=False,
        quantity=quantity,
        price=share(family.run_price, quantity, family.run_quantity),
        charge=parent.price * 0,
        status=Status.PENDING,
        dispatch=Dispatch.QUEUED,
        external_order_id=None,
        upstream_status=None,
        start_count=None,
        remains=None,
        check_failures=0,
        upstream_charge=None,
        details={name: value for name, value in parent.details.items() if name not in ("runs", "interval")},
    )
    return msgspec.structs.replace(child, **changes) if changes else child


# What happens to a parent --------------------------------------------------------------------

_WORDS = {
    UpstreamStatus.PAUSED: State.PAUSED,
    UpstreamStatus.COMPLETED: State.COMPLETED,
    UpstreamStatus.EXPIRED: State.EXPIRED,
    UpstreamStatus.PARTIAL: State.CANCELED,
    UpstreamStatus.CANCELED: State.CANCELED,
    UpstreamStatus.FAILED: State.CANCELED,
    UpstreamStatus.REFUNDED: State.CANCELED,
}


FINAL = frozenset(word for word, state in _WORDS.items() if state not in OPEN)
"""An upstream's last words on a parent."""


class Ruling(msgspec.Struct, frozen=True):
    """The family as it is to be, and the money of what no child has."""

    family: Family
    moves: tuple[Move, ...] = ()


def rule(family: Family, trigger: Trigger) -> Ruling:
    """What a trigger on the parent does to the family; a closed one stays as it is."""
    if not family.is_open:
        return Ruling(family)
    if isinstance(trigger, CancelWanted):
        return _close(family, State.CANCELED)
    if isinstance(trigger, Reported) and trigger.status is not None:
        state = _WORDS.get(trigger.status, State.PAUSED if family.is_short else State.ACTIVE)
        if state in OPEN:
            return Ruling(msgspec.structs.replace(family, state=state))
        return _close(family, state)
    return Ruling(family)


def _close(family: Family, state: State) -> Ruling:
    """No more children: the runs without one are given back, or were delivered unseen by an upstream's drip-feed."""
    left = family.left
    if left == 0:
        return Ruling(msgspec.structs.replace(family, state=state))
    if family.mode is Mode.UPSTREAM and state is State.COMPLETED:
        closed = msgspec.structs.replace(family, state=state, delivered_rest=left)
        return Ruling(closed, (Move(EntryType.WITHDRAW, left * family.run_price, REST),))
    closed = msgspec.structs.replace(family, state=state)
    return Ruling(closed, (Move(EntryType.RELEASE, left * family.run_price, REST),))


_EVENTS = {
    Status.PROCESSING: "order.processing",
    Status.COMPLETED: "order.completed",
    Status.PARTIAL: "order.partial",
    Status.CANCELLED: "order.cancelled",
}


def follow(parent: Order, family: Family, children: Children, moves: tuple[Move, ...] = ()) -> Transition:
    """The parent as its children make it: pending until one is sent, processing while any is open or to come,
    then completed, partial or cancelled by what was delivered (row 22)."""
    delivered = children.delivered + family.delivered_rest * family.run_quantity
    charge = children.charge + family.delivered_rest * family.run_price
    if family.is_open or children.open:
        begun = parent.dispatch is Dispatch.ACCEPTED or children.sent > 0 or parent.status is Status.PROCESSING
        status = Status.PROCESSING if begun else Status.PENDING
    elif delivered == 0:
        status = Status.CANCELLED
    elif delivered >= parent.quantity or (family.state is State.COMPLETED and delivered >= _wanted(family, children)):
        status = Status.COMPLETED
    else:
        status = Status.PARTIAL
    remains = 0 if status is Status.COMPLETED else max(0, parent.quantity - delivered)
    after = msgspec.structs.replace(parent, status=status, charge=charge, remains=remains)
    event = _EVENTS.get(status) if status is not parent.status else None
    return Transition(row="22", order=after, moves=moves, event=event)


def _wanted(family: Family, children: Children) -> int:
    """Pieces that all runs come to: of a subscription, those of the posts there were."""
    if family.mode is Mode.SUBSCRIPTION:
        return children.quantity
    return family.held * family.run_quantity


def shown_subscription(parent: Order, family: Family) -> SubscriptionWord:
    """The word of `status` for a subscription, also for one that the upstream never took."""
    if parent.dispatch is not Dispatch.ACCEPTED and parent.status in (Status.CANCELLED, Status.FAILED):
        return SubscriptionWord.CANCELED
    return SubscriptionWord(family.state.value.capitalize())
