"""`/v1/admin/services`: everything that can be sold, on sale or not, with its routes, and an operator's hand on it."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Currency, Money, Number, Page, PageQuery, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.admin.routes import Route, shown_route
from gateway.catalog.editing import services as editing
from gateway.catalog.editing import store
from gateway.catalog.editing.lists import store as lists
from gateway.catalog.editing.lists.store import WantedServices
from gateway.catalog.editing.model import ServiceEdit, ServiceTerms
from gateway.catalog.editing.services import Shown
from gateway.catalog.quality.model import Summary
from gateway.catalog.quality.reading import RouteQuality, quality_of
from gateway.catalog.searching import numbers_of
from gateway.db.engine import Transaction
from gateway.errors import NotFound

Policy = Literal["priority", "cheapest", "weighted"]
Followed = Literal["name", "description", "category", "min_quantity", "max_quantity", "price"]
Word = Annotated[str, Meta(min_length=1, max_length=50)]
Line = Annotated[str, Meta(min_length=1, max_length=255)]
_NUMBER = re.compile(r"[1-9]\d{0,9}", re.ASCII)
_NUMBER_MAX = 2_147_483_647


class AdminService(msgspec.Struct, frozen=True, kw_only=True):
    """A service as operators see it. `price` is of 1000, or of one package, in `currency`.

    It is on sale (`is_active`) where it is offered, not below the floor, and a route can be bought from. What is in
    `hand_set` no sync changes.
    """

    id: UUID
    number: Number
    name: str
    description: str | None
    category: str
    platform: str
    type: str
    kind: str
    price: Money
    currency: Currency
    min_quantity: int
    max_quantity: int
    refill: bool
    cancel: bool
    dripfeed: bool
    policy: Policy
    is_active: bool
    is_offered: bool
    below_floor: bool
    hand_set: list[str]


class ServiceWithRoutes(AdminService, frozen=True, kw_only=True):
    """With its routes, the first to be tried first, and how many users have a price of their own for it."""

    custom_prices: int
    routes: list[Route]


class ChangedService(ServiceWithRoutes, frozen=True, kw_only=True):
    """With what was done all the same and is hardly meant, in words."""

    notes: list[str]


class AdminServicesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which services; `q` are words in their names and categories, the last of which may be begun."""

    q: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    platform: Word | None = None
    type: Word | None = None
    category: Line | None = None
    provider: UUID | None = None
    on_sale: bool | None = None
    offered: bool | None = None


class ServiceChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be set by hand, and in `follow` what is to follow the provider again.

    Limits are counted in pieces, `price` is of 1000 or of one package.
    """

    name: Line | UnsetType = UNSET
    description: Annotated[str, Meta(min_length=1, max_length=10_000)] | UnsetType | None = UNSET
    category: Line | UnsetType = UNSET
    platform: Word | UnsetType = UNSET
    type: Word | UnsetType = UNSET
    min_quantity: Number | UnsetType = UNSET
    max_quantity: Number | UnsetType = UNSET
    price: Amount | UnsetType = UNSET
    policy: Policy | UnsetType = UNSET
    is_offered: bool | UnsetType = UNSET
    follow: Annotated[list[Followed], Meta(max_length=6)] = []


class QualityQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of how many UTC days, today among them."""

    days: Literal[7, 30] = 30


class ServiceQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How a service's orders ended, and of each route; null where fewer than ten did."""

    number: Number
    days: int
    summary: Summary | None
    routes: list[RouteQuality]


@operation("GET", "/admin/services", scope=Scope.ADMIN, tag="admin: services", returns=Page[AdminService])
async def admin_list_services(call: Call, query: AdminServicesQuery) -> Reply:
    """List and search all services, those that are off sale too, in the order in which they were added."""
    async with call.db.connection() as connection:
        numbers = None if query.q is None else await numbers_of(connection, query.q)
        wanted = WantedServices(
            numbers=None if numbers is None else sorted(numbers),
            platform=query.platform,
            type=query.type,
            category=query.category,
            provider_id=query.provider,
            on_sale=query.on_sale,
            offered=query.offered,
            after=query.after,
            most=query.limit + 1,
        )
        found = await lists.list_services(connection, wanted)
    return Reply(page([AdminService(**_fields(each)) for each in found], query.limit, [each.id for each in found]))


@operation("GET", "/admin/services/{service}", scope=Scope.ADMIN, tag="admin: services", returns=ServiceWithRoutes)
async def admin_get_service(call: Call) -> Reply:
    """Show a service, by its number, with its routes and what of it was set by hand."""
    async with call.db.snapshot() as tx:
        return Reply(ServiceWithRoutes(**_all_fields(await _show(call, tx))))


@operation(
    "PATCH",
    "/admin/services/{service}",
    scope=Scope.ADMIN,
    tag="admin: services",
    example={"price": "0.90", "follow": ["name"]},
    returns=ChangedService,
    refuses=(errors.Conflict,),
)
async def admin_change_service(call: Call, body: ServiceChange) -> Reply:
    """Set fields of a service by hand; syncs leave them so until they are to follow the provider again."""
    async with call.acting().transaction() as tx:
        await store.lock_catalogue(tx)
        before = await _show(call, tx)
        call.check_unchanged(ServiceWithRoutes(**_all_fields(before)))
        notes = await editing.set_service(tx, before.service.number, _edit(body))
        return Reply(ChangedService(**_all_fields(await _show(call, tx)), notes=notes))


@operation(
    "GET", "/admin/services/{service}/quality", scope=Scope.ADMIN, tag="admin: services", returns=ServiceQuality
)  # fmt: skip
async def admin_get_service_quality(call: Call, query: QualityQuery) -> Reply:
    """Tell how the orders of a service and of its routes ended, and how long they took, in seconds."""
    number = _number(call)
    async with call.db.connection() as connection:
        await _found(connection, number)
        found = await quality_of(connection, query.days, number)
    summary, routes = (found[0].summary, found[0].routes) if found else (None, [])
    return Reply(ServiceQuality(number=number, days=query.days, summary=summary, routes=routes))


def _number(call: Call) -> int:
    name = call.path_parameters["service"]
    if not _NUMBER.fullmatch(name) or int(name) > _NUMBER_MAX:
        raise NotFound("service")
    return int(name)


async def _found(tx: Transaction, number: int) -> ServiceTerms:
    found = await store.find_service(tx, number)
    if found is None:
        raise NotFound("service")
    return found


async def _show(call: Call, tx: Transaction) -> Shown:
    return await editing.show_service(tx, (await _found(tx, _number(call))).number)


def _edit(body: ServiceChange) -> ServiceEdit:
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.__struct_fields__}
    changes["follow"] = frozenset(body.follow)
    if body.price is not UNSET:
        changes["price"] = Decimal(body.price)
    return ServiceEdit(**changes)


def _fields(service: ServiceTerms) -> dict[str, Any]:
    return msgspec.structs.asdict(service) | {"price": money(service.price)}


def _all_fields(shown: Shown) -> dict[str, Any]:
    routes = [shown_route(route, terms) for route, terms in shown.routes]
    return _fields(shown.service) | {"custom_prices": shown.custom_prices, "routes": routes}


OPERATIONS = [admin_list_services, admin_get_service, admin_change_service, admin_get_service_quality]
