"""SQL of services, routes and providers as they are listed; by id, so that pages stay right while rows arrive."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.catalog.editing.model import ProviderTerms, ServiceTerms
from gateway.catalog.editing.store import PROVIDER_COLUMNS, SERVICE_COLUMNS
from gateway.db.engine import Transaction


class WantedServices(msgspec.Struct, frozen=True, kw_only=True):
    """Which services, None for whatever; those with a route to the provider, behind the id `after`."""

    numbers: Sequence[int] | None = None
    platform: str | None = None
    type: str | None = None
    category: str | None = None
    provider_id: UUID | None = None
    on_sale: bool | None = None
    offered: bool | None = None
    after: UUID | None = None
    most: int


async def list_services(tx: Transaction, wanted: WantedServices) -> list[ServiceTerms]:
    """In the order in which they were added."""
    rows = await tx.fetch(
        f"""
        SELECT {SERVICE_COLUMNS} FROM services s
         WHERE ($1::uuid IS NULL OR id > $1) AND ($2::integer[] IS NULL OR number = ANY($2))
           AND ($3::text IS NULL OR platform = $3) AND ($4::text IS NULL OR type = $4)
           AND ($5::text IS NULL OR category = $5) AND ($6::boolean IS NULL OR is_active = $6)
           AND ($7::boolean IS NULL OR is_offered = $7)
           AND ($8::uuid IS NULL
                OR EXISTS (SELECT FROM service_routes r WHERE r.service_id = s.id AND r.provider_id = $8))
         ORDER BY id LIMIT $9
        """,
        wanted.after,
        wanted.numbers,
        wanted.platform,
        wanted.type,
        wanted.category,
        wanted.on_sale,
        wanted.offered,
        wanted.provider_id,
        wanted.most,
    )
    return [ServiceTerms(**row) for row in rows]


async def list_route_ids(
    tx: Transaction,
    *,
    number: int | None,
    provider_id: UUID | None,
    waiting: bool | None,
    after: UUID | None,
    most: int,
) -> list[UUID]:
    """Of the service, of the provider, with or without a cost that waits; None for whatever."""
    rows = await tx.fetch(
        """
        SELECT id FROM service_routes
         WHERE ($1::uuid IS NULL OR id > $1) AND ($2::uuid IS NULL OR provider_id = $2)
           AND ($3::integer IS NULL OR service_id = (SELECT id FROM services WHERE number = $3))
           AND ($4::boolean IS NULL OR (offered_cost IS NOT NULL) = $4)
         ORDER BY id LIMIT $5
        """,
        after,
        provider_id,
        number,
        waiting,
        most,
    )
    return [row["id"] for row in rows]


async def list_providers(tx: Transaction, after: UUID | None, most: int) -> dict[UUID, ProviderTerms]:
    """In the order in which they were added, behind `after`."""
    rows = await tx.fetch(
        f"SELECT id, {PROVIDER_COLUMNS} FROM providers WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2",
        after,
        most,
    )
    return {row["id"]: ProviderTerms(**{name: row[name] for name in ProviderTerms.__struct_fields__}) for row in rows}


class ProviderStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of a provider besides what was set; `balance` in its currency, its last known."""

    paused_until: datetime | None
    paused_reason: str | None
    balance: Decimal | None
    balance_at: datetime | None
    synced_at: datetime | None
    sync_tried_at: datetime | None
    sync_wanted: str | None
    sync_error: str | None
    honours_extension: bool
    probes: bool
    routes: int
    listed: int
    quarantined: int


async def get_standing(tx: Transaction, provider_id: UUID) -> ProviderStanding:
    return (await standings_of(tx, [provider_id]))[provider_id]


async def standings_of(tx: Transaction, provider_ids: Sequence[UUID]) -> dict[UUID, ProviderStanding]:
    rows = await tx.fetch(
        """
        SELECT p.id, CASE WHEN p.paused_until > now() THEN p.paused_until END AS paused_until,
               CASE WHEN p.paused_until > now() THEN p.paused_reason END AS paused_reason, p.balance, p.balance_at,
               p.synced_at, p.sync_tried_at, p.sync_wanted, p.sync_error, p.honours_extension, p.probes,
               count(r.id) AS routes, count(r.id) FILTER (WHERE r.is_listed) AS listed,
               count(r.offered_cost) AS quarantined
          FROM providers p LEFT JOIN service_routes r ON r.provider_id = p.id
         WHERE p.id = ANY($1) GROUP BY p.id
        """,
        provider_ids,
    )
    names = ProviderStanding.__struct_fields__
    return {row["id"]: ProviderStanding(**{name: row[name] for name in names}) for row in rows}
