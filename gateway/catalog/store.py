"""SQL of services and their routes."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from compat.kinds import parse_kind
from gateway.catalog.model import Offer, Route, Service, Terms
from gateway.db.engine import Transaction

VANISHED = "not listed by the provider"
"""Why a sync switched a route off together with its service: both come back together."""
VANISHED_UNSOLD = "not listed by the provider, and was off sale"
"""Why a sync switched off a route whose service an operator had off sale: it stays so."""

_SERVICES = """
SELECT s.id, s.number, s.name, s.description, s.category, s.platform, s.type, s.kind, s.price_per_1000, s.currency,
       s.min_quantity, s.max_quantity, s.refill, s.cancel, s.dripfeed, s.is_active, best.provider_id
  FROM services s
  LEFT JOIN (SELECT DISTINCT ON (r.service_id) r.service_id, r.provider_id
               FROM service_routes r JOIN providers p ON p.id = r.provider_id
              WHERE r.is_active AND p.is_active
              ORDER BY r.service_id, r.priority DESC, p.priority DESC, r.cost_per_1000, r.id) best
    ON best.service_id = s.id
 ORDER BY s.number
"""


async def list_services(tx: Transaction) -> list[Service]:
    """All services by number, those that are switched off too."""
    return [
        Service(
            id=row["id"],
            number=row["number"],
            name=row["name"],
            description=row["description"],
            category=row["category"],
            platform=row["platform"],
            type=row["type"],
            kind=parse_kind(row["kind"]),
            kind_name=row["kind"],
            rate=row["price_per_1000"],
            currency=row["currency"],
            min_quantity=row["min_quantity"],
            max_quantity=row["max_quantity"],
            refill=row["refill"],
            cancel=row["cancel"],
            dripfeed=row["dripfeed"],
            is_active=row["is_active"],
            provider_id=row["provider_id"],
        )
        for row in await tx.fetch(_SERVICES)
    ]


async def routes_of(tx: Transaction, service_ids: Iterable[UUID]) -> list[Route]:
    """The routes of the services, best first within each, by the database's clock."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.service_id, r.provider_id, r.provider_service_id, r.cost_per_1000, r.priority, r.weight,
               r.is_active AND p.is_active AND coalesce(r.paused_until <= now(), true)
                 AND coalesce(p.paused_until <= now(), true) AS usable,
               r.is_active AND p.is_active AS active
          FROM service_routes r JOIN providers p ON p.id = r.provider_id
         WHERE r.service_id = ANY($1)
         ORDER BY r.service_id, r.priority DESC, p.priority DESC, r.cost_per_1000, r.id
        """,
        list(set(service_ids)),
    )
    return [Route(*row) for row in rows]


async def pause_route(tx: Transaction, route_id: UUID, reason: str, seconds: float, cause: str = "refusal") -> bool:
    """Whether there is such a route. A longer pause under way stays, with its cause, as does an operator's."""
    done = await tx.fetchval(
        """
        UPDATE service_routes SET paused_until = greatest(paused_until, now() + make_interval(secs => $2)),
               pause_cause = CASE WHEN paused_until > now() + make_interval(secs => $2)
                                    OR (pause_cause = 'operator' AND paused_until > now()) THEN pause_cause ELSE $4 END,
               paused_reason = CASE WHEN is_active THEN $3 ELSE paused_reason END
         WHERE id = $1 RETURNING true
        """,
        route_id,
        float(seconds),
        reason,
        cause,
    )
    return bool(done)


async def set_service_active(tx: Transaction, number: int, is_active: bool) -> bool:
    """Whether there is such a service."""
    done = await tx.fetchval("UPDATE services SET is_active = $2 WHERE number = $1 RETURNING true", number, is_active)
    return bool(done)


# What a sync reads and writes ----------------------------------------------------------------


class Imported(msgspec.Struct, frozen=True):
    """A route of the provider with its service, as they stand. `others`: the service has another active route."""

    route_id: UUID
    service_id: UUID
    provider_service_id: str
    cost: Decimal
    is_listed: bool
    off_reason: str | None
    is_active: bool
    others: bool
    terms: Terms | None
    """None where the stored kind is not of the protocol."""


async def list_imported(tx: Transaction, provider_id: UUID) -> list[Imported]:
    rows = await tx.fetch(
        """
        SELECT r.id AS route_id, s.id AS service_id, r.provider_service_id, r.cost_per_1000, r.is_active AS is_listed,
               r.paused_reason, s.is_active, s.name, s.description, s.category, s.kind, s.price_per_1000,
               s.min_quantity, s.max_quantity, s.refill, s.cancel, s.dripfeed,
               EXISTS (SELECT FROM service_routes o
                        WHERE o.service_id = s.id AND o.id <> r.id AND o.is_active) AS others
          FROM service_routes r JOIN services s ON s.id = r.service_id
         WHERE r.provider_id = $1 ORDER BY r.id
        """,
        provider_id,
    )
    return [_imported(row) for row in rows]


