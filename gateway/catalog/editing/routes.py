"""Routes by hand: added, ordered, switched, and let go on after a pause or at another cost."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from gateway.alerts import store as alerts
from gateway.catalog import store as catalog
from gateway.catalog.editing import store
from gateway.catalog.editing.lists import store as lists
from gateway.catalog.editing.model import ServiceTerms, check_amount, check_line
from gateway.catalog.editing.services import cost_of, get_service
from gateway.catalog.editing.store import Quarantined, RouteTerms
from gateway.catalog.model import Route
from gateway.catalog.prices.repricing import reprice
from gateway.db.engine import Transaction
from gateway.errors import Conflict, NotFound
from gateway.providers import store as provider_store
from gateway.providers.store import SealedProvider

UPSTREAM_ID_CHARS_MAX = 64


async def find_provider(tx: Transaction, name: str) -> SealedProvider:
    """Raises NotFound where no provider has this name."""
    found = await provider_store.find_by_name(tx, name.strip())
    if found is None:
        raise NotFound(f"provider {name}")
    return found


async def add_route(
    tx: Transaction,
    number: int,
    provider: str,
    provider_service_id: str,
    *,
    cost: Decimal,
    priority: int = 0,
    weight: int = 1,
) -> list[str]:
    """Let the service be bought there too; what an operator should know of it.

    `cost` is in the provider's currency, and the next sync takes over the one that is listed, as far
    as the price guard lets it. Limits come with the next sync, or from another route to the same.

    Raises:
        NotFound: no such service or provider.
        Conflict: the service has this route, the provider lists it as another kind, or a value makes no sense.
    """
    check_line(provider_service_id, "the id of a service there", UPSTREAM_ID_CHARS_MAX)
    check_amount(cost, "a cost", least=Decimal(0))
    await store.lock_catalogue(tx)
    service = await get_service(tx, number)
    found = await find_provider(tx, provider)
    known = await store.find_follower(tx, found.id, provider_service_id)
    if known is not None and known.kind != service.kind:
        raise Conflict(
            f"{provider_service_id} of {found.name} is of type {known.kind} (service {known.number} follows it), "
            f"service {number} of type {service.kind}"
        )
    await store.insert_route(tx, service.id, found.id, provider_service_id, cost=cost, priority=priority, weight=weight)
    await reprice(tx, service_id=service.id)
    await catalog.refresh_sale(tx, service_id=service.id)
    said = [] if known else ["its limits are not known before the next sync"]
    return said + await _below_cost(tx, number, found.id, provider_service_id)


async def set_route(
    tx: Transaction,
    number: int,
    provider: str,
    provider_service_id: str,
    *,
    priority: int | None = None,
    weight: int | None = None,
    is_active: bool | None = None,
) -> None:
    """None leaves it as it is.

    Raises:
        NotFound: no such service, provider or route.
    """
    await store.lock_catalogue(tx)
    service = await get_service(tx, number)
    route = await get_route(tx, service, (await find_provider(tx, provider)).id, provider_service_id)
    await set_route_of(tx, route, priority=priority, weight=weight, is_active=is_active)


async def set_route_of(
    tx: Transaction, route: Route, *, priority: int | None, weight: int | None, is_active: bool | None
) -> None:
    """As `set_route`, of one that was read with the catalogue locked."""
    await store.update_route(tx, route.id, priority=priority, weight=weight, is_active=is_active)
    await catalog.refresh_sale(tx, service_id=route.service_id)


async def resume_routes(
    tx: Transaction, number: int, provider: str | None = None, *, route_id: UUID | None = None
) -> int:
    """End the pauses of the service's routes, of those to one provider, or of one; how many had one.

    A pause of the provider itself stays.

    Raises:
        NotFound: no such service or provider.
    """
    service = await get_service(tx, number)
    provider_id = (await find_provider(tx, provider)).id if provider is not None else None
    resumed = await store.clear_route_pauses(tx, service.id, provider_id, route_id)
    for each in sorted(resumed):
        await alerts.clear(tx, "route_paused", f"route {each}")
    return len(resumed)


async def list_routes(
    tx: Transaction,
    *,
    number: int | None,
    provider_id: UUID | None,
    waiting: bool | None,
    after: UUID | None,
    most: int,
) -> list[tuple[Route, RouteTerms]]:
    """In the order in which they were added; None for whatever, `waiting` for those with a cost that waits."""
    ids = await lists.list_route_ids(
        tx, number=number, provider_id=provider_id, waiting=waiting, after=after, most=most
    )
    routes, terms = await catalog.routes_by_id(tx, ids), await store.route_terms(tx, ids)
    return [(routes[each], terms[each]) for each in ids]


async def find_route(tx: Transaction, route_id: UUID) -> tuple[Route, RouteTerms] | None:
    routes, terms = await catalog.routes_by_id(tx, [route_id]), await store.route_terms(tx, [route_id])
    return (routes[route_id], terms[route_id]) if route_id in routes else None


async def list_quarantined(tx: Transaction, provider: str | None = None) -> list[Quarantined]:
    """Raises NotFound where no provider has this name."""
    provider_id = (await find_provider(tx, provider)).id if provider is not None else None
    return await store.list_quarantined(tx, provider_id=provider_id)


async def accept_costs(
    tx: Transaction,
    *,
    numbers: Sequence[int] | None = None,
    provider: str | None = None,
    route_id: UUID | None = None,
) -> list[Quarantined]:
    """Buy at the costs that wait: of these services, the provider, the one route, or all of them. What was accepted.

    Prices and the sale follow at once.

    Raises:
        NotFound: no such provider, or no cost waits for one of the services.
        Conflict: a price would be too high to be kept.
    """
    await store.lock_catalogue(tx)
    provider_id = (await find_provider(tx, provider)).id if provider is not None else None
    waiting = await store.list_quarantined(tx, provider_id=provider_id, numbers=numbers, route_id=route_id)
    if missing := sorted(set(numbers or ()) - {row.service for row in waiting}):
        raise NotFound(f"a cost that waits for an operator, of service {missing[0]},")
    await store.accept_costs(tx, [row.route_id for row in waiting])
    for changed_provider in sorted({row.provider_id for row in waiting}):
        await reprice(tx, provider_id=changed_provider)
        await catalog.refresh_sale(tx, provider_id=changed_provider)
    return waiting


async def get_route(tx: Transaction, service: ServiceTerms, provider_id: UUID, provider_service_id: str) -> Route:
    """Raises NotFound where the service is not bought there as this."""
    for route in await catalog.routes_of(tx, [service.id]):
        if (route.provider_id, route.provider_service_id) == (provider_id, provider_service_id):
            return route
    raise NotFound(f"a route of service {service.number} to {provider_service_id} there")


async def _below_cost(tx: Transaction, number: int, provider_id: UUID, provider_service_id: str) -> list[str]:
    service = await get_service(tx, number)
    route = await get_route(tx, service, provider_id, provider_service_id)
    return ["the service's price is below the cost of this route"] if service.price < cost_of(route) else []
