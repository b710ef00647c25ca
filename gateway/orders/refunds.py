"""An operator gives back what an order was charged, or some of it."""

from decimal import Decimal

from compat.money import LIMIT, format_amount
from gateway.audit import store as audit
from gateway.db.engine import Transaction
from gateway.errors import Conflict
from gateway.ledger import store as ledger
from gateway.ledger.model import EntryType, Reference, booked_before, check_amount
from gateway.orders import store
from gateway.orders.families import store as families
from gateway.orders.families.model import Family
from gateway.orders.model import Order, Transition, part_of
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import RefundGiven
from gateway.references import check_reference

RUNS_NAMED_MAX = 20


async def refund_order(tx: Transaction, order: Order, amount: Decimal | None, reference: str) -> Transition:
    """Give back `amount` of what the order is charged, or all of it for None; once a reference.

    All refunds of an order together, the upstream's too, are never more than was withdrawn for it. A parent is
    charged itself where its provider shows no runs, or not all of them; the runs that are shown are orders of
    their own, and refunded as such.

    Raises:
        AlreadyBooked: the same was given back with the reference before.
        ReferenceTaken: another amount was.
        Invalid: it is no amount, or no reference.
        Conflict: the order was charged less or has not ended, its runs are to be refunded, which are named, or the
            wallet would hold too much.
    """
    check_reference(reference)
    owner = order.user_id, order.currency
    wallet = (await ledger.lock_of_owners(tx, [owner]))[owner]
    before = (await store.lock(tx, [order.id]))[order.id]
    family = (await families.load(tx, [order.id])).get(order.id)
    left = before.charge if family is None or family.is_whole else family.delivered_rest * family.run_price
    booked = Reference("order", order.id, part_of(reference))
    if known := await ledger.find_booked(tx, booked, EntryType.REFUND):
        is_same = left == 0 if amount is None else known.amount == amount
        raise booked_before(known, "refund", reference, is_same=is_same)
    given = left if amount is None else check_amount(amount)
    if wallet.balance + given >= LIMIT:
        raise Conflict("a wallet holds less than 10^12")
    transition = (await settle(tx, [Change(order.id, RefundGiven(given, reference), {"reference": reference})])).get(
        order.id
    )
    if transition is None:
        raise Conflict(await _why_not(tx, before, family))
    after = _standing(transition.order) | {"reference": reference}
    await audit.record(tx, "orders", str(order.id), _standing(before), after)
    return transition


async def _why_not(tx: Transaction, order: Order, family: Family | None) -> str:
    """What an operator can do instead."""
    stands = f"order {order.number} is {order.status} with a charge of {format_amount(order.charge)}"
    if family is None or family.is_whole:
        return stands
    runs = await families.list_charged(tx, order.id, RUNS_NAMED_MAX + 1)
    said = [stands]
    if runs:
        named = ", ".join(map(str, runs[:RUNS_NAMED_MAX])) + (" and more" if len(runs) > RUNS_NAMED_MAX else "")
        said.append(f"its runs are refunded each for itself: {named}")
    if family.delivered_rest and not family.is_open:
        price = format_amount(family.run_price)
        said.append(f"of it itself whole runs that the provider did not show: {family.delivered_rest} of {price} each")
    return "; ".join(said)


def _standing(order: Order) -> dict[str, object]:
    return {"status": order.status, "charge": format_amount(order.charge), "remains": order.remains}
