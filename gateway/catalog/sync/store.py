"""SQL of a sync: the routes of one provider with their services, read and written as wholes."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from compat.kinds import parse_kind
from gateway.catalog.model import Terms
from gateway.catalog.sync.plan import Imported, NewOffer, RouteChange, RouteTerms, ServiceChange
from gateway.db.engine import Transaction


async def list_imported(tx: Transaction, provider_id: UUID) -> list[Imported]:
    rows = await tx.fetch(
        """
        SELECT r.id AS route_id, s.id AS service_id, s.number, r.provider_service_id, r.cost_per_1000, r.offered_cost,
               r.is_listed, r.is_source, r.min_quantity AS route_min, r.max_quantity AS route_max,
               r.dripfeed AS route_dripfeed, r.refill AS route_refill, r.cancel AS route_cancel,
               s.name, s.description, s.category, s.kind, s.price_per_1000, s.below_floor, s.is_offered, s.hand_set,
               s.min_quantity, s.max_quantity, s.refill, s.cancel, s.dripfeed
          FROM service_routes r JOIN services s ON s.id = r.service_id
         WHERE r.provider_id = $1 ORDER BY r.id
        """,
        provider_id,
    )
    return [_imported(row) for row in rows]


def _imported(row: asyncpg.Record) -> Imported:
    kind = parse_kind(row["kind"])
    terms = kind and Terms(
        name=row["name"],
        description=row["description"],
        category=row["category"],
        kind=kind,
        min_quantity=row["min_quantity"],
        max_quantity=row["max_quantity"],
        refill=row["refill"],
        cancel=row["cancel"],
        dripfeed=row["dripfeed"],
    )
    return Imported(
        route_id=row["route_id"],
        service_id=row["service_id"],
        number=row["number"],
        provider_service_id=row["provider_service_id"],
        cost=row["cost_per_1000"],
        offered_cost=row["offered_cost"],
        is_listed=row["is_listed"],
        is_source=row["is_source"],
        route=RouteTerms(
            row["route_min"], row["route_max"], row["route_dripfeed"], row["route_refill"], row["route_cancel"]
        ),
        terms=terms or None,
        price=row["price_per_1000"],
        below_floor=row["below_floor"],
        is_offered=row["is_offered"],
        hand_set=frozenset(row["hand_set"]),
    )


async def lock_shared(tx: Transaction, provider_id: UUID) -> None:
    """Let no sync of another provider put the services on or off sale that both have routes for.

    Each would take the other's routes for what they were before, and a service would stay on or off
    for good. Services that only this provider has a route for need no lock: its own row is held.
    """
    await tx.execute(
        """
        SELECT FROM services s
         WHERE EXISTS (SELECT FROM service_routes WHERE service_id = s.id AND provider_id = $1)
           AND EXISTS (SELECT FROM service_routes WHERE service_id = s.id AND provider_id <> $1)
         ORDER BY id FOR NO KEY UPDATE
        """,
        provider_id,
    )


class NewService(msgspec.Struct, frozen=True):
    """A service to be inserted with its source route."""

    service_id: UUID
    route_id: UUID
    platform: str
    type: str
    new: NewOffer


async def insert(
    tx: Transaction, provider_id: UUID, new: Sequence[NewService], *, currency: str, is_offered: bool
) -> None:
    """Put down the services, numbered in the order given, and their routes."""
    if not new:
        return
    await tx.execute(
        """
        INSERT INTO services (id, platform, type, currency, is_offered, below_floor, is_active, name, description,
          category, kind, price_per_1000, min_quantity, max_quantity, refill, cancel, dripfeed)
        SELECT n.id, n.platform, n.type, $15, o.is_offered, n.below_floor, o.is_offered AND NOT n.below_floor, n.name,
          n.description,
          n.category, n.kind, n.price, n.min_quantity, n.max_quantity, n.refill, n.cancel, n.dripfeed
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::integer[],
            $8::boolean[], $9::boolean[], $10::boolean[], $11::numeric[], $12::boolean[], $13::text[], $14::text[])
            WITH ORDINALITY AS n(id, name, description, category, kind, min_quantity, max_quantity,
              refill, cancel, dripfeed, price, below_floor, platform, type, ordinal)
         CROSS JOIN LATERAL (SELECT $16 AND n.price > 0 AS is_offered) o
         ORDER BY n.ordinal
        """,
        *_columns([(item.service_id, item.new.offer.terms) for item in new]),
        [item.new.price for item in new],
        [item.new.below_floor for item in new],
        [item.platform for item in new],
        [item.type for item in new],
        currency,
        is_offered,
    )
    await tx.execute(
        """
        INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000, is_source,
          min_quantity, max_quantity, dripfeed, refill, cancel)
        SELECT n.id, n.service_id, $10, n.upstream_id, n.cost, true, n.min_quantity, n.max_quantity, n.dripfeed,
          n.refill, n.cancel
          FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::numeric[], $5::integer[], $6::integer[],
            $7::boolean[], $8::boolean[], $9::boolean[])
            AS n(id, service_id, upstream_id, cost, min_quantity, max_quantity, dripfeed, refill, cancel)
        """,
        [item.route_id for item in new],
        [item.service_id for item in new],
        [item.new.offer.provider_service_id for item in new],
        [item.new.offer.cost for item in new],
        [item.new.offer.terms.min_quantity for item in new],
        [item.new.offer.terms.max_quantity for item in new],
        [item.new.offer.terms.dripfeed for item in new],
        [item.new.offer.terms.refill for item in new],
        [item.new.offer.terms.cancel for item in new],
        provider_id,
    )


def _columns(services: Sequence[tuple[UUID, Terms]]) -> list[list[Any]]:
    return [
        [service_id for service_id, _ in services],
        [terms.name for _, terms in services],
        [terms.description for _, terms in services],
        [terms.category for _, terms in services],
        [terms.kind.value for _, terms in services],
        [terms.min_quantity for _, terms in services],
        [terms.max_quantity for _, terms in services],
        [terms.refill for _, terms in services],
        [terms.cancel for _, terms in services],
        [terms.dripfeed for _, terms in services],
    ]


async def update_services(tx: Transaction, changes: Sequence[ServiceChange]) -> None:
    """Platform and type stay: they come from words, once. One below the floor goes off here, the CHECK wants it."""
    if changes:
        await tx.execute(
            """
            UPDATE services s SET name = n.name, description = n.description, category = n.category, kind = n.kind,
                   price_per_1000 = n.price, below_floor = n.below_floor, is_active = s.is_active AND NOT n.below_floor,
                   min_quantity = n.min_quantity, max_quantity = n.max_quantity, refill = n.refill,
                   cancel = n.cancel, dripfeed = n.dripfeed
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::integer[],
                $8::boolean[], $9::boolean[], $10::boolean[], $11::numeric[], $12::boolean[])
                AS n(id, name, description, category, kind, min_quantity, max_quantity, refill, cancel, dripfeed,
                  price, below_floor)
             WHERE s.id = n.id
            """,
            *_columns([(change.service_id, change.terms) for change in changes]),
            [change.price for change in changes],
            [change.below_floor for change in changes],
        )


async def update_routes(tx: Transaction, changes: Sequence[RouteChange]) -> None:
    """`offered_at` tells since when a cost waits; it begins anew with each other cost."""
    if changes:
        await tx.execute(
            """
            UPDATE service_routes r SET cost_per_1000 = n.cost, offered_cost = n.offered_cost,
                   offered_at = CASE WHEN n.offered_cost IS NULL THEN NULL
                     WHEN n.offered_cost = r.offered_cost THEN r.offered_at ELSE now() END,
                   is_listed = n.is_listed, min_quantity = n.min_quantity, max_quantity = n.max_quantity,
                   dripfeed = n.dripfeed, refill = n.refill, cancel = n.cancel
              FROM unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::boolean[], $5::integer[], $6::integer[],
                $7::boolean[], $8::boolean[], $9::boolean[])
                AS n(id, cost, offered_cost, is_listed, min_quantity, max_quantity, dripfeed, refill, cancel)
             WHERE r.id = n.id
            """,
            [change.route_id for change in changes],
            [change.cost for change in changes],
            [change.offered_cost for change in changes],
            [change.is_listed for change in changes],
            [change.route.min_quantity for change in changes],
            [change.route.max_quantity for change in changes],
            [change.route.dripfeed for change in changes],
            [change.route.refill for change in changes],
            [change.route.cancel for change in changes],
        )


class Guards(msgspec.Struct, frozen=True):
    """What a provider's row says of its syncs."""

    price_guard_percent: Decimal
    hold_new: bool


