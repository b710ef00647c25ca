"""SQL of what operators set: services and providers as they see them, and routes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg
import msgspec

from gateway.catalog.editing.model import ProviderTerms, ServiceTerms
from gateway.db.engine import Transaction
from gateway.errors import Conflict


async def lock_catalogue(tx: Transaction) -> None:
    """Let no sync and no other operator change services, routes or prices until the transaction ends.

    A sync holds its provider's row in the same way; so what is set by hand is never lost under one
    that had read the service before.
    """
    await tx.execute("SELECT FROM providers ORDER BY id FOR NO KEY UPDATE")


SERVICE_COLUMNS = """
  id, number, name, description, category, platform, type, kind, price_per_1000 AS price, currency, min_quantity,
  max_quantity, refill, cancel, dripfeed, route_policy AS policy, is_active, is_offered, below_floor, hand_set
"""


async def find_service(tx: Transaction, number: int) -> ServiceTerms | None:
    row = await tx.fetchrow(f"SELECT {SERVICE_COLUMNS} FROM services WHERE number = $1", number)
    return ServiceTerms(**row) if row else None


async def count_custom_prices(tx: Transaction, service_id: UUID) -> int:
    """How many users have a price of their own for the service."""
    count: int = await tx.fetchval("SELECT count(*) FROM custom_prices WHERE service_id = $1", service_id)
    return count


async def update_service(tx: Transaction, service: ServiceTerms) -> None:
    """Write what an operator may set; one that is not offered goes off here, the CHECK wants it."""
    await tx.execute(
        """
        UPDATE services SET name = $2, description = $3, category = $4, platform = $5, type = $6, price_per_1000 = $7,
               min_quantity = $8, max_quantity = $9, route_policy = $10, is_offered = $11,
               is_active = is_active AND $11, hand_set = $12
         WHERE id = $1
        """,
        service.id,
        service.name,
        service.description,
        service.category,
        service.platform,
        service.type,
        service.price,
        service.min_quantity,
        service.max_quantity,
        service.policy,
        service.is_offered,
        service.hand_set,
    )


class RouteTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a route besides `catalog.model.Route`; costs in the provider's `currency`.

    `service` is the number of its service, `price` what that is sold at, in our currency.
    """

    id: UUID
    service: int
    price: Decimal
    currency: str
    is_active: bool
    is_source: bool
    offered_cost: Decimal | None


async def route_terms(tx: Transaction, route_ids: Sequence[UUID]) -> dict[UUID, RouteTerms]:
    rows = await tx.fetch(
        """
        SELECT r.id, s.number AS service, s.price_per_1000 AS price, p.currency, r.is_active, r.is_source,
               r.offered_cost
          FROM service_routes r JOIN providers p ON p.id = r.provider_id JOIN services s ON s.id = r.service_id
         WHERE r.id = ANY($1)
        """,
        route_ids,
    )
    return {row["id"]: RouteTerms(**row) for row in rows}


class KnownAbroad(msgspec.Struct, frozen=True):
    """What is known of an upstream's service, from the service of ours that follows it."""

    number: int
    kind: str


async def find_follower(tx: Transaction, provider_id: UUID, provider_service_id: str) -> KnownAbroad | None:
    """The service of ours that follows this one of the provider."""
    row = await tx.fetchrow(
        """
        SELECT s.number, s.kind FROM service_routes r JOIN services s ON s.id = r.service_id
         WHERE r.provider_id = $1 AND r.provider_service_id = $2 AND r.is_source ORDER BY r.id LIMIT 1
        """,
        provider_id,
        provider_service_id,
    )
    return KnownAbroad(*row) if row else None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Conflict("the service has this route already") from error


async def insert_route(
    tx: Transaction,
    service_id: UUID,
    provider_id: UUID,
    provider_service_id: str,
    *,
    cost: Decimal,
    priority: int,
    weight: int,
) -> None:
    """The first route of a service is its source. Limits are those of another route to the same, where there is one.

    Raises:
        Conflict: the service has this route already.
    """
    with _refusals():
        await tx.execute(
            """
            INSERT INTO service_routes (service_id, provider_id, provider_service_id, cost_per_1000, priority, weight,
              is_source, min_quantity, max_quantity, dripfeed, refill, cancel)
            SELECT $1, $2, $3, $4, $5, $6, NOT EXISTS (SELECT FROM service_routes WHERE service_id = $1 AND is_source),
                   same.min_quantity, same.max_quantity, coalesce(same.dripfeed, false), coalesce(same.refill, false),
                   coalesce(same.cancel, false)
              FROM (VALUES (1)) one LEFT JOIN LATERAL (
                SELECT * FROM service_routes WHERE provider_id = $2 AND provider_service_id = $3 AND is_listed
                 ORDER BY id LIMIT 1) same ON true
            """,
            service_id,
            provider_id,
            provider_service_id,
            cost,
            priority,
            weight,
        )


