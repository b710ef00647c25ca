"""Applying what happened to orders: status, money, event, history and alert in the caller's transaction."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Transaction
from gateway.events import store as events
from gateway.events.store import Event
from gateway.ledger import store as ledger
from gateway.ledger.model import Entry, Reference, Wallet, post
from gateway.orders import store
from gateway.orders.families import store as families
from gateway.orders.families.model import UNPAID, Children
from gateway.orders.families.settling import is_of_family, settle_parent
from gateway.orders.model import Order, Transition, decide
from gateway.orders.shown import told
from gateway.orders.store import HistoryLine, Tracking
from gateway.orders.triggers import ChildChanged, Reported, Trigger, may_move_money

UNREADABLE_MAX = 5
"""Unreadable answers for one order in a row before an alert."""

MESSAGES = {
    "unknown_order": "it is not known whether the upstream took the order; it will not be sent again by itself",
    "orphaned_upstream_order": "the upstream took an order that was written off; cancel it there",
    "unreadable_status": "the upstream's status of this order cannot be read",
    "completed_after_end": "the upstream completed an order that was settled as partial or cancelled",
    "refunded_by_upstream": "the upstream took back what was settled",
}


TOLD_UNCHANGED = frozenset({"10", "12", "20"})
"""Rows that say something although the order stays as it is."""


class Change(msgspec.Struct, frozen=True):
    """Something that happened to an order. `note` goes into its history, `tracking` is of one that was taken."""

    order_id: UUID
    trigger: Trigger
    note: dict[str, Any] = {}
    tracking: Tracking | None = None


async def hold(tx: Transaction, changes: Sequence[Change]) -> tuple[dict[tuple[UUID, str], Wallet], dict[UUID, Order]]:
    """Lock the wallets that the changes may touch, then the orders and their parents, each in id order.

    What belongs to an order, such as its attempt, is locked after it: who writes that before settling holds them first.
    """
    ids = [change.order_id for change in changes if may_move_money(change.trigger)]
    wallets = await ledger.lock_of_owners(tx, await store.owners_of(tx, ids)) if ids else {}
    return wallets, await store.lock(tx, [change.order_id for change in changes])


async def settle(tx: Transaction, changes: Sequence[Change]) -> dict[UUID, Transition]:
    """Apply each change by the table of transitions; a change without a row there does nothing.

    Locks what `hold` does. At most one change an order. Settling the same change again writes nothing. What happens
    to a parent that has children, and what its children's changes make of it, comes last.
    """
    wallets, orders = await hold(tx, changes)
    charges = _new_charges(changes, orders)
    orders |= {at: msgspec.structs.replace(orders[at], upstream_charge=charge) for at, charge in charges.items()}
    batch = _Batch(wallets)
    of_parents: dict[UUID, Change] = {}
    for change in sorted(changes, key=lambda change: change.order_id):
        before = orders.get(change.order_id)
        if before is not None and is_of_family(before, change.trigger):
            of_parents[before.id] = change
        elif before is not None:
            batch.take(before, change, decide(before, change.trigger))
    await store.update_charges(tx, {at: charge for at, charge in charges.items() if at not in batch.written})
    await batch.write(tx)
    touched = {parent_id for order in batch.written if (parent_id := orders[order].parent_id)} | of_parents.keys()
    if touched:
        followed = await _follow(tx, {parent_id: orders[parent_id] for parent_id in touched}, of_parents, batch.wallets)
        return batch.written | followed
    return batch.written


def is_news(order: Order, trigger: Reported) -> bool:
    """Whether settling it could write anything, as long as the order is as it was read."""
    if trigger.charge is not None and trigger.charge != order.upstream_charge:
        return True
    if is_of_family(order, trigger):
        return True
    transition = decide(order, trigger)
    return transition is not None and (transition.row == "19" or _says_something(transition, order))


def _says_something(transition: Transition, before: Order) -> bool:
    return transition.order != before or transition.row in TOLD_UNCHANGED or bool(transition.moves)


def _new_charges(changes: Sequence[Change], orders: Mapping[UUID, Order]) -> dict[UUID, Decimal]:
    """The charges reported that the orders' rows do not have; whatever the table says of the rest of the report."""
    reported = {
        change.order_id: change.trigger.charge
        for change in changes
        if isinstance(change.trigger, Reported) and change.order_id in orders
    }
    return {
        order_id: charge
        for order_id, charge in reported.items()
        if charge is not None and charge != orders[order_id].upstream_charge
    }


