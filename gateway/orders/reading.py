"""Reading orders for those who poll them: one look-up shared by the requests that wait together."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from gateway.batching import Batcher
from gateway.db.engine import Database, Transaction
from gateway.db.partitions import NumberMap, load_number_map
from gateway.errors import GatewayError
from gateway.orders import store
from gateway.orders.families import store as families
from gateway.orders.families.model import Family
from gateway.orders.model import Order

BATCH_MAX = 64
IDS_MAX = 2000
"""Look-ups in one statement."""
WAITING_MAX = 4000
NUMBER_MAX = 2**31 - 1

Wanted = tuple[UUID, Sequence[int]]


class Kin(msgspec.Struct, frozen=True):
    """A parent's family, and the numbers of its children in the order of their runs."""

    family: Family
    children: tuple[int, ...]


class OrderReader:
    """Finds a user's own orders by number."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._numbers = NumberMap()
        self._batcher: Batcher[Wanted, dict[int, Order]] = Batcher(
            self._flush, max_batch=BATCH_MAX, max_waiting=WAITING_MAX, name="order reads"
        )

    async def refresh(self) -> None:
        """Learn of months closed since; without it a look-up visits more months, never fewer."""
        async with self._db.connection() as connection:
            self._numbers = await load_number_map(connection)

    async def find(self, user_id: UUID, numbers: Sequence[int]) -> dict[int, Order]:
        """The user's orders among these numbers; others' and unknown ones are left out.

        Raises:
            Unavailable: the database does not answer.
        """
        return await self._batcher.submit((user_id, numbers))

    def ranges(self, number: int) -> list[tuple[UUID, UUID]]:
        """Where the ids of orders with this number can lie; see `NumberMap`."""
        return self._numbers.ranges(number) if 0 < number <= NUMBER_MAX else []

    async def kin(self, orders: Iterable[Order]) -> dict[int, Kin]:
        """Of those orders that are parents, by number: the family and the numbers of its runs so far.

        Raises:
            Unavailable: the database does not answer.
        """
        parents = {order.id: order.number for order in orders if order.is_parent}
        if not parents:
            return {}
        async with self._db.connection() as connection:
            known = await families.load(connection, parents)
            children = await families.children_of(connection, list(parents))
        return {
            parents[parent_id]: Kin(family, tuple(number for _, number, _ in children.get(parent_id, ())))
            for parent_id, family in known.items()
        }

    async def _flush(self, batch: list[Wanted]) -> list[dict[int, Order] | GatewayError]:
        """Nearly all are where they likely are, so that the months in which they may be too are read for the rest."""
        asked = {(user_id, number) for user_id, numbers in batch for number in numbers}
        ranges = {number: self.ranges(number) for _, number in asked}
        likely = [(user_id, number, *ranges[number][0]) for user_id, number in asked if ranges[number]]
        async with self._db.connection() as connection:
            found = await _find(connection, likely)
            elsewhere = [
                (user_id, number, *span)
                for user_id, number in asked
                if (user_id, number) not in found
                for span in ranges[number][1:]
            ]
            found |= await _find(connection, elsewhere)
        return [
            {number: found[user_id, number] for number in numbers if (user_id, number) in found}
            for user_id, numbers in batch
        ]


async def _find(
    connection: Transaction, wanted: Sequence[tuple[UUID, int, UUID, UUID]]
) -> dict[tuple[UUID, int], Order]:
    found: dict[tuple[UUID, int], Order] = {}
    for start in range(0, len(wanted), IDS_MAX):
        found |= await store.find_by_numbers(connection, wanted[start : start + IDS_MAX])
    return found