async def update_route(
    tx: Transaction, route_id: UUID, *, priority: int | None, weight: int | None, is_active: bool | None
) -> None:
    """None leaves it as it is."""
    await tx.execute(
        """
        UPDATE service_routes SET priority = coalesce($2, priority), weight = coalesce($3, weight),
               is_active = coalesce($4, is_active)
         WHERE id = $1
        """,
        route_id,
        priority,
        weight,
        is_active,
    )


async def clear_route_pauses(
    tx: Transaction, service_id: UUID, provider_id: UUID | None, route_id: UUID | None
) -> list[UUID]:
    """The routes whose pause, under way or over, was taken away; None for all."""
    rows = await tx.fetch(
        """
        UPDATE service_routes SET paused_until = NULL, paused_reason = NULL, pause_cause = NULL
         WHERE service_id = $1 AND ($2::uuid IS NULL OR provider_id = $2) AND ($3::uuid IS NULL OR id = $3)
           AND paused_until IS NOT NULL
        RETURNING id
        """,
        service_id,
        provider_id,
        route_id,
    )
    return [row["id"] for row in rows]


class Quarantined(msgspec.Struct, frozen=True):
    """A route whose provider asks another price; costs are in the provider's currency."""

    route_id: UUID
    service_id: UUID
    service: int
    name: str
    provider_id: UUID
    provider: str
    provider_service_id: str
    cost: Decimal
    offered_cost: Decimal
    currency: str
    since: datetime
    is_on_sale: bool


async def list_quarantined(
    tx: Transaction,
    *,
    provider_id: UUID | None = None,
    numbers: Sequence[int] | None = None,
    route_id: UUID | None = None,
) -> list[Quarantined]:
    """Those of the provider and of the services with these numbers, or the one route; None for all."""
    rows = await tx.fetch(
        """
        SELECT r.id, s.id, s.number, s.name, p.id, p.name, r.provider_service_id, r.cost_per_1000,
               r.offered_cost, p.currency, coalesce(r.offered_at, r.updated_at), s.is_active
          FROM service_routes r JOIN services s ON s.id = r.service_id JOIN providers p ON p.id = r.provider_id
         WHERE r.offered_cost IS NOT NULL AND ($1::uuid IS NULL OR p.id = $1)
           AND ($2::integer[] IS NULL OR s.number = ANY($2)) AND ($3::uuid IS NULL OR r.id = $3)
         ORDER BY s.number, p.name, r.id
        """,
        provider_id,
        numbers,
        route_id,
    )
    return [Quarantined(*row) for row in rows]


async def accept_costs(tx: Transaction, route_ids: Sequence[UUID]) -> None:
    await tx.execute(
        """
        UPDATE service_routes SET cost_per_1000 = offered_cost, offered_cost = NULL, offered_at = NULL
         WHERE id = ANY($1) AND offered_cost IS NOT NULL
        """,
        route_ids,
    )


PROVIDER_COLUMNS = ", ".join(ProviderTerms.__struct_fields__)


async def get_provider(tx: Transaction, provider_id: UUID) -> ProviderTerms:
    [row] = await tx.fetch(f"SELECT {PROVIDER_COLUMNS} FROM providers WHERE id = $1", provider_id)
    return ProviderTerms(**row)


async def update_provider(tx: Transaction, provider_id: UUID, terms: ProviderTerms) -> None:
    """Write all of it but the name and the currency."""
    await tx.execute(
        """
        UPDATE providers SET api_endpoint = $2, dialect = $3, is_active = $4, priority = $5, exchange_rate = $6,
               markup_percent = $7, markup_fixed = $8, price_step = $9, margin_floor_percent = $10,
               price_guard_percent = $11, sends_per_second = $12, max_in_flight = $13, low_balance = $14, hold_new = $15
         WHERE id = $1
        """,
        provider_id,
        terms.api_endpoint,
        terms.dialect,
        terms.is_active,
        terms.priority,
        terms.exchange_rate,
        terms.markup_percent,
        terms.markup_fixed,
        terms.price_step,
        terms.margin_floor_percent,
        terms.price_guard_percent,
        terms.sends_per_second,
        terms.max_in_flight,
        terms.low_balance,
        terms.hold_new,
    )