async def _follow(
    tx: Transaction,
    parents: dict[UUID, Order],
    changes: dict[UUID, Change],
    wallets: dict[tuple[UUID, str], Wallet],
) -> dict[UUID, Transition]:
    """Bring parents up to what happened to them and to their children, which is written already."""
    known = await families.load(tx, parents)
    children = await families.add_up(tx, parents)
    batch = _Batch(wallets)
    for parent_id, before in sorted(parents.items()):
        family = known[parent_id]
        change = changes.get(parent_id, Change(parent_id, ChildChanged()))
        transition, after = settle_parent(before, family, children.get(parent_id, Children()), change.trigger)
        batch.take(before, change, transition)
        if after != family:
            await families.update(tx, after)
        if family.is_open and not after.is_open:
            await alerts.clear(tx, UNPAID, f"order {before.number}")
    await batch.write(tx)
    return batch.written


class _Batch:
    """Transitions with what they book, until they are written together."""

    def __init__(self, wallets: dict[tuple[UUID, str], Wallet]) -> None:
        self.wallets = wallets
        self.written: dict[UUID, Transition] = {}
        self._entries: list[Entry] = []
        self._lines: list[HistoryLine] = []
        self._tracked: dict[UUID, Tracking] = {}

    def take(self, before: Order, change: Change, transition: Transition | None) -> None:
        """Post the transition's money; one that changes nothing is left out."""
        if transition is None:
            return
        if transition.row == "19":
            after = msgspec.structs.replace(transition.order, check_failures=before.check_failures + 1)
            transition = msgspec.structs.replace(transition, order=after)
        if not _says_something(transition, before):
            return
        self.written[before.id] = transition
        if change.tracking is not None:
            self._tracked[before.id] = change.tracking
        owner = (before.user_id, before.currency)
        for move in transition.moves:
            reference = Reference("order", before.id, move.part)
            self.wallets[owner], entry = post(self.wallets[owner], move.type, move.amount, reference)
            self._entries.append(entry)
        if _is_told(transition, before):
            self._lines.append(_line(change, transition))

    async def write(self, tx: Transaction) -> None:
        """Status, money, history, events and alerts of all of them."""
        transitions = self.written.values()
        if not transitions:
            return
        await ledger.write(tx, list(self.wallets.values()), self._entries)
        await store.update(tx, [transition.order for transition in transitions], self._tracked)
        await store.write_history(tx, self._lines)
        await events.insert(tx, [_event(transition) for transition in transitions if transition.event])
        await alerts.raise_(tx, [_alert(transition) for transition in transitions if _alarming(transition)])


def _is_told(transition: Transition, before: Order) -> bool:
    """Whether the history gets a line: for each tenth of progress, and not for the same trouble without end."""
    match transition.row:
        case "13":
            after = transition.order
            return after.upstream_status != before.upstream_status or _tenth(after) != _tenth(before)
        case "22":
            return transition.order.status is not before.status or bool(transition.moves)
        case "19":
            return transition.order.check_failures <= UNREADABLE_MAX
        case "12" | "20":
            return False  # the wish to cancel has a line of its own, however often it is said
        case _:
            return True


def _tenth(order: Order) -> int | None:
    return None if order.remains is None else order.remains * 10 // order.quantity


def _line(change: Change, transition: Transition) -> HistoryLine:
    details = {"row": transition.row, "status": transition.order.status, **change.note}
    if isinstance(change.trigger, Reported):
        details |= {"word": change.trigger.word[:200], "remains": change.trigger.remains}
        if change.trigger.error is not None:
            details["error"] = change.trigger.error[:500]
    return HistoryLine(change.order_id, type(change.trigger).__name__, details)


def _event(transition: Transition) -> Event:
    order = transition.order
    return Event(transition.event or "", order.user_id, "order", order.id, told(order))


def _alarming(transition: Transition) -> bool:
    if transition.row == "19":
        return transition.order.check_failures >= UNREADABLE_MAX
    return transition.alert is not None


def _alert(transition: Transition) -> Alert:
    kind = transition.alert or ""
    return Alert(kind, f"order {transition.order.number}", MESSAGES[kind])
