"""The story of one order: each send with the routes that were weighed, what it waits for, and what ended it."""

from datetime import datetime

import msgspec

from gateway.catalog import store as catalog
from gateway.db.engine import Database, Transaction
from gateway.db.partitions import load_number_map
from gateway.dispatch import store as dispatch
from gateway.dispatch.explaining import store
from gateway.dispatch.explaining.store import Ending, Send
from gateway.dispatch.routing import Past, Verdict, choose_route
from gateway.errors import NotFound
from gateway.orders.families import store as families
from gateway.orders.model import TERMINAL, Dispatch, Order
from gateway.orders.store import find_by_number


class Waiting(msgspec.Struct, frozen=True):
    """What a queued order waits for.

    `routes` has the verdict on each route now, as if every provider had a free slot: slots and
    breakers are each worker's own. `planned_for` is the provider in whose queue it stands.
    """

    since: datetime
    due_at: datetime
    is_due: bool
    planned_for: str | None
    tries: int
    cancel_wanted: bool
    routes: list[Verdict]


class Story(msgspec.Struct, frozen=True):
    """`waiting` is None but for a queued order, `ended` but for one that has ended; `runs` are a parent's orders."""

    number: int
    status: str
    dispatch: str
    service: int
    sends: list[Send]
    waiting: Waiting | None
    ended: Ending | None
    runs: list[int]


async def explain_order(db: Database, number: int) -> Story:
    """Tell it from one moment of the database.

    Raises:
        NotFound: no order has this number.
    """
    async with db.snapshot() as tx:
        numbers = await load_number_map(tx)
        order = await find_by_number(tx, number, numbers.ranges(number))
        if order is None:
            raise NotFound(f"order {number}")
        place = await store.get_place(tx, order.id)
        children = (await families.children_of(tx, [order.id])).get(order.id, []) if order.is_parent else []
        return Story(
            number,
            order.status.value,
            order.dispatch.value,
            place.service,
            await store.list_sends(tx, order.id),
            await _waiting(tx, order, place) if order.dispatch is Dispatch.QUEUED else None,
            await store.find_ending(tx, order.id, order.status.value) if order.status in TERMINAL else None,
            [child for _, child, _ in children],
        )


async def _waiting(tx: Transaction, order: Order, place: store.Place) -> Waiting:
    _, kind = await dispatch.get_order(tx, order.id)
    routes = await catalog.routes_of(tx, [order.service_id])
    past = (await dispatch.past_of(tx, [order.id])).get(order.id, Past())
    _, verdicts = choose_route(order, kind, routes, past, {route.provider_id for route in routes})
    return Waiting(
        place.queued_at,
        place.due_at,
        place.is_due,
        place.provider,
        place.not_sent_tries,
        place.cancel_wanted,
        verdicts,
    )
