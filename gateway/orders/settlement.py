"""Applying what happened to orders: status, money, event, history and alert in the caller's transaction."""

from collections.abc import Sequence
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
from gateway.orders.model import Order, Transition, decide, shown_charge
from gateway.orders.store import HistoryLine
from gateway.orders.triggers import Reported, Trigger, may_move_money

UNREADABLE_MAX = 5
"""Unreadable answers for one order in a row before an alert."""

MESSAGES = {
    "unknown_order": "it is not known whether the upstream took the order; it will not be sent again by itself",
    "orphaned_upstream_order": "the upstream took an order that was written off; cancel it there",
    "unreadable_status": "the upstream's status of this order cannot be read",
    "completed_after_end": "the upstream completed an order that was settled as partial or cancelled",
    "refunded_by_upstream": "the upstream took back what was settled",
}


class Change(msgspec.Struct, frozen=True):
    """Something that happened to an order. `note` goes into its history."""

    order_id: UUID
    trigger: Trigger
    note: dict[str, Any] = {}


async def settle(tx: Transaction, changes: Sequence[Change]) -> dict[UUID, Transition]:
    """Apply each change by the table of transitions; a change without a row there does nothing.

    Locks the wallets that may be touched, then the orders, each in id order. At most one change an
    order. Settling the same change again writes nothing.
    """
    ids = [change.order_id for change in changes if may_move_money(change.trigger)]
    wallets = await ledger.lock_of_owners(tx, await store.owners_of(tx, ids)) if ids else {}
    orders = await store.lock(tx, [change.order_id for change in changes])
    written: dict[UUID, Transition] = {}
    entries: list[Entry] = []
    lines: list[HistoryLine] = []
    for change in sorted(changes, key=lambda change: change.order_id):
        before = orders.get(change.order_id)
        transition = decide(before, change.trigger) if before else None
        if before is None or transition is None:
            continue
        if transition.row == "19":
            after = msgspec.structs.replace(transition.order, check_failures=before.check_failures + 1)
            transition = msgspec.structs.replace(transition, order=after)
        if transition.order == before and transition.row != "10":
            continue
        written[change.order_id] = transition
        owner = (before.user_id, before.currency)
        for move in transition.moves:
            reference = Reference("order", before.id, move.part)
            wallets[owner], entry = post(wallets[owner], move.type, move.amount, reference)
            entries.append(entry)
        if _is_told(transition, before):
            lines.append(_line(change, transition))
    await _write(tx, written, list(wallets.values()), entries, lines)
    return written


async def _write(
    tx: Transaction,
    written: dict[UUID, Transition],
    wallets: list[Wallet],
    entries: list[Entry],
    lines: list[HistoryLine],
) -> None:
    if not written:
        return
    await ledger.write(tx, wallets, entries)
    await store.update(tx, [transition.order for transition in written.values()])
    await store.write_history(tx, lines)
    await events.insert(tx, [_event(transition) for transition in written.values() if transition.event])
    await alerts.raise_(tx, [_alert(transition) for transition in written.values() if _alarming(transition)])


def _is_told(transition: Transition, before: Order) -> bool:
    """Whether the history gets a line: not for mere progress, nor for the same trouble without end."""
    match transition.row:
        case "13":
            return transition.order.upstream_status != before.upstream_status
        case "19":
            return transition.order.check_failures <= UNREADABLE_MAX
        case _:
            return True


def _line(change: Change, transition: Transition) -> HistoryLine:
    details = {"row": transition.row, "status": transition.order.status, **change.note}
    if isinstance(change.trigger, Reported):
        details |= {"word": change.trigger.word[:200], "remains": change.trigger.remains}
        if change.trigger.error is not None:
            details["error"] = change.trigger.error[:500]
    return HistoryLine(change.order_id, type(change.trigger).__name__, details)


def _event(transition: Transition) -> Event:
    order = transition.order
    data = {
        "number": order.number,
        "status": order.status,
        "charge": shown_charge(order),
        "remains": order.remains,
        "currency": order.currency,
    }
    return Event(transition.event or "", order.user_id, "order", order.id, data)


def _alarming(transition: Transition) -> bool:
    if transition.row == "19":
        return transition.order.check_failures >= UNREADABLE_MAX
    return transition.alert is not None


def _alert(transition: Transition) -> Alert:
    kind = transition.alert or ""
    return Alert(kind, f"order {transition.order.number}", MESSAGES[kind])
