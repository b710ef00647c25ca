"""`/v1/admin/prices`: what is added to costs, and what single users pay."""

from decimal import Decimal
from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.people import store as people
from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Money, Number, Page, PageQuery, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.admin.providers import Percent
from gateway.catalog.editing import prices as editing
from gateway.catalog.editing import store as catalogue
from gateway.catalog.prices.lists import store
from gateway.catalog.prices.lists.store import MarkupRow, PriceRow
from gateway.catalog.prices.model import CustomPrice as Custom
from gateway.catalog.prices.model import Markup as Added
from gateway.db.engine import Transaction
from gateway.errors import Invalid, NotFound
from gateway.providers import store as providers

Category = Annotated[str, Meta(min_length=1, max_length=255)]


class Markup(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to the costs of a category, at one provider or at all (null), or of a service.

    `percent` of the cost, then `fixed` in our currency, of 1000 or of one package.
    """

    id: UUID
    category: str | None
    provider_id: UUID | None
    service: Number | None
    percent: Money
    fixed: Money


class SetMarkup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A markup to be set, of a category, at one provider or at all, or of a service."""

    percent: Percent
    fixed: Money = "0"
    category: Category | None = None
    provider: UUID | None = None
    service: Number | None = None


class MarkupSet(Markup, frozen=True, kw_only=True):
    """With how many services have another price or sale by it."""

    changed: int


class CustomPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What a user pays for a service, or with `service` null for all that have no price of their own.

    It is a `price`, of 1000 or of one package, or a `percent` on `price_for_all` (below zero: taken off).
    """

    id: UUID
    user_id: UUID
    service: Number | None
    price: Money | None
    percent: Money | None
    price_for_all: Money | None


class SetPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either a `price` of the one `service`, or a `percent` on the price for all."""

    user: UUID
    service: Number | None = None
    price: Amount | None = None
    percent: Percent | None = None


class PriceSet(CustomPrice, frozen=True, kw_only=True):
    """With what was done all the same and is hardly meant, in words."""

    notes: list[str]


class PricesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which user; of all where none is named."""

    user: UUID | None = None


@operation("GET", "/admin/prices/markups", scope=Scope.ADMIN, tag="admin: prices", returns=Page[Markup])
async def admin_list_markups(call: Call, query: PageQuery) -> Reply:
    """List the markups of categories and services; those of the providers are among their terms."""
    async with call.db.connection() as connection:
        found = await store.list_markup_rows(connection, query.after, query.limit + 1)
    return Reply(page([_markup(each) for each in found], query.limit, [each.id for each in found]))


@operation(
    "PUT",
    "/admin/prices/markups",
    scope=Scope.ADMIN,
    tag="admin: prices",
    example={"percent": "25", "category": "Followers"},
    returns=MarkupSet,
    refuses=(errors.Conflict, errors.NotFound),
)
async def admin_set_markup(call: Call, body: SetMarkup) -> Reply:
    """Set the markup of a category, or of a service, which goes before it; prices follow at once."""
    if (body.category is None) == (body.service is None) or (body.service is not None and body.provider is not None):
        raise Invalid([("$.category", "give a category, with a provider or without, or a service")])
    async with call.acting().transaction() as tx:
        await catalogue.lock_catalogue(tx)
        provider = None if body.provider is None else await _provider_name(tx, body.provider)
        service_id = None if body.service is None else await _service_id(tx, body.service)
        find = partial(
            store.find_markup_of, tx, category=body.category, provider_id=body.provider, service_id=service_id
        )
        before = await find()
        call.check_unchanged(None if before is None else _markup(before))
        changed = await editing.set_markup(
            *(tx, Added(Decimal(body.percent), Decimal(body.fixed))),
            category=body.category,
            provider=provider,
            service=body.service,
        )
        after = await find()
    assert after is not None, "it was set in this transaction"
    return Reply(MarkupSet(**msgspec.structs.asdict(_markup(after)), changed=changed))


@operation("GET", "/admin/prices/markups/{markup}", scope=Scope.ADMIN, tag="admin: prices", returns=Markup)
async def admin_get_markup(call: Call) -> Reply:
    """Show a markup."""
    async with call.db.connection() as connection:
        return Reply(_markup(await _find_markup(call, connection)))


@operation(
    "DELETE", "/admin/prices/markups/{markup}", scope=Scope.ADMIN, tag="admin: prices", returns=None, status=204,
    refuses=(errors.Conflict,),
)  # fmt: skip
async def admin_drop_markup(call: Call) -> Reply:
    """Take a markup away; the next more general one holds at once."""
    async with call.acting().transaction() as tx:
        await catalogue.lock_catalogue(tx)
        found = await _find_markup(call, tx)
        call.check_unchanged(_markup(found))
        await editing.drop_markup(tx, category=found.category, provider=found.provider, service=found.service)
    return Reply(None, 204)


@operation("GET", "/admin/prices/custom", scope=Scope.ADMIN, tag="admin: prices", returns=Page[CustomPrice])
async def admin_list_prices(call: Call, query: PricesQuery) -> Reply:
    """List the prices of single users."""
    async with call.db.connection() as connection:
        found = await store.list_price_rows(connection, query.user, query.after, query.limit + 1)
    return Reply(page([_price(each) for each in found], query.limit, [each.id for each in found]))


@operation(
    "PUT",
    "/admin/prices/custom",
    scope=Scope.ADMIN,
    tag="admin: prices",
    example={"user": "01932c07-9f2b-7cc0-b2d8-3a0f6f2f1a55", "percent": "-5"},
    returns=PriceSet,
    refuses=(errors.Conflict, errors.NotFound),
)
async def admin_set_price(call: Call, body: SetPrice) -> Reply:
    """Set what a user pays: a price, or a percentage on the price for all. Orders keep what they were placed at."""
    if (body.price is None) == (body.percent is None):
        raise Invalid([("$.price", "give a price or a percent")])
    if body.price is not None and body.service is None:
        raise Invalid([("$.service", "a price is of one service; of all, give a percent")])
    custom = Custom(
        None if body.price is None else Decimal(body.price), None if body.percent is None else Decimal(body.percent)
    )
    async with call.acting().transaction() as tx:
        if await people.find_user(tx, body.user, lock=True) is None:
            raise NotFound("user")
        service_id = None if body.service is None else await _service_id(tx, body.service)
        before = await store.find_price_of(tx, body.user, service_id)
        call.check_unchanged(None if before is None else _price(before))
        notes = await editing.set_custom_price(tx, body.user, custom, body.service)
        after = await store.find_price_of(tx, body.user, service_id)
    assert after is not None, "it was set in this transaction"
    return Reply(PriceSet(**msgspec.structs.asdict(_price(after)), notes=notes))


@operation("GET", "/admin/prices/custom/{price}", scope=Scope.ADMIN, tag="admin: prices", returns=CustomPrice)
async def admin_get_price(call: Call) -> Reply:
    """Show a user's price."""
    async with call.db.connection() as connection:
        return Reply(_price(await _find_price(call, connection)))


@operation(
    "DELETE", "/admin/prices/custom/{price}", scope=Scope.ADMIN, tag="admin: prices", returns=None, status=204
)  # fmt: skip
async def admin_drop_price(call: Call) -> Reply:
    """Take a user's price away: what holds for all holds for him."""
    async with call.acting().transaction() as tx:
        found = await _find_price(call, tx, lock=True)
        call.check_unchanged(_price(found))
        await editing.drop_custom_price(tx, found.user_id, found.service)
    return Reply(None, 204)


async def _provider_name(tx: Transaction, provider_id: UUID) -> str:
    found = await providers.find(tx, provider_id)
    if found is None:
        raise NotFound("provider")
    return found.name


async def _service_id(tx: Transaction, number: int) -> UUID:
    found = await catalogue.find_service(tx, number)
    if found is None:
        raise NotFound("service")
    return found.id


async def _find_markup(call: Call, tx: Transaction) -> MarkupRow:
    found = await store.find_markup(tx, call.uuid("markup", "markup"))
    if found is None:
        raise NotFound("markup")
    return found


async def _find_price(call: Call, tx: Transaction, *, lock: bool = False) -> PriceRow:
    found = await store.find_price(tx, call.uuid("price", "price"), lock=lock)
    if found is None:
        raise NotFound("price")
    return found


def _markup(row: MarkupRow) -> Markup:
    return Markup(
        id=row.id,
        category=row.category,
        provider_id=row.provider_id,
        service=row.service,
        percent=money(row.percent),
        fixed=money(row.fixed),
    )


def _price(row: PriceRow) -> CustomPrice:
    return CustomPrice(
        id=row.id,
        user_id=row.user_id,
        service=row.service,
        price=None if row.price is None else money(row.price),
        percent=None if row.percent is None else money(row.percent),
        price_for_all=None if row.price_for_all is None else money(row.price_for_all),
    )


OPERATIONS = [
    admin_list_markups, admin_set_markup, admin_get_markup, admin_drop_markup, admin_list_prices, admin_set_price,
    admin_get_price, admin_drop_price,
]  # fmt: skip
