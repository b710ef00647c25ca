"""The terms of a provider by hand: prices and the sale follow in the same transaction."""

from uuid import UUID

from gateway.catalog import store as catalog
from gateway.catalog.editing import store
from gateway.catalog.editing.model import ProviderEdit, ProviderTerms, changes_prices, edit_provider
from gateway.catalog.prices.repricing import reprice
from gateway.db.engine import Transaction
from gateway.errors import NotFound
from gateway.providers import store as provider_store


async def set_provider(tx: Transaction, provider_id: UUID, edit: ProviderEdit) -> ProviderTerms:
    """Set what is given, and bring prices and the sale up to it; the terms that hold now.

    One at another address may be another panel, so nothing that was sent before is sent again there.

    Raises:
        NotFound: no such provider.
        Conflict: a value that makes no sense, or a price would be too high to be kept.
    """
    await store.lock_catalogue(tx)
    if await provider_store.lock(tx, provider_id) is None:
        raise NotFound(f"provider {provider_id}")
    before = await store.get_provider(tx, provider_id)
    after = edit_provider(before, edit)
    await store.update_provider(tx, provider_id, after)
    if after.api_endpoint != before.api_endpoint:
        await provider_store.end_replays(tx, provider_id)
    if changes_prices(before, after):
        await reprice(tx, provider_id=provider_id)
    if changes_prices(before, after) or after.is_active != before.is_active:
        await catalog.refresh_sale(tx, provider_id=provider_id)
    return after


async def set_active(tx: Transaction, provider_id: UUID, is_active: bool) -> None:
    """Switch it on or off for new sends and for the sale; its open orders are still polled.

    Raises:
        NotFound: no such provider.
    """
    await set_provider(tx, provider_id, ProviderEdit(is_active=is_active))
