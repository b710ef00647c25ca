"""All that is known of one order, for operators."""

from typing import Any

import msgspec

from gateway.db.engine import Database
from gateway.db.partitions import load_number_map
from gateway.errors import NotFound
from gateway.orders import store
from gateway.orders.families import store as families


async def history(db: Database, number: int) -> dict[str, Any]:
    """The order with its attempts, events and ledger rows, and of a parent its runs; ready for JSON.

    Raises:
        NotFound: no order has this number.
    """
    async with db.connection() as connection:
        numbers = await load_number_map(connection)
        order = await store.find_by_number(connection, number, numbers.ranges(number))
        if order is None:
            raise NotFound(f"order {number}")
        rows = await store.history_of(connection, order.id)
        family = (await families.load(connection, [order.id])).get(order.id)
        children = (await families.children_of(connection, [order.id])).get(order.id, [])
    story: dict[str, Any] = {"order": msgspec.structs.asdict(order), **rows}
    if family is not None:
        runs = [{"run": run, "order": number} for run, (_, number, _) in enumerate(children, 1)]
        story |= {"family": msgspec.structs.asdict(family), "runs": runs}
    return story
