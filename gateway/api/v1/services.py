"""`/v1/services`: what is on sale at the caller's prices, and what changed."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Protocol

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from compat.listing import accepts_gzip
from compat.money import format_amount
from gateway.accounts.model import Account
from gateway.api.listings import NativeListings
from gateway.catalog.feed import store as feed
from gateway.catalog.feed.model import Change, parse_since
from gateway.catalog.prices.model import Tariff
from gateway.catalog.snapshot import Catalog
from gateway.db.engine import Database
from gateway.errors import BadRequest

CHANGES_MAX = 1000


class Parts(Protocol):
    """The parts of the app that are needed here."""

    @property
    def db(self) -> Database: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def native_listings(self) -> NativeListings: ...


class ServiceState(msgspec.Struct, frozen=True):
    """A service before or after a change; `price` of 1000, or of one package, for the caller."""

    name: str
    price: str
    currency: str
    min: int
    max: int
    on_sale: bool


class ServiceChange(msgspec.Struct, frozen=True):
    """`kind` is new, price, limits, off or on."""

    service: int
    kind: str
    at: datetime
    before: ServiceState | None
    after: ServiceState


class Changes(msgspec.Struct, frozen=True):
    """`next` is what to give as `since` the next time, also where there was nothing new."""

    data: list[ServiceChange]
    next: str
    has_more: bool


@get("/services")
async def list_services(request: Request[Any, Any, Any], account: NamedDependency[Account]) -> Response[bytes]:
    """All services on sale to the caller; 304 where `If-None-Match` has its state, gzip where that is taken."""
    parts: Parts = request.app.state.parts
    listing = await parts.native_listings.of(account.user_id, account.currency)
    headers = {"ETag": listing.etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Authorization"}
    if _matches(request.headers.get("if-none-match", ""), listing.etag):
        return Response(b"", status_code=304, headers=headers, media_type="application/json")
    body = listing.plain
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        body, headers["Content-Encoding"] = await listing.compressed(), "gzip"
    return Response(body, headers=headers, media_type="application/json")


@get("/services/changes")
async def list_changes(
    request: Request[Any, Any, Any],
    account: NamedDependency[Account],
    since: FromQuery[str] = "",
    limit: FromQuery[Annotated[int, msgspec.Meta(ge=1, le=CHANGES_MAX)]] = 100,
) -> Changes:
    """What changed after `since`: a `next` of this list, or a time (RFC 3339) to begin at.

    To read on, give `next`: by time a change that was begun earlier and committed later would be missed.
    """
    parts: Parts = request.app.state.parts
    try:
        start = parse_since(since)
    except ValueError:
        raise BadRequest("since is a cursor of this list or a time with its offset (RFC 3339)") from None
    async with parts.db.connection() as connection:
        found = await feed.list_changes(connection, start, account.currency, limit + 1)
    tariff = await parts.catalog.tariff_of(account.user_id)
    shown = found[:limit]
    following = shown[-1].cursor if shown else start.cursor if start.xid else since
    return Changes([_shown(change, tariff) for change in shown], following, len(found) > limit)


def _matches(header: str, etag: str) -> bool:
    """Weak comparison (RFC 9110): a proxy that compresses may have made the tag weak."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",", 50)[:50]]
    return "*" in tags or etag in tags


def _shown(change: Change, tariff: Tariff | None) -> ServiceChange:
    def state(values: dict[str, Any]) -> ServiceState:
        rate = Decimal(values["price"])
        price = tariff.rate_of(change.service_id, rate) if tariff else rate
        return ServiceState(
            values["name"], format_amount(price), values["currency"], values["min"], values["max"], values["on"]
        )

    before = state(change.before) if change.before else None
    return ServiceChange(change.number, change.kind, change.at, before, state(change.after))


HANDLERS: list[Any] = [list_services, list_changes]
