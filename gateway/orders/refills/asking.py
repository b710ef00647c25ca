"""Asking for refills, and reading where they stand."""

from collections.abc import Sequence
from uuid import UUID

from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database, Transaction
from gateway.errors import GatewayError, RefillTooEarly
from gateway.events import store as events
from gateway.events.payloads import RefillData
from gateway.events.store import Event
from gateway.orders import store as orders
from gateway.orders.model import Order
from gateway.orders.reading import NUMBER_MAX, OrderReader
from gateway.orders.refills import store
from gateway.orders.refills.model import Refill, State, refusal_of
from gateway.orders.store import HistoryLine


async def ask_for_refills(
    db: Database, reader: OrderReader, user_id: UUID, numbers: Sequence[int], wait_s: float
) -> dict[int, int | GatewayError]:
    """Ask for a refill of each of the user's orders: its number, or why not; others' and unknown orders are left out.

    While an order has an open refill, asking again answers that one's number, and sends it once more
    where nobody knows whether the upstream took it and another could be asked for by now. The orders
    are locked meanwhile, so that of many who ask at once one asks first.

    Raises:
        Unavailable: the database does not answer; asking again does no harm.
    """
    found = await reader.find(user_id, numbers)
    if not found:
        return {}
    async with db.transaction() as tx:
        asked = await ask(tx, [order.id for order in found.values()], wait_s)
    return {number: asked[order.id] for number, order in found.items()}


async def ask(tx: Transaction, order_ids: Sequence[UUID], wait_s: float) -> dict[UUID, int | GatewayError]:
    """As `ask_for_refills`, of orders by their ids, in a transaction of the caller's."""
    locked = await orders.lock(tx, order_ids)
    standings = await store.standings(tx, order_ids)
    answers: dict[UUID, int | GatewayError] = {}
    allowed: list[Order] = []
    unknown: list[UUID] = []
    for order_id in order_ids:
        order, standing = locked[order_id], standings[order_id]
        refusal = refusal_of(order, standing, wait_s)
        if standing.open_number is not None:
            answers[order_id] = standing.open_number
            if standing.open_is_unknown and refusal is None:
                unknown.append(order_id)
        elif refusal is not None:
            answers[order_id] = refusal
        else:
            allowed.append(order)
            answers[order_id] = RefillTooEarly()
    await store.ask_anew(tx, unknown)
    for refill in await store.insert(tx, allowed):
        answers[refill.order_id] = refill.number
        await tell(tx, refill, "refill.requested", "RefillRequested", State.REQUESTED)
    return answers


async def find_refills(db: Database, user_id: UUID, numbers: Sequence[int]) -> dict[int, Refill]:
    """The user's own refills by number; others' and unknown ones are left out.

    Raises:
        Unavailable: the database does not answer.
    """
    asked = [number for number in numbers if 0 < number <= NUMBER_MAX]
    async with db.connection() as connection:
        return await store.find(connection, user_id, asked)


async def tell(
    tx: Transaction, refill: Refill, event: str | None, kind: str, state: State, reason: str | None = None
) -> None:
    """Write the event for the user, None for none, and the line of the order's history."""
    if event is not None:
        data = RefillData(number=refill.number, order=refill.order_number, state=state.value)
        await events.insert(tx, [Event(event, refill.user_id, "refill", refill.id, data)])
    details = {"number": refill.number, "order": refill.order_number, "state": state.value}
    details |= {"reason": reason} if reason else {}
    await orders.write_history(tx, [HistoryLine(refill.order_id, kind, details)])


async def lose(tx: Transaction, refill: Refill, reason: str) -> None:
    """Nobody knows what the upstream made of it; it stays open, is asked about no more, and somebody is told."""
    if await store.finish(tx, refill, State.UNKNOWN, reason):
        await tell(tx, refill, None, "RefillUnknown", State.UNKNOWN, reason)
        message = f"it is not known what the upstream made of refill {refill.number}: {reason}"
        await alerts.raise_(tx, [Alert("unknown_refill", f"order {refill.order_number}", message)])
