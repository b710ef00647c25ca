"""An operator gives back what an order was charged, or some of it."""

import re
from decimal import Decimal

from compat.money import format_amount, round8
from gateway.audit import store as audit
from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.ledger import store as ledger
from gateway.orders import store
from gateway.orders.model import Order, Transition
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import RefundGiven
from gateway.references import check_reference

_REFERENCE = re.compile(r"[\x20-\x7e]{1,80}")


async def refund_order(tx: Transaction, order: Order, amount: Decimal | None, reference: str) -> Transition:
    """Give back `amount` of what the order is charged, or all of it for None; once a reference.

    All refunds of an order together, the upstream's too, are never more than was withdrawn for it.

    Raises:
        Conflict: the reference was booked before, the order was charged less or has not ended, or it has runs,
            which are refunded each for itself.
    """
    reference = check_reference(reference)
    if not _REFERENCE.fullmatch(reference):
        raise Conflict("a reference is 1 to 80 printable characters of ASCII")
    if order.is_parent:
        raise Conflict(f"order {order.number} has runs: refund those")
    if amount is not None and amount != round8(amount):
        raise Conflict("an amount has at most 8 decimal places")
    await ledger.lock_of_owners(tx, [(order.user_id, order.currency)])
    before = (await store.lock(tx, [order.id]))[order.id]
    given = before.charge if amount is None else amount
    applied = await settle(tx, [Change(order.id, RefundGiven(given, reference), {"reference": reference})])
    transition = applied.get(order.id)
    if transition is None:
        raise Conflict(f"order {order.number} is {before.status} with a charge of {before.charge.normalize():f}")
    after = transition.order
    await audit.record(tx, "orders", str(order.id), _standing(before), _standing(after) | {"reference": reference})
    return transition


def _standing(order: Order) -> dict[str, object]:
    return {"status": order.status, "charge": format_amount(order.charge), "remains": order.remains}
