"""`/v1/services`: what is on sale at the caller's prices, and what changed."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from compat.listing import accepts_gzip
from gateway.accounts.scopes import Scope
from gateway.api.listings import NativeService, native_service
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.conditional import matches
from gateway.api.v1.formats import Amount, Money, Number, money
from gateway.api.v1.operations import operation
from gateway.catalog import searching
from gateway.catalog.feed import store as feed
from gateway.catalog.feed.model import Change, parse_since
from gateway.catalog.prices.model import Tariff
from gateway.errors import Invalid, NotFound

SERVICES_MAX = 500
CHANGES_MAX = 1000
Word = Annotated[str, Meta(min_length=1, max_length=50)]


class ServiceState(msgspec.Struct, frozen=True):
    """A service before or after a change; `price` of 1000, or of one package, for the caller."""

    name: str
    price: Money
    currency: str
    min: int
    max: int
    on_sale: bool


class ServiceChange(msgspec.Struct, frozen=True):
    """`kind` is new, price, limits, off or on."""

    service: Number
    kind: str
    at: datetime
    before: ServiceState | None
    after: ServiceState


class Changes(msgspec.Struct, frozen=True):
    """`next` is what to give as `since` the next time, also where there was nothing new."""

    data: list[ServiceChange]
    next: str
    has_more: bool


class Services(msgspec.Struct, frozen=True):
    """All services on sale to the caller, or some of them.

    Of a search `next` is the number to give as `after`, null at the end; of the whole list both are not there.
    """

    data: list[NativeService]
    next: Number | UnsetType | None = UNSET
    has_more: bool | UnsetType = UNSET


class ServicesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which services; without a field all of them.

    `q` are words of name and category, the last of which may be begun; prices are yours. `limit` and
    `after`, the number of the last service of the page before, come with any other field.
    """

    q: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    platform: Word | None = None
    type: Word | None = None
    category: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    kind: Word | None = None
    min_price: Amount | None = None
    max_price: Amount | None = None
    refill: bool | None = None
    cancel: bool | None = None
    dripfeed: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=SERVICES_MAX)] | None = None
    after: Number | None = None


@operation("GET", "/services", scope=Scope.SERVICES_READ, tag="services", returns=Services)
async def list_services(call: Call, query: ServicesQuery) -> Reply:
    """List or search the services on sale, at your prices.

    Without a query all of them in one answer, with a tag that changes only when the list does; gzip where
    that is taken. With one, a page in the order of their numbers.
    """
    if query != _ALL:
        return Reply(await _search(call, query))
    listing = await call.parts.native_listings.of(call.account.user_id, call.account.currency)
    zipped = accepts_gzip(call.headers.get("accept-encoding", ""))
    etag = f'{listing.etag[:-1]}-gzip"' if zipped else listing.etag  # a strong tag is of bytes, and these are others
    headers = {"ETag": etag, "Vary": "Accept-Encoding, Authorization"}
    if matches(call.headers.get("if-none-match", ""), etag):
        return Reply(b"", 304, headers)
    if not zipped:
        return Reply(listing.plain, headers=headers)
    return Reply(await listing.compressed(), headers={**headers, "Content-Encoding": "gzip"})


_SINCE = [{"maxLength": 0}, {"pattern": r"^[0-9]{1,18}\.[0-9]{1,18}$"}, {"format": "date-time"}]


class ChangesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`since` is `next` of this list, or a time (RFC 3339) to begin at."""

    since: Annotated[str, Meta(max_length=64, extra_json_schema={"anyOf": _SINCE})] = ""
    limit: Annotated[int, Meta(ge=1, le=CHANGES_MAX)] = 100


@operation("GET", "/services/changes", scope=Scope.SERVICES_READ, tag="services", returns=Changes)
async def list_changes(call: Call, query: ChangesQuery) -> Reply:
    """List what changed in the catalogue.

    To read on, give `next` as `since`: by time a change that was begun earlier and committed later would be missed.
    """
    try:
        start = parse_since(query.since)
    except ValueError:
        raise Invalid([("query.since", "it is neither a cursor of this list nor a time with its offset")]) from None
    async with call.db.connection() as connection:
        found = await feed.list_changes(connection, start, call.account.currency, query.limit + 1)
    tariff = await call.parts.catalog.tariff_of(call.account.user_id)
    shown = found[: query.limit]
    following = shown[-1].cursor if shown else start.cursor if start.xid else query.since
    return Reply(Changes([_shown(change, tariff) for change in shown], following, len(found) > query.limit))


@operation("GET", "/services/{service}", scope=Scope.SERVICES_READ, tag="services", returns=NativeService)
async def get_service(call: Call) -> Reply:
    """Show a service on sale, by its number."""
    name = call.path_parameters["service"]
    sold, tariff = await call.parts.catalog.sold_to(call.account.user_id, call.account.currency)
    number = int(name) if name.isascii() and name.isdigit() and len(name) <= 10 else 0
    found = next((service for service in sold if service.number == number and service.kind is not None), None)
    if found is None:
        raise NotFound("service")
    price = tariff.rate_of(found.id, found.rate) if tariff else found.rate
    return Reply(native_service(found, price, call.parts.native_listings.quality))


async def _search(call: Call, query: ServicesQuery) -> Services:
    """Words are looked up in the database's index, the rest is told from the catalogue in memory."""
    numbers: set[int] | None = None
    if query.q is not None:
        async with call.db.connection() as connection:
            numbers = await searching.numbers_of(connection, query.q)
    sold, tariff = await call.parts.catalog.sold_to(call.account.user_id, call.account.currency)
    wanted = searching.Wanted(
        numbers=numbers,
        platform=query.platform,
        type=query.type,
        category=query.category,
        kind=query.kind,
        min_price=None if query.min_price is None else Decimal(query.min_price),
        max_price=None if query.max_price is None else Decimal(query.max_price),
        refill=query.refill,
        cancel=query.cancel,
        dripfeed=query.dripfeed,
        after=query.after or 0,
    )
    limit = query.limit or 25
    found = searching.select(sold, tariff, wanted, limit + 1)
    quality = call.parts.native_listings.quality
    shown = [native_service(service, price, quality) for service, price in found[:limit]]
    return Services(shown, shown[-1].number if len(found) > limit else None, len(found) > limit)


def _shown(change: Change, tariff: Tariff | None) -> ServiceChange:
    def state(values: dict[str, Any]) -> ServiceState:
        rate = Decimal(values["price"])
        price = tariff.rate_of(change.service_id, rate) if tariff else rate
        return ServiceState(
            values["name"], money(price), values["currency"], values["min"], values["max"], values["on"]
        )

    before = state(change.before) if change.before else None
    return ServiceChange(change.number, change.kind, change.at, before, state(change.after))


_ALL = ServicesQuery()
OPERATIONS = [list_services, list_changes, get_service]