def _imported(row: Any) -> Imported:
    kind = parse_kind(row["kind"])
    terms = kind and Terms(
        name=row["name"],
        description=row["description"],
        category=row["category"],
        kind=kind,
        price=row["price_per_1000"],
        min_quantity=row["min_quantity"],
        max_quantity=row["max_quantity"],
        refill=row["refill"],
        cancel=row["cancel"],
        dripfeed=row["dripfeed"],
    )
    return Imported(
        row["route_id"],
        row["service_id"],
        row["provider_service_id"],
        row["cost_per_1000"],
        row["is_listed"],
        row["paused_reason"],
        row["is_active"],
        row["others"],
        terms or None,
    )


class NewService(msgspec.Struct, frozen=True):
    """A service to be inserted with its route."""

    service_id: UUID
    route_id: UUID
    platform: str
    type: str
    offer: Offer


async def insert(
    tx: Transaction, provider_id: UUID, new: Sequence[NewService], *, currency: str, is_active: bool
) -> None:
    """Put down the services, numbered in the order given, and their routes."""
    if not new:
        return
    await tx.execute(
        """
        INSERT INTO services (id, platform, type, currency, is_active, name, description, category, kind,
          price_per_1000, min_quantity, max_quantity, refill, cancel, dripfeed)
        SELECT n.id, n.platform, n.type, $14, $15, n.name, n.description, n.category, n.kind,
          n.price, n.min_quantity, n.max_quantity, n.refill, n.cancel, n.dripfeed
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[],
            $8::integer[], $9::integer[], $10::boolean[], $11::boolean[], $12::boolean[], $13::text[])
            WITH ORDINALITY AS n(id, name, description, category, kind, platform, price, min_quantity, max_quantity,
              refill, cancel, dripfeed, type, ordinal)
         ORDER BY n.ordinal
        """,
        *_service_columns([(item.service_id, item.offer.terms) for item in new], [item.platform for item in new]),
        [item.type for item in new],
        currency,
        is_active,
    )
    await tx.execute(
        """
        INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000)
        SELECT n.id, n.service_id, $5, n.upstream_id, n.cost
          FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::numeric[]) AS n(id, service_id, upstream_id, cost)
        """,
        [item.route_id for item in new],
        [item.service_id for item in new],
        [item.offer.provider_service_id for item in new],
        [item.offer.cost for item in new],
        provider_id,
    )


def _service_columns(services: Sequence[tuple[UUID, Terms]], platforms: list[str] | None = None) -> list[list[Any]]:
    columns: list[list[Any]] = [
        [service_id for service_id, _ in services],
        [terms.name for _, terms in services],
        [terms.description for _, terms in services],
        [terms.category for _, terms in services],
        [terms.kind.value for _, terms in services],
    ]
    if platforms is not None:
        columns.append(platforms)
    return [
        *columns,
        [terms.price for _, terms in services],
        [terms.min_quantity for _, terms in services],
        [terms.max_quantity for _, terms in services],
        [terms.refill for _, terms in services],
        [terms.cancel for _, terms in services],
        [terms.dripfeed for _, terms in services],
    ]


async def update_services(tx: Transaction, changed: Sequence[tuple[UUID, Terms]]) -> None:
    """Platform and type stay, since an operator may have set them."""
    if changed:
        await tx.execute(
            """
            UPDATE services s SET name = n.name, description = n.description, category = n.category, kind = n.kind,
                   price_per_1000 = n.price, min_quantity = n.min_quantity, max_quantity = n.max_quantity,
                   refill = n.refill, cancel = n.cancel, dripfeed = n.dripfeed
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::integer[],
                $8::integer[], $9::boolean[], $10::boolean[], $11::boolean[])
                AS n(id, name, description, category, kind, price, min_quantity, max_quantity, refill, cancel, dripfeed)
             WHERE s.id = n.id
            """,
            *_service_columns(changed),
        )


async def update_costs(tx: Transaction, costs: Sequence[tuple[UUID, Decimal]]) -> None:
    """New costs by route id."""
    if costs:
        await tx.execute(
            """
            UPDATE service_routes r SET cost_per_1000 = n.cost
              FROM unnest($1::uuid[], $2::numeric[]) AS n(id, cost) WHERE r.id = n.id
            """,
            [route_id for route_id, _ in costs],
            [cost for _, cost in costs],
        )


async def switch_services(tx: Transaction, service_ids: Sequence[UUID], is_active: bool) -> None:
    if service_ids:
        await tx.execute("UPDATE services SET is_active = $2 WHERE id = ANY($1)", list(service_ids), is_active)


async def switch_routes_off(tx: Transaction, route_ids: Sequence[UUID], reason: str) -> None:
    if route_ids:
        await tx.execute(
            "UPDATE service_routes SET is_active = false, paused_reason = $2 WHERE id = ANY($1)",
            list(route_ids),
            reason,
        )


async def switch_routes_on(tx: Transaction, route_ids: Sequence[UUID]) -> None:
    if route_ids:
        await tx.execute(
            """
            UPDATE service_routes SET is_active = true, paused_reason = NULL, paused_until = NULL
             WHERE id = ANY($1)
            """,
            list(route_ids),
        )
