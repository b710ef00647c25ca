"""What an operator may decide of an order whose fate is unknown, each decision kept as evidence."""

import re
from typing import TypeAlias

import msgspec

from gateway.audit import store as audit
from gateway.db.engine import Database, Transaction
from gateway.db.partitions import load_number_map
from gateway.dispatch import store
from gateway.dispatch.outcomes import accept_unknown, give_up, not_placed
from gateway.errors import Conflict, NotFound
from gateway.orders.model import Order
from gateway.orders.store import find_by_number, lock


class PlacedAs(msgspec.Struct, frozen=True):
    """It is at the upstream under this id."""

    upstream_id: str


class NotPlaced(msgspec.Struct, frozen=True):
    """It is certain that the upstream has no such order; it may be sent again."""


class Refund(msgspec.Struct, frozen=True):
    """Give the customer the money back and never send the order."""


UPSTREAM_ID = re.compile("[0-9A-Za-z_-]{1,64}")

Decision: TypeAlias = PlacedAs | NotPlaced | Refund


async def resolve(db: Database, number: int, decision: Decision, by: str) -> None:
    """Apply an operator's decision on an order that is `unknown`.

    Raises:
        NotFound: no order has this number.
        Conflict: its fate is not unknown, or the upstream's id is malformed or another order's.
    """
    async with db.transaction() as tx:
        numbers = await load_number_map(tx)
        order = await find_by_number(tx, number, numbers.ranges(number))
        if order is None:
            raise NotFound(f"order {number}")
        await resolve_order(tx, order, decision, by)


async def resolve_order(tx: Transaction, order: Order, decision: Decision, by: str) -> None:
    """As `resolve`, of an order that was found, in a transaction of the caller's, to whose actor it is put down.

    Raises:
        Conflict: as `resolve`.
    """
    attempt = await store.find_unknown(tx, order.id)
    if attempt is None:
        raise Conflict(f"order {order.number} is {order.dispatch}, not unknown: there is nothing to resolve")
    match decision:
        case PlacedAs(upstream_id) if not UPSTREAM_ID.fullmatch(upstream_id):
            raise Conflict("an upstream's id is 1 to 64 characters 0-9 A-Z a-z _ -")
        case PlacedAs(upstream_id):
            if not await accept_unknown(tx, attempt, upstream_id, {"operator": by}):
                raise Conflict(f"the upstream's id {upstream_id} belongs to another order")
        case NotPlaced():
            await not_placed(tx, attempt, {"operator": by})
        case Refund():
            await give_up(tx, attempt, {"operator": by})
    after = (await lock(tx, [order.id]))[order.id]
    await audit.record(tx, "orders", str(order.id), _standing(order), _standing(after))


def _standing(order: Order) -> dict[str, object]:
    return {"status": order.status, "dispatch": order.dispatch, "external_order_id": order.external_order_id}
