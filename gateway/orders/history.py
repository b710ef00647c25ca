"""All that is known of one order, for operators."""

from typing import Any

import msgspec

from gateway.db.engine import Database
from gateway.db.partitions import load_number_map
from gateway.errors import NotFound
from gateway.orders import store


async def history(db: Database, number: int) -> dict[str, Any]:
    """The order with its attempts, events and ledger rows, ready for JSON.

    Raises:
        NotFound: no order has this number.
    """
    async with db.connection() as connection:
        numbers = await load_number_map(connection)
        order = await store.find_by_number(connection, number, numbers.ranges(number))
        if order is None:
            raise NotFound(f"order {number}")
        rows = await store.history_of(connection, order.id)
    return {"order": msgspec.structs.asdict(order), **rows}
