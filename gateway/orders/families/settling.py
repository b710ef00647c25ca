"""Whether a trigger on a parent goes by the rules of its family or by those of an order that stands alone; pure."""

import msgspec

from compat.status import UpstreamStatus
from gateway.ledger.model import EntryType
from gateway.orders.families.model import REST, Children, Family, State, follow, rule
from gateway.orders.model import Dispatch, Move, Order, Transition, decide, part_of
from gateway.orders.triggers import RefundGiven, Reported, Trigger


def is_of_family(order: Order, trigger: Trigger) -> bool:
    """Whether the trigger is one that `settle_parent` decides, and not the table of orders."""
    if not order.is_parent:
        return False
    if order.dispatch is Dispatch.ACCEPTED:
        return isinstance(trigger, Reported | RefundGiven)
    return order.dispatch is Dispatch.PARENT


def settle_parent(
    parent: Order, family: Family, children: Children, trigger: Trigger
) -> tuple[Transition | None, Family]:
    """What becomes of a parent, and of its family, by a trigger on it or by a change of its children (row 22)."""
    if family.is_whole:
        return _settle_whole(parent, family, trigger)
    if isinstance(trigger, RefundGiven):
        return _given_back(parent, family, children, trigger)
    if isinstance(trigger, Reported):
        if trigger.error is not None or trigger.status is None:
            return decide(parent, trigger), family
        parent = _seen(parent, trigger)
    if isinstance(trigger, Reported) and not family.is_open and family.delivered_rest:
        return _taken_back(parent, family, children, trigger)
    ruling = rule(family, trigger)
    return follow(parent, ruling.family, children, ruling.moves), ruling.family


def _settle_whole(parent: Order, family: Family, trigger: Trigger) -> tuple[Transition | None, Family]:
    """A drip-feed whose upstream shows no children is settled by the table of orders, and closed with that."""
    transition = decide(parent, trigger)
    if transition is not None and family.is_open and transition.row in ("14", "15", "16"):
        state = State.COMPLETED if transition.row == "14" else State.CANCELED
        return transition, msgspec.structs.replace(family, state=state)
    return transition, family


def _taken_back(
    parent: Order, family: Family, children: Children, report: Reported
) -> tuple[Transition | None, Family]:
    """Row 17 of the runs that were charged unseen: those that the upstream takes back later are refunded whole."""
    delivered = parent.quantity
    if report.status in (UpstreamStatus.CANCELED, UpstreamStatus.REFUNDED):
        delivered = 0
    elif report.status is UpstreamStatus.PARTIAL and report.remains is not None:
        delivered = max(0, parent.quantity - report.remains)
    unseen = max(0, delivered - children.delivered)
    kept = min(family.delivered_rest, -(-unseen // family.run_quantity))
    back = (family.delivered_rest - kept) * family.run_price
    if back == 0:
        return follow(parent, family, children), family
    after = msgspec.structs.replace(family, delivered_rest=kept)
    refund = Move(EntryType.REFUND, back, f"{REST} {kept}")
    transition = follow(parent, after, children, (refund,))
    return msgspec.structs.replace(transition, alert="refunded_by_upstream"), after


def _given_back(
    parent: Order, family: Family, children: Children, given: RefundGiven
) -> tuple[Transition | None, Family]:
    """Row 17 by an operator, of runs that were charged unseen: whole ones, since nothing else of them is known."""
    if family.is_open or family.run_price == 0 or given.amount % family.run_price:
        return None, family
    runs = int(given.amount / family.run_price)
    if not 1 <= runs <= family.delivered_rest:
        return None, family
    after = msgspec.structs.replace(family, delivered_rest=family.delivered_rest - runs)
    move = Move(EntryType.REFUND, given.amount, part_of(given.reference))
    transition = follow(parent, after, children, (move,))
    return msgspec.structs.replace(transition, row="17", event="order.refunded"), after


def _seen(parent: Order, report: Reported) -> Order:
    started = parent.start_count if report.start_count is None else report.start_count
    return msgspec.structs.replace(parent, upstream_status=report.word[:50], start_count=started, check_failures=0)
