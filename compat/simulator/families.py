"""Drip-feeds and subscriptions of the simulated panel: which of their runs have begun by its clock."""

import random
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from compat.drafts import Draft
from compat.kinds import Kind
from compat.simulator.log import Acceptance
from compat.status import PanelStatus, SubscriptionWord

POST_SECONDS = 2.0
"""From one post to the next, at speed 1."""
CHILDREN_MAX = 1000


class Parent(msgspec.Struct):
    """An order that is made of others. `stopped_s` is when it was cancelled, in the panel's time since its start."""

    order: int
    draft: Draft
    is_subscription: bool
    run_price: Decimal
    started_at: float
    children: list[int] = []
    stopped_s: float | None = None


def child_id(parent: int, run: int) -> int:
    """The same after a restart: no other order gets it, since ids of orders have six digits."""
    return parent * CHILDREN_MAX + run


def starts_s(parent: Parent, run: int) -> float:
    """When a run begins, counted from 1, in the panel's time since the start of its parent."""
    if parent.is_subscription:
        return run * POST_SECONDS
    return (run - 1) * parent.draft.interval_minutes * 60.0


def runs_begun(parent: Parent, elapsed_s: float, day: datetime) -> int:
    """How many runs have begun; those after a cancel or the expiry never do."""
    until_s = elapsed_s if parent.stopped_s is None else min(elapsed_s, parent.stopped_s)
    if is_expired(parent, day):
        return len(parent.children)
    most = CHILDREN_MAX if parent.draft.runs is None else min(parent.draft.runs, CHILDREN_MAX)
    begun = len(parent.children)
    while begun < most and starts_s(parent, begun + 1) <= until_s:
        begun += 1
    return begun


def is_expired(parent: Parent, day: datetime) -> bool:
    expiry = parent.draft.details.get("expiry")
    return expiry is not None and day > datetime.strptime(expiry, "%d/%m/%Y").replace(tzinfo=UTC)


def quantity_of(parent: Parent, run: int, seed: int) -> int:
    """Of a drip-feed what was ordered; of a post a seeded number between its bounds."""
    if not parent.is_subscription:
        return parent.draft.quantity
    least = parent.draft.least or parent.draft.quantity
    return random.Random(f"post {seed} {parent.order} {run}").randint(least, parent.draft.quantity)


def accepted_run(parent: Parent, accepted: Acceptance, run: int, quantity: int, speed: float) -> Acceptance:
    """The run as an order; it is in no log."""
    charge = parent.run_price * quantity / parent.draft.quantity
    return Acceptance(
        order=child_id(parent.order, run),
        service=accepted.service,
        fields=accepted.fields,
        at=parent.started_at + starts_s(parent, run) / speed,
        quantity=quantity,
        charge=format(charge.quantize(Decimal("0.00000001")), "f"),
    )


def subscription_word(parent: Parent, day: datetime) -> SubscriptionWord:
    if parent.stopped_s is not None:
        return SubscriptionWord.CANCELED
    if parent.draft.runs is not None and len(parent.children) >= parent.draft.runs:
        return SubscriptionWord.COMPLETED
    return SubscriptionWord.EXPIRED if is_expired(parent, day) else SubscriptionWord.ACTIVE


def drip_status(parent: Parent, open_runs: int, delivered: int) -> PanelStatus:
    """Of the whole drip-feed, by what its runs delivered."""
    runs = parent.draft.runs or 1
    if open_runs or (parent.stopped_s is None and len(parent.children) < runs):
        return PanelStatus.IN_PROGRESS if parent.children else PanelStatus.PENDING
    if delivered == 0:
        return PanelStatus.CANCELED
    return PanelStatus.COMPLETED if delivered == runs * parent.draft.quantity else PanelStatus.PARTIAL


def parent_of(accepted: Acceptance, kind: Kind, draft: Draft, run_price: Decimal) -> Parent | None:
    """The parent that an order is; None for one that stands alone."""
    is_subscription = kind is Kind.SUBSCRIPTIONS
    if not is_subscription and (draft.runs or 1) <= 1:
        return None
    return Parent(accepted.order, draft, is_subscription, run_price, accepted.at)
