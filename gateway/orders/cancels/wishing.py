"""Taking a customer's wish to cancel orders: at once where nothing was sent, else kept for the worker."""

from collections.abc import Sequence
from uuid import UUID

from gateway.db.engine import Database, Transaction
from gateway.errors import CannotCancel, GatewayError
from gateway.orders import store as orders
from gateway.orders.cancels import store
from gateway.orders.cancels.model import TAKEN, UNDECIDED, State
from gateway.orders.families import store as families
from gateway.orders.model import Dispatch, Order
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
        taken = await _take(tx, list(found.values()))
    return {number: None if order.id in taken else CannotCancel() for number, order in found.items()}


async def _take(tx: Transaction, wanted: Sequence[Order]) -> set[UUID]:
    """The orders whose wish is taken, now or before; with a drip-feed that we run goes the run that is open."""
    services = await store.cancellable(tx, list({order.service_id for order in wanted}))
    ids = [order.id for order in wanted if order.service_id in services]
    applied = await settle(tx, [Change(order_id, CancelWanted()) for order_id in ids])
    stopped = [order.id for order in wanted if order.id in ids and order.dispatch is Dispatch.PARENT]
    runs = await families.open_children(tx, stopped) if stopped else {}  # locked now, so that no other run begins
    of_runs = [order_id for order_id in runs if order_id not in ids]
    applied = await settle(tx, [Change(order_id, CancelWanted()) for order_id in of_runs]) | applied
    ids += of_runs
    wishes = {
        order_id: State.WANTED if transition.row in UNDECIDED else State.WITHDRAWN
        for order_id, transition in applied.items()
        if order_id in ids
    }
    news = await store.keep(tx, wishes)
    await orders.write_history(
        tx,
        [
            HistoryLine(order_id, "CancelWanted", {"row": applied[order_id].row})
            for order_id in sorted(news)
            if wishes[order_id] is State.WANTED
        ],
    )
    known = await store.states_of(tx, ids)
    taken = {order_id for order_id, state in known.items() if state in TAKEN}
    return taken | {parent_id for order_id, parent_id in runs.items() if order_id in taken}
