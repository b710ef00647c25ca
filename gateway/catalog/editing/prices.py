"""Markups of categories and services, and the prices of single users; prices follow at once."""

from decimal import Decimal
from uuid import UUID

from gateway.catalog.editing import store
from gateway.catalog.editing.model import check_amount, check_line
from gateway.catalog.editing.routes import find_provider
from gateway.catalog.editing.services import get_service
from gateway.catalog.prices import store as prices
from gateway.catalog.prices.model import CustomPrice, Markup
from gateway.catalog.prices.repricing import reprice
from gateway.db.engine import Transaction
from gateway.errors import Conflict, NotFound
from gateway.providers.model import check_markup

CATEGORY_CHARS_MAX = 255


async def set_markup(
    tx: Transaction,
    markup: Markup,
    *,
    category: str | None = None,
    provider: str | None = None,
    service: int | None = None,
) -> int:
    """Of a category, at all providers or one, or of a service; how many prices changed.

    Raises:
        NotFound: no such provider or service.
        Conflict: a value makes no sense, it is of both or none, or a price would be too high to be kept.
    """
    check_markup(markup.percent)
    check_amount(markup.fixed, "a fixed markup")
    await store.lock_catalogue(tx)
    provider_id, service_id = await _scope(tx, category, provider, service)
    await prices.set_markup(tx, markup, provider_id=provider_id, category=category, service_id=service_id)
    return await reprice(tx, provider_id=provider_id, service_id=service_id, category=category)


async def drop_markup(
    tx: Transaction, *, category: str | None = None, provider: str | None = None, service: int | None = None
) -> int:
    """Take one away, so that the next more general holds; how many prices changed.

    Raises:
        NotFound: no such provider, service or markup.
        Conflict: it is of both or none, or a price would be too high to be kept.
    """
    await store.lock_catalogue(tx)
    provider_id, service_id = await _scope(tx, category, provider, service)
    if not await prices.drop_markup(tx, provider_id=provider_id, category=category, service_id=service_id):
        raise NotFound("such a markup")
    return await reprice(tx, provider_id=provider_id, service_id=service_id, category=category)


async def set_custom_price(tx: Transaction, user_id: UUID, custom: CustomPrice, service: int | None) -> list[str]:
    """Of one user, for a service or for all that have none of their own; what an operator should know of it.

    Raises:
        NotFound: no such service.
        Conflict: a value makes no sense, or a price without a service.
    """
    if custom.price is not None:
        check_amount(custom.price, "a price", least=Decimal(0))
    if custom.percent is not None:
        check_markup(custom.percent)
    if service is None and custom.price is not None:
        raise Conflict("a price is of one service; of all, give a percentage")
    service_id = (await get_service(tx, service)).id if service is not None else None
    await prices.set_custom_price(tx, user_id, service_id, custom)
    below = [row.number for row in await prices.list_sold(tx, service_id) if custom.of(row.price) < row.cost]
    if not below:
        return []
    return [f"{len(below)} services would be sold below their cost, the first of them {below[0]}"]


async def drop_custom_price(tx: Transaction, user_id: UUID, service: int | None) -> None:
    """Raises NotFound where there is no such service or price."""
    service_id = (await get_service(tx, service)).id if service is not None else None
    if not await prices.drop_custom_price(tx, user_id, service_id):
        raise NotFound("such a price")


async def _scope(
    tx: Transaction, category: str | None, provider: str | None, service: int | None
) -> tuple[UUID | None, UUID | None]:
    """The ids of provider and service."""
    if (category is None) == (service is None) or (service is not None and provider is not None):
        raise Conflict("a markup is of a category, at all providers or at one, or of a service")
    if category is not None:
        check_line(category, "a category", CATEGORY_CHARS_MAX)
    provider_id = (await find_provider(tx, provider)).id if provider is not None else None
    return provider_id, (await get_service(tx, service)).id if service is not None else None
