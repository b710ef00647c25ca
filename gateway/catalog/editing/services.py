"""Setting a service by hand: the sale and the price follow in the same transaction, and syncs leave it so."""

from decimal import Decimal

import msgspec

from gateway.catalog import store as catalog
from gateway.catalog.editing import store
from gateway.catalog.editing.model import ServiceEdit, ServiceTerms, edit_service
from gateway.catalog.editing.store import RouteTerms
from gateway.catalog.model import Route
from gateway.catalog.prices.model import in_our_currency, rounded_margin
from gateway.catalog.prices.repricing import reprice
from gateway.db.engine import Transaction
from gateway.errors import NotFound


class Shown(msgspec.Struct, frozen=True):
    """A service with its routes, the first to be tried first, and how many users have a price of their own for it."""

    service: ServiceTerms
    routes: list[tuple[Route, RouteTerms]]
    custom_prices: int


async def get_service(tx: Transaction, number: int) -> ServiceTerms:
    """Raises NotFound where no service has this number."""
    service = await store.find_service(tx, number)
    if service is None:
        raise NotFound(f"service {number}")
    return service


async def set_service(tx: Transaction, number: int, edit: ServiceEdit) -> list[str]:
    """Set what is given, and let follow the provider again what is named; what an operator should know of it.

    A price that is to follow does so at once, all else with the next sync.

    Raises:
        NotFound: no service has this number.
        Conflict: a value that makes no sense.
    """
    await store.lock_catalogue(tx)
    before = await get_service(tx, number)
    await store.update_service(tx, edit_service(before, edit))
    await reprice(tx, service_id=before.id)
    await catalog.refresh_sale(tx, service_id=before.id)
    after = await get_service(tx, number)
    return _warnings(after, edit, await catalog.routes_of(tx, [after.id]))


async def show_service(tx: Transaction, number: int) -> Shown:
    """Raises NotFound where no service has this number."""
    service = await get_service(tx, number)
    routes = await catalog.routes_of(tx, [service.id])
    extra = await store.route_terms(tx, [route.id for route in routes])
    return Shown(
        service, [(route, extra[route.id]) for route in routes], await store.count_custom_prices(tx, service.id)
    )


def cost_of(route: Route) -> Decimal:
    """Of 1000, or of one package, in our currency."""
    return in_our_currency(route.cost_per_1000, route.exchange_rate)


def margin_of(price: Decimal, route: Route) -> Decimal:
    """In percent of the price, to two places."""
    return rounded_margin(price, cost_of(route))


def _warnings(service: ServiceTerms, edit: ServiceEdit, routes: list[Route]) -> list[str]:
    """What is allowed and hardly meant."""
    said = []
    able = [route for route in routes if route.active]
    least = min((route.min_quantity or 1 for route in able), default=1)
    most = max((route.max_quantity or service.max_quantity for route in able), default=service.max_quantity)
    if edit.min_quantity is not msgspec.UNSET and service.min_quantity < least:
        said.append(f"no route takes fewer than {least}: smaller orders would fail")
    if edit.max_quantity is not msgspec.UNSET and service.max_quantity > most:
        said.append(f"no route takes more than {most}: larger orders would fail")
    if edit.price is not msgspec.UNSET and any(service.price < cost_of(route) for route in able):
        said.append("the price is below the cost")
    if service.is_offered and not service.is_active:
        why = (
            "its margin is below the floor"
            if service.below_floor
            else "no route can be bought from, or only below the floor"
        )
        said.append(f"it is offered and not on sale: {why}")
    return said
