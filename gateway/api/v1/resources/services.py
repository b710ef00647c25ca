"""`/v1/services`: what is on sale at the caller's prices, and what changed."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from compat.listing import accepts_gzip
from gateway.accounts.scopes import Scope
from gateway.api.listings import NativeService
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.conditional import matches
from gateway.api.v1.formats import Money, Number, money
from gateway.api.v1.operations import operation
from gateway.catalog.feed import store as feed
from gateway.catalog.feed.model import Change, parse_since
from gateway.catalog.prices.model import Tariff
from gateway.errors import Invalid

CHANGES_MAX = 1000


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
    """All services on sale to the caller."""

    data: list[NativeService]


@operation("GET", "/services", scope=Scope.SERVICES_READ, tag="services", returns=Services)
async def list_services(call: Call) -> Reply:
    """List the services on sale, at your prices.

    All of them in one answer, with a tag that changes only when the list does; gzip where that is taken.
    """
    listing = await call.parts.native_listings.of(call.account.user_id, call.account.currency)
    headers = {"ETag": listing.etag, "Vary": "Accept-Encoding, Authorization"}
    if matches(call.headers.get("if-none-match", ""), listing.etag):
        return Reply(b"", 304, headers)
    body = listing.plain
    if accepts_gzip(call.headers.get("accept-encoding", "")):
        body, headers["Content-Encoding"] = await listing.compressed(), "gzip"
    return Reply(body, headers=headers)


class ChangesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`since` is `next` of this list, or a time (RFC 3339) to begin at."""

    since: str = ""
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


def _shown(change: Change, tariff: Tariff | None) -> ServiceChange:
    def state(values: dict[str, Any]) -> ServiceState:
        rate = Decimal(values["price"])
        price = tariff.rate_of(change.service_id, rate) if tariff else rate
        return ServiceState(
            values["name"], money(price), values["currency"], values["min"], values["max"], values["on"]
        )

    before = state(change.before) if change.before else None
    return ServiceChange(change.number, change.kind, change.at, before, state(change.after))


OPERATIONS = [list_services, list_changes]
