"""Drip-feeds and subscriptions of the simulated panel: which of their runs have begun by its clock."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from compat.drafts import Draft
from compat.kinds import Kind
from compat.money import format_amount, share
from compat.simulator.log import Acceptance
from compat.simulator.runs import Now
from compat.status import PanelStatus, SubscriptionWord

POST_SECONDS = 2.0
"""From one post to the next, at speed 1."""
CHILDREN_MAX = 1000
_DAY_S = 86_400


class Parent(msgspec.Struct):
    """An order that is made of others.

    `stopped_s` is when it was cancelled and `expires_s` when no post comes any more, both in the panel's
    time since its start; `is_settled` once what its runs did not need is paid back.
    """

    order: int
    draft: Draft
    is_subscription: bool
    run_price: Decimal
    started_at: float
    expires_s: float | None = None
    children: list[int] = []
    stopped_s: float | None = None
    is_settled: bool = False


def parent_of(accepted: Acceptance, kind: Kind, draft: Draft, run_price: Decimal, speed: float) -> Parent | None:
    """The parent that an order is; None for one that stands alone."""
    is_subscription = kind is Kind.SUBSCRIPTIONS
    if not is_subscription and (draft.runs or 1) <= 1:
        return None
    expiry = draft.details.get("expiry") if is_subscription else None
    expires_s = None if expiry is None else (_end_of(expiry) - accepted.at) * speed
    return Parent(accepted.order, draft, is_subscription, run_price, accepted.at, expires_s)


def _end_of(day: str) -> float:
    """The last day belongs to the subscription."""
    return datetime.strptime(day, "%d/%m/%Y").replace(tzinfo=UTC).timestamp() + _DAY_S


def child_id(parent: int, run: int) -> int:
    """The same after a restart: no other order gets it, since ids of orders have six digits."""
    return parent * CHILDREN_MAX + run


def parent_id(child: int) -> int:
    """Whose run an id is, if it is one of a run."""
    return (child - 1) // CHILDREN_MAX


def starts_s(parent: Parent, run: int) -> float:
    """When a run begins, counted from 1, in the panel's time since the start of its parent."""
    if parent.is_subscription:
        return run * POST_SECONDS
    return (run - 1) * parent.draft.interval_minutes * 60.0


def runs_begun(parent: Parent, elapsed_s: float) -> int:
    """How many runs have begun, whenever that is asked; those after a cancel or the expiry never do."""
    ends = [end_s for end_s in (elapsed_s, parent.stopped_s, parent.expires_s) if end_s is not None]
    most = CHILDREN_MAX if parent.draft.runs is None else min(parent.draft.runs, CHILDREN_MAX)
    begun = len(parent.children)
    while begun < most and starts_s(parent, begun + 1) <= min(ends):
        begun += 1
    return begun


def quantity_of(parent: Parent, run: int, seed: int) -> int:
    """Of a drip-feed what was ordered; of a post a seeded number between its bounds."""
    if not parent.is_subscription:
        return parent.draft.quantity
    least = parent.draft.least or parent.draft.quantity
    return random.Random(f"post {seed} {parent.order} {run}").randint(least, parent.draft.quantity)


def accepted_run(parent: Parent, accepted: Acceptance, run: int, quantity: int, speed: float) -> Acceptance:
    """The run as an order; it is in no log."""
    return Acceptance(
        order=child_id(parent.order, run),
        service=accepted.service,
        fields=accepted.fields,
        at=parent.started_at + starts_s(parent, run) / speed,
        quantity=quantity,
        charge=format_amount(share(parent.run_price, quantity, parent.draft.quantity)),
    )


def has_begun_all(parent: Parent, elapsed_s: float) -> bool:
    """No run begins any more."""
    if parent.stopped_s is not None or (parent.expires_s is not None and elapsed_s >= parent.expires_s):
        return True
    return parent.draft.runs is not None and len(parent.children) >= parent.draft.runs


def subscription_word(parent: Parent, elapsed_s: float) -> SubscriptionWord:
    if parent.stopped_s is not None:
        return SubscriptionWord.CANCELED
    if not has_begun_all(parent, elapsed_s):
        return SubscriptionWord.ACTIVE
    is_whole = parent.draft.runs is not None and len(parent.children) >= parent.draft.runs
    return SubscriptionWord.COMPLETED if is_whole else SubscriptionWord.EXPIRED


def drip_now(parent: Parent, runs: Sequence[tuple[int, Now]]) -> Now:
    """What is said of the whole drip-feed, by the quantities of its runs and what is said of them."""
    over = [(quantity, now) for quantity, now in runs if now.is_over]
    delivered = sum(quantity - max(0, now.remains) for quantity, now in over if now.status is not PanelStatus.CANCELED)
    total = parent.draft.quantity * (parent.draft.runs or 1)
    charge = sum((now.charge for _, now in runs), Decimal(0))
    return Now(_drip_status(parent, len(runs) - len(over), delivered), total - delivered, charge)


def _drip_status(parent: Parent, open_runs: int, delivered: int) -> PanelStatus:
    """Of the whole drip-feed, by what its runs delivered."""
    runs = parent.draft.runs or 1
    if open_runs or (parent.stopped_s is None and len(parent.children) < runs):
        return PanelStatus.IN_PROGRESS if parent.children else PanelStatus.PENDING
    if delivered == 0:
        return PanelStatus.CANCELED
    return PanelStatus.COMPLETED if delivered == runs * parent.draft.quantity else PanelStatus.PARTIAL
