"""SQL of services and their routes."""

from collections.abc import Iterable
from uuid import UUID

from compat.kinds import parse_kind
from gateway.catalog.model import Route, Service
from gateway.db.engine import Transaction

WHOLE_TIMEOUT_S = 60.0
"""Of a statement over a whole catalogue, for which the pool's own limit may be too short."""
BUYABLE = "r.is_active AND r.is_listed AND r.offered_cost IS NULL AND p.is_active"
"""Whether a route `r` of provider `p` can be bought from, pauses aside."""

_PAYS = """(r.is_source OR coalesce((s.price_per_1000 - r.cost_per_1000 * p.exchange_rate) * 100
  >= s.price_per_1000 * (SELECT q.margin_floor_percent FROM service_routes o JOIN providers q ON q.id = o.provider_id
                          WHERE o.service_id = s.id AND o.is_source), true))"""
"""Whether a service is still sold while route `r` is the only one: the source's floor holds there too.

`below_floor` says it of the source itself.
"""

_SERVICES = f"""
SELECT s.id, s.number, s.name, s.description, s.category, s.platform, s.type, s.kind, s.price_per_1000, s.currency,
       s.min_quantity, s.max_quantity, s.refill, s.cancel, s.dripfeed, s.is_active, best.provider_id
  FROM services s
  LEFT JOIN (SELECT DISTINCT ON (r.service_id) r.service_id, r.provider_id
               FROM service_routes r JOIN providers p ON p.id = r.provider_id
              WHERE {BUYABLE}
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


async def search(tx: Transaction, query: str) -> set[int]:
    """The numbers of services whose name and category match a `tsquery`; by `idx_services_search`."""
    rows = await tx.fetch(
        r"""
        SELECT number FROM services
         WHERE to_tsvector('simple'::regconfig, translate((((name)::text || ' '::text) || (category)::text),
                                                          '/\-_.:@+&=#~?%', repeat(' ', 14)))
               @@ to_tsquery('simple', $1)
        """,
        query,
    )
    return {row["number"] for row in rows}


_ROUTES = """
SELECT r.id, r.service_id, r.provider_id, p.name AS provider_name, r.provider_service_id, r.cost_per_1000, r.priority,
       r.weight, s.route_policy AS policy, p.exchange_rate, r.min_quantity, r.max_quantity, r.dripfeed,
       CASE WHEN NOT p.is_active THEN 'its provider is switched off'
            WHEN NOT r.is_active THEN 'it is switched off'
            WHEN NOT r.is_listed THEN 'its provider does not list it'
            WHEN r.offered_cost IS NOT NULL THEN 'its price moved and waits for an operator' END AS off,
       CASE WHEN greatest(r.paused_until, p.paused_until) > now()
            THEN greatest(r.paused_until, p.paused_until) END AS paused_until,
       CASE WHEN p.paused_until > now() THEN p.paused_reason
            WHEN r.paused_until > now() THEN r.paused_reason END AS paused_reason
  FROM service_routes r JOIN providers p ON p.id = r.provider_id JOIN services s ON s.id = r.service_id
 WHERE r.{} = ANY($1)
 ORDER BY r.service_id, r.priority DESC, p.priority DESC, r.cost_per_1000 * p.exchange_rate, r.id
"""


async def routes_of(tx: Transaction, service_ids: Iterable[UUID]) -> list[Route]:
    """The routes of the services, by priority and cost within each, by the database's clock."""
    return [Route(**row) for row in await tx.fetch(_ROUTES.format("service_id"), list(set(service_ids)))]


async def routes_by_id(tx: Transaction, route_ids: Iterable[UUID]) -> dict[UUID, Route]:
    """As `routes_of`."""
    return {row["id"]: Route(**row) for row in await tx.fetch(_ROUTES.format("id"), list(set(route_ids)))}


async def pause_route(tx: Transaction, route_id: UUID, reason: str, seconds: float, cause: str = "refusal") -> bool:
    """Whether there is such a route. A longer pause under way stays as it is, and an operator's is not taken over."""
    done = await tx.fetchval(
        """
        UPDATE service_routes r
           SET paused_until = greatest(r.paused_until, now() + make_interval(secs => $2)),
               paused_reason = CASE WHEN stays THEN r.paused_reason ELSE $3 END,
               pause_cause = CASE WHEN stays THEN r.pause_cause ELSE $4 END
          FROM (SELECT id, coalesce(paused_until > now() + make_interval(secs => $2)
                                    OR (pause_cause = 'operator' AND paused_until > now()), false) AS stays
                  FROM service_routes WHERE id = $1 FOR UPDATE) p
         WHERE r.id = p.id RETURNING true
        """,
        route_id,
        float(seconds),
        reason,
        cause,
    )
    return bool(done)


async def offer_service(tx: Transaction, number: int, is_offered: bool) -> bool:
    """Whether there is such a service. One that is offered goes on sale where it can be bought."""
    service_id = await tx.fetchval(
        """
        UPDATE services SET is_offered = $2, is_active = is_active AND $2 WHERE number = $1 RETURNING id
        """,
        number,
        is_offered,
    )
    if service_id is not None:
        await refresh_sale(tx, service_id=service_id)
    return service_id is not None


async def refresh_sale(tx: Transaction, *, service_id: UUID | None = None, provider_id: UUID | None = None) -> None:
    """Put on or off sale what has to be, of one service or of all that a provider has routes for.

    To be called in the transaction of whatever changed a service's offer or floor, a route or a
    provider. A service that is as it has to be is not written. Those with several routes are locked
    first, so that of two who each take one away the later sees what the earlier did.
    """
    await tx.execute(
        """
        SELECT FROM services s
         WHERE (s.id = $1 OR s.id IN (SELECT service_id FROM service_routes WHERE provider_id = $2))
           AND (SELECT count(*) FROM service_routes r WHERE r.service_id = s.id) > 1
         ORDER BY s.id FOR NO KEY UPDATE
        """,
        service_id,
        provider_id,
        timeout=WHOLE_TIMEOUT_S,
    )
    await tx.execute(
        f"""
        UPDATE services s SET is_active = n.is_active
          FROM (SELECT s.id, s.is_offered AND NOT s.below_floor AND EXISTS (
                         SELECT FROM service_routes r JOIN providers p ON p.id = r.provider_id
                          WHERE r.service_id = s.id AND {BUYABLE} AND {_PAYS}) AS is_active
                  FROM services s
                 WHERE s.id = $1 OR s.id IN (SELECT service_id FROM service_routes WHERE provider_id = $2)) n
         WHERE n.id = s.id AND n.is_active <> s.is_active
        """,
        service_id,
        provider_id,
        timeout=WHOLE_TIMEOUT_S,
    )