async def guards_of(tx: Transaction, provider_id: UUID) -> Guards:
    [row] = await tx.fetch("SELECT price_guard_percent, hold_new FROM providers WHERE id = $1", provider_id)
    return Guards(row["price_guard_percent"], row["hold_new"])


async def want(tx: Transaction, provider_id: UUID, how: str) -> None:
    """Make a sync due that nobody has claimed yet."""
    await tx.execute("UPDATE providers SET sync_wanted = $2, sync_tried_at = NULL WHERE id = $1", provider_id, how)


async def claim_due(tx: Transaction, interval_s: float, retry_s: float, most: int) -> list[tuple[UUID, str | None]]:
    """Providers that are due, each claimed by whoever asks first, with the wish of an operator where there is one.

    Due is one that was synced before, or that an operator wants synced. A wish stays until its sync
    ended, so that it is claimed again where a worker died with it.
    """
    rows = await tx.fetch(
        """
        UPDATE providers p SET sync_tried_at = now() FROM (
          SELECT id FROM providers
           WHERE (is_active AND synced_at IS NOT NULL AND sync_wanted IS NULL
                  AND coalesce(sync_tried_at, synced_at) < now() - make_interval(
                        secs => CASE WHEN sync_error IS NULL THEN $1::float8 ELSE least($1, $2::float8) END))
              OR (sync_wanted IS NOT NULL
                  AND coalesce(sync_tried_at < now() - make_interval(secs => $2::float8), true))
           ORDER BY sync_tried_at NULLS FIRST LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED) due
         WHERE p.id = due.id RETURNING p.id, p.sync_wanted
        """,
        float(interval_s),
        float(retry_s),
        most,
    )
    return [(row["id"], row["sync_wanted"]) for row in rows]


async def note_result(tx: Transaction, provider_id: UUID, error: str | None) -> None:
    """That a sync ended; None where it went well. A wish that came meanwhile, and nobody claimed yet, stays."""
    await tx.execute(
        """
        UPDATE providers SET sync_error = $2,
               synced_at = CASE WHEN $2::text IS NULL THEN now() ELSE synced_at END,
               sync_wanted = CASE WHEN sync_tried_at IS NULL THEN sync_wanted END,
               sync_tried_at = CASE WHEN sync_tried_at IS NULL AND sync_wanted IS NOT NULL THEN NULL ELSE now() END
         WHERE id = $1
        """,
        provider_id,
        error,
    )
