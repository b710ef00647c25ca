"""What is said of services: all of them in short, or some with their routes."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from uuid import UUID

import msgspec

from gateway.catalog.quality import store
from gateway.catalog.quality.model import ORDERS_MIN, Counts, Summary, merge, summarise
from gateway.db.engine import Transaction

WINDOWS_DAYS = (7, 30)


class RouteQuality(msgspec.Struct, frozen=True):
    """For operators alone: it names the provider. `summary` is None under ten orders."""

    route_id: UUID
    provider: str
    provider_service_id: str
    summary: Summary | None


class ServiceQuality(msgspec.Struct, frozen=True):
    """`summary`, of all routes together, is what a customer may be told; None under ten orders."""

    service_id: UUID
    number: int
    name: str
    summary: Summary | None
    routes: list[RouteQuality]


async def summaries(tx: Transaction, days: int = 30) -> dict[UUID, Summary]:
    """By service; one with fewer than ten orders in these UTC days is left out."""
    totals = await store.totals(tx, "service_id", days, orders_min=ORDERS_MIN)
    found = {service_id: summarise(counts) for service_id, counts in totals.items()}
    return {service_id: summary for service_id, summary in found.items() if summary is not None}


async def quality_of(tx: Transaction, days: int = 30, number: int | None = None) -> list[ServiceQuality]:
    """Every service that has a route, or the one with that number, by number; its routes by priority."""
    routes = await store.list_routes(tx, number)
    only = routes[0].service_id if number is not None and routes else None
    counts = await store.totals(tx, "route_id", days, service_id=only)
    return [
        _quality([*rows], counts, service_id) for service_id, rows in groupby(routes, key=lambda row: row.service_id)
    ]


async def quality_of_provider(tx: Transaction, provider_id: UUID, days: int) -> Summary | None:
    """Of all its routes together; None under ten orders."""
    return summarise(await store.total_of_provider(tx, provider_id, days))


def _quality(rows: Sequence[store.RouteRow], found: Mapping[UUID, Counts], service_id: UUID) -> ServiceQuality:
    counts = [found.get(row.route_id, Counts()) for row in rows]
    routes = [
        RouteQuality(row.route_id, row.provider, row.provider_service_id, summarise(count))
        for row, count in zip(rows, counts, strict=True)
    ]
    return ServiceQuality(service_id, rows[0].number, rows[0].name, summarise(merge(counts)), routes)
