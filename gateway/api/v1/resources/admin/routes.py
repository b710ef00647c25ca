"""`/v1/admin/routes`: where each service is bought, and costs that wait for an operator."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Currency, Money, Number, Page, PageQuery, Percent, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.admin.providers import Pause, Priority
from gateway.catalog import store as catalog
from gateway.catalog.editing import routes as editing
from gateway.catalog.editing import store
from gateway.catalog.editing.services import margin_of
from gateway.catalog.editing.store import RouteTerms
from gateway.catalog.model import Route as Buyable
from gateway.db.engine import Transaction
from gateway.errors import NotFound
from gateway.providers import store as provider_store

Weight = Annotated[int, Meta(ge=1, le=1_000_000)]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is bought. Costs are of 1000, or of one package, in the provider's `currency`.

    `offered_cost` is what the provider asks now, where that moved too far to be taken over. `off` says why it cannot be
    bought from until somebody changes that. The `source` is the one that names, limits and price follow. Limits are
    the provider's, null where they are not known.
    """

    id: UUID
    service: Number
    provider_id: UUID
    provider: str
    upstream_id: str
    cost: Money
    offered_cost: Money | None
    currency: Currency
    margin_percent: Percent
    priority: int
    weight: int
    min_quantity: int | None
    max_quantity: int | None
    is_active: bool
    is_source: bool
    off: str | None
    paused_until: datetime | None
    paused_reason: str | None


class AddedRoute(Route, frozen=True, kw_only=True):
    """With what was done all the same and is hardly meant, in words."""

    notes: list[str]


class RoutesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which routes; `waiting` for those with a cost that waits for an operator."""

    service: Number | None = None
    provider: UUID | None = None
    waiting: bool | None = None


class NewRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service to be bought as `upstream_id` of the provider too, at a cost in the provider's currency."""

    service: Number
    provider: UUID
    upstream_id: Annotated[str, Meta(min_length=1, max_length=64)]
    cost: Amount
    priority: Priority = 0
    weight: Weight = 1


class RouteChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be set: the highest priority is tried first, the weight is its share by policy weighted."""

    priority: Priority | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


@operation("GET", "/admin/routes", scope=Scope.ADMIN, tag="admin: routes", returns=Page[Route])
async def admin_list_routes(call: Call, query: RoutesQuery) -> Reply:
    """List routes, in the order in which they were added."""
    async with call.db.snapshot() as tx:
        found = await editing.list_routes(
            tx,
            number=query.service,
            provider_id=query.provider,
            waiting=query.waiting,
            after=query.after,
            most=query.limit + 1,
        )
    return Reply(page([shown_route(*each) for each in found], query.limit, [route.id for route, _ in found]))


@operation(
    "POST",
    "/admin/routes",
    scope=Scope.ADMIN,
    tag="admin: routes",
    example={"service": 1, "provider": "01932c07-9f2b-7cc0-b2d8-3a0f6f2f1a55", "upstream_id": "4117", "cost": "0.42"},
    returns=AddedRoute,
    status=201,
    refuses=(errors.Conflict, errors.NotFound),
)
async def admin_add_route(call: Call, body: NewRoute) -> Reply:
    """Let a service be bought at another provider too.

    The next sync takes over the cost that is listed there, as far as the provider's guard lets it.
    """

    async def add(tx: Transaction) -> Reply:
        service = await store.find_service(tx, body.service)
        provider = await provider_store.find(tx, body.provider)
        if service is None or provider is None:
            raise NotFound("service" if service is None else "provider")
        notes = await editing.add_route(
            *(tx, body.service, provider.name, body.upstream_id),
            cost=Decimal(body.cost),
            priority=body.priority,
            weight=body.weight,
        )
        added = await editing.get_route(tx, service, provider.id, body.upstream_id)
        return Reply(AddedRoute(**msgspec.structs.asdict(await _read(tx, added.id)), notes=notes), 201)

    return await once.once(call, add, call.acting())


@operation("GET", "/admin/routes/{route}", scope=Scope.ADMIN, tag="admin: routes", returns=Route)
async def admin_get_route(call: Call) -> Reply:
    """Show a route."""
    async with call.db.snapshot() as tx:
        return Reply(await _read(tx, call.uuid("route", "route")))


@operation(
    "PATCH", "/admin/routes/{route}", scope=Scope.ADMIN, tag="admin: routes", example={"priority": 10}, returns=Route
)
async def admin_change_route(call: Call, body: RouteChange) -> Reply:
    """Set a route's priority or weight, or switch it off and on; the sale follows at once."""
    route_id = call.uuid("route", "route")
    async with call.acting().transaction() as tx:
        await store.lock_catalogue(tx)
        route, terms = await _find(tx, route_id)
        call.check_unchanged(shown_route(route, terms))
        await editing.set_route_of(
            *(tx, route),
            priority=None if body.priority is UNSET else body.priority,
            weight=None if body.weight is UNSET else body.weight,
            is_active=None if body.is_active is UNSET else body.is_active,
        )
        return Reply(await _read(tx, route_id))


