"""Making prices anew where a cost, a markup, a rate or a floor changed."""

from uuid import UUID

from compat.money import LIMIT
from gateway.catalog import store as catalog
from gateway.catalog.prices import store
from gateway.catalog.prices.model import Pricing
from gateway.db.engine import Transaction
from gateway.errors import Conflict


async def reprice(
    tx: Transaction,
    *,
    provider_id: UUID | None = None,
    service_id: UUID | None = None,
    category: str | None = None,
) -> int:
    """Bring prices and floors up to date, in the caller's transaction; how many services were written.

    A price that was set by hand stays, and is held against the floor all the same.

    Raises:
        Conflict: a price would not fit into a row.
    """
    pricing: dict[UUID, Pricing] = {}
    changes = []
    for row in await store.priced(tx, provider_id=provider_id, service_id=service_id, category=category):
        if row.provider_id not in pricing:
            pricing[row.provider_id] = await store.pricing_of(tx, row.provider_id)
        rules = pricing[row.provider_id]
        price = row.price if row.is_by_hand else rules.price_of(row.cost, row.category, row.service_id)
        if price >= LIMIT:
            raise Conflict("a price would be too high to be kept")
        below = rules.is_below_floor(price, row.cost)
        if (price, below) != (row.price, row.below_floor):
            changes.append((row.service_id, price, below))
    await store.update_prices(tx, changes)
    for changed_provider in pricing:
        await catalog.refresh_sale(tx, provider_id=changed_provider)
    return len(changes)
