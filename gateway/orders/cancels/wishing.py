"""Taking a customer's wish to cancel orders: at once where nothing was sent, else kept for the worker."""

from collections.abc import Collection, Sequence
from uuid import UUID

from gateway.db.engine import Database, Transaction
from gateway.errors import CannotCancel, GatewayError
from gateway.orders import store as orders
from gateway.orders.cancels import store
from gateway.orders.cancels.model import TAKEN, UNDECIDED, State
from gateway.orders.families import store as families
from gateway.orders.model import Dispatch, Order, Transition
from gateway.orders.reading import OrderReader
from gateway.orders.settlement import Change, settle
from gateway.orders.store import HistoryLine
from gateway.orders.triggers import CancelWanted


async def cancel_orders(
    db: Database, reader: OrderReader, user_id: UUID, numbers: Sequence[int]
) -> dict[int, GatewayError | None]:
    """Take the wish for each of the user's orders: None, or why not; others' and unknown orders are left out.

    A queued order is withdrawn and its hold released before this returns; for any other, None says
    that the wish is kept, and money moves only with what the upstream says later. All in one
    transaction; asking again changes nothing and is answered the same.

    Raises:
        Unavailable: the database does not answer; asking again does no harm.
    """
    found = await reader.find(user_id, numbers)
    if not found:
        return {}
    async with db.transaction() as tx:
        taken = await take_wishes(tx, list(found.values()))
    return {number: None if order.id in taken else CannotCancel() for number, order in found.items()}


async def take_wishes(tx: Transaction, wanted: Sequence[Order]) -> set[UUID]:
    """The orders whose wish is taken, now or before.

    With a parent that begins no more runs go its open ones, and it is taken where one of them is:
    a drip-feed that we run, and whatever the upstream has ended already.
    """
    services = await store.cancellable(tx, list({order.service_id for order in wanted}))
    asked = {order.id: order for order in wanted if order.service_id in services}
    known = await families.load(tx, [order.id for order in asked.values() if order.is_parent])
    ours = [parent_id for parent_id in known if asked[parent_id].dispatch is Dispatch.PARENT]
    ended = [
        parent_id
        for parent_id, family in known.items()
        if asked[parent_id].dispatch is Dispatch.ACCEPTED and not family.is_open
    ]
    parents = [*ours, *ended]
    runs = await families.open_children(tx, parents)
    applied = await _cancel(tx, {*asked, *runs}.difference(ended))
    begun_meanwhile = await families.open_children(tx, parents)  # parents of ours are locked now: no more begin
    applied |= await _cancel(tx, begun_meanwhile.keys() - runs.keys())
    runs |= begun_meanwhile
    await _keep(tx, {order_id: applied[order_id].row for order_id in applied if order_id in asked or order_id in runs})
    states = await store.states_of(tx, [*(order.id for order in wanted), *runs])
    taken = {order_id for order_id, state in states.items() if state in TAKEN}
    return taken | {parent_id for run, parent_id in runs.items() if run in taken}


async def _cancel(tx: Transaction, order_ids: Collection[UUID]) -> dict[UUID, Transition]:
    return await settle(tx, [Change(order_id, CancelWanted()) for order_id in order_ids]) if order_ids else {}


async def _keep(tx: Transaction, rows: dict[UUID, str]) -> None:
    """Write the wishes of orders by the row of the table that each took, with a line of history for news."""
    wishes = {order_id: State.WANTED if row in UNDECIDED else State.WITHDRAWN for order_id, row in rows.items()}
    news = await store.keep(tx, wishes)
    lines = [
        HistoryLine(order_id, "CancelWanted", {"row": rows[order_id]})
        for order_id in sorted(news)
        if wishes[order_id] is State.WANTED
    ]
    await orders.write_history(tx, lines)