@operation(
    "POST",
    "/admin/routes/{route}/accept-cost",
    scope=Scope.ADMIN,
    tag="admin: routes",
    returns=Route,
    refuses=(errors.Conflict,),
)
async def admin_accept_cost(call: Call) -> Reply:
    """Buy at the cost that waits; the price follows at once."""

    async def accept(tx: Transaction) -> Reply:
        route_id = call.uuid("route", "route")
        await store.lock_catalogue(tx)
        await _read(tx, route_id)
        if not await editing.accept_costs(tx, route_id=route_id):
            raise errors.Conflict("no other cost waits for this route")
        return Reply(await _read(tx, route_id))

    return await once.once(call, accept, call.acting())


@operation(
    "POST",
    "/admin/routes/{route}/pause",
    scope=Scope.ADMIN,
    tag="admin: routes",
    example={"seconds": 3600, "reason": "slow today"},
    returns=Route,
)
async def admin_pause_route(call: Call, body: Pause) -> Reply:
    """Send a route no orders for a time; a longer pause under way stays."""

    async def pause(tx: Transaction) -> Reply:
        route_id = call.uuid("route", "route")
        await catalog.pause_route(tx, route_id, body.reason, body.seconds, "operator")
        return Reply(await _read(tx, route_id))

    return await once.once(call, pause, call.acting(body.reason))


@operation("POST", "/admin/routes/{route}/resume", scope=Scope.ADMIN, tag="admin: routes", returns=Route)
async def admin_resume_route(call: Call) -> Reply:
    """End a route's pause; one of the provider itself stays."""

    async def resume(tx: Transaction) -> Reply:
        before = await _read(tx, call.uuid("route", "route"))
        await editing.resume_routes(tx, before.service, route_id=before.id)
        return Reply(await _read(tx, before.id))

    return await once.once(call, resume, call.acting())


async def _find(tx: Transaction, route_id: UUID) -> tuple[Buyable, RouteTerms]:
    found = await editing.find_route(tx, route_id)
    if found is None:
        raise NotFound("route")
    return found


async def _read(tx: Transaction, route_id: UUID) -> Route:
    return shown_route(*await _find(tx, route_id))


def shown_route(route: Buyable, terms: RouteTerms) -> Route:
    """As the API shows it."""
    return Route(
        id=route.id,
        service=terms.service,
        provider_id=route.provider_id,
        provider=route.provider_name,
        upstream_id=route.provider_service_id,
        cost=money(route.cost_per_1000),
        offered_cost=None if terms.offered_cost is None else money(terms.offered_cost),
        currency=terms.currency,
        margin_percent=money(margin_of(terms.price, route)),
        priority=route.priority,
        weight=route.weight,
        min_quantity=route.min_quantity,
        max_quantity=route.max_quantity,
        is_active=terms.is_active,
        is_source=terms.is_source,
        off=route.off,
        paused_until=route.paused_until,
        paused_reason=route.paused_reason,
    )


OPERATIONS = [
    admin_list_routes, admin_add_route, admin_get_route, admin_change_route, admin_accept_cost, admin_pause_route,
    admin_resume_route,
]  # fmt: skip
