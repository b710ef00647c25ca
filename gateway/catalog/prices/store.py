"""SQL of markups and of the prices of single users."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.catalog.prices.model import CustomPrice, Markup, Pricing, Tariff
from gateway.catalog.store import WHOLE_TIMEOUT_S
from gateway.db.engine import Transaction


async def pricing_of(tx: Transaction, provider_id: UUID) -> Pricing:
    """How prices are made of a provider's costs. A category's markup there goes before that for all providers."""
    [row] = await tx.fetch(
        """
        SELECT exchange_rate, markup_percent, markup_fixed, price_step, margin_floor_percent
          FROM providers WHERE id = $1
        """,
        provider_id,
    )
    markups = await tx.fetch(
        """
        SELECT category, service_id, percent, fixed FROM markups
         WHERE coalesce(provider_id, $1) = $1
           AND (service_id IS NULL OR service_id IN (SELECT service_id FROM service_routes WHERE provider_id = $1))
         ORDER BY provider_id NULLS FIRST
        """,
        provider_id,
    )
    return Pricing(
        exchange_rate=row["exchange_rate"],
        markup=Markup(row["markup_percent"], row["markup_fixed"]),
        step=row["price_step"],
        floor_percent=row["margin_floor_percent"],
        categories={m["category"]: Markup(m["percent"], m["fixed"]) for m in markups if m["category"] is not None},
        services={m["service_id"]: Markup(m["percent"], m["fixed"]) for m in markups if m["service_id"] is not None},
    )


class Priced(msgspec.Struct, frozen=True):
    """A service with the cost of its source."""

    service_id: UUID
    provider_id: UUID
    category: str
    cost: Decimal
    price: Decimal
    below_floor: bool
    is_by_hand: bool


async def priced(
    tx: Transaction,
    *,
    provider_id: UUID | None = None,
    service_id: UUID | None = None,
    category: str | None = None,
) -> list[Priced]:
    """The services whose source is of the provider, of the category, or the one service; locked in id order."""
    rows = await tx.fetch(
        """
        SELECT s.id, r.provider_id, s.category, r.cost_per_1000, s.price_per_1000, s.below_floor,
               'price' = ANY(s.hand_set)
          FROM services s JOIN service_routes r ON r.service_id = s.id AND r.is_source
         WHERE ($1::uuid IS NULL OR r.provider_id = $1) AND ($2::uuid IS NULL OR s.id = $2)
           AND ($3::text IS NULL OR s.category = $3)
         ORDER BY s.id FOR NO KEY UPDATE OF s
        """,
        provider_id,
        service_id,
        category,
        timeout=WHOLE_TIMEOUT_S,
    )
    return [Priced(*row) for row in rows]


async def update_prices(tx: Transaction, changes: Sequence[tuple[UUID, Decimal, bool]]) -> None:
    """New `(service, price, below the floor)`; one below the floor goes off sale, the CHECK wants it."""
    if changes:
        await tx.execute(
            """
            UPDATE services s SET price_per_1000 = n.price, below_floor = n.below,
                   is_active = s.is_active AND NOT n.below
              FROM unnest($1::uuid[], $2::numeric[], $3::boolean[]) AS n(id, price, below) WHERE s.id = n.id
            """,
            [service_id for service_id, _, _ in changes],
            [price for _, price, _ in changes],
            [below for _, _, below in changes],
            timeout=WHOLE_TIMEOUT_S,
        )


async def set_markup(
    tx: Transaction, markup: Markup, *, provider_id: UUID | None, category: str | None, service_id: UUID | None
) -> None:
    await tx.execute(
        """
        INSERT INTO markups (provider_id, category, service_id, percent, fixed) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (provider_id, category, service_id)
        DO UPDATE SET percent = excluded.percent, fixed = excluded.fixed
        """,
        provider_id,
        category,
        service_id,
        markup.percent,
        markup.fixed,
    )


async def drop_markup(
    tx: Transaction, *, provider_id: UUID | None, category: str | None, service_id: UUID | None
) -> bool:
    """Whether there was one."""
    done = await tx.fetchval(
        """
        DELETE FROM markups
         WHERE (provider_id, category, service_id) IS NOT DISTINCT FROM ($1::uuid, $2::text, $3::uuid) RETURNING true
        """,
        provider_id,
        category,
        service_id,
    )
    return bool(done)


class ListedMarkup(msgspec.Struct, frozen=True):
    """A markup with what it is of; None for every provider."""

    provider: str | None
    category: str | None
    service: int | None
    percent: Decimal
    fixed: Decimal


async def list_markups(tx: Transaction) -> list[ListedMarkup]:
    """The markups of categories and services, and those of the providers themselves."""
    rows = await tx.fetch(
        """
        SELECT p.name, m.category, s.number, m.percent, m.fixed FROM markups m
          LEFT JOIN providers p ON p.id = m.provider_id LEFT JOIN services s ON s.id = m.service_id
        UNION ALL SELECT name, NULL, NULL, markup_percent, markup_fixed FROM providers
         ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3 NULLS FIRST
        """
    )
    return [ListedMarkup(*row) for row in rows]


async def set_custom_price(tx: Transaction, user_id: UUID, service_id: UUID | None, custom: CustomPrice) -> None:
    await tx.execute(
        """
        INSERT INTO custom_prices (user_id, service_id, price, percent) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id, service_id) DO UPDATE SET price = excluded.price, percent = excluded.percent
        """,
        user_id,
        service_id,
        custom.price,
        custom.percent,
    )


async def drop_custom_price(tx: Transaction, user_id: UUID, service_id: UUID | None) -> bool:
    """Whether there was one."""
    done = await tx.fetchval(
        "DELETE FROM custom_prices WHERE user_id = $1 AND service_id IS NOT DISTINCT FROM $2 RETURNING true",
        user_id,
        service_id,
    )
    return bool(done)


class ListedPrice(msgspec.Struct, frozen=True):
    """A custom price with its user, and the price for all; `service` is None for all services without one."""

    email: str
    service: int | None
    price: Decimal | None
    percent: Decimal | None
    price_for_all: Decimal | None


async def list_custom_prices(tx: Transaction, user_id: UUID | None = None) -> list[ListedPrice]:
    """Of one user, or of all."""
    rows = await tx.fetch(
        """
        SELECT u.email, s.number, c.price, c.percent, s.price_per_1000 FROM custom_prices c
          JOIN users u ON u.id = c.user_id LEFT JOIN services s ON s.id = c.service_id
         WHERE $1::uuid IS NULL OR c.user_id = $1 ORDER BY u.email, s.number NULLS FIRST
        """,
        user_id,
    )
    return [ListedPrice(*row) for row in rows]


class Sold(msgspec.Struct, frozen=True):
    """A service's price and the cost of its source, both in our currency."""

    number: int
    price: Decimal
    cost: Decimal


async def list_sold(tx: Transaction, service_id: UUID | None = None) -> list[Sold]:
    """What is on sale, or the one service whether it is or not; those without a source are left out."""
    rows = await tx.fetch(
        """
        SELECT s.number, s.price_per_1000, round(r.cost_per_1000 * p.exchange_rate, 8)
          FROM services s JOIN service_routes r ON r.service_id = s.id AND r.is_source
          JOIN providers p ON p.id = r.provider_id
         WHERE s.id = $1::uuid OR ($1::uuid IS NULL AND s.is_active) ORDER BY s.number
        """,
        service_id,
    )
    return [Sold(*row) for row in rows]


async def list_tariffs(tx: Transaction) -> dict[UUID, Tariff]:
    """The custom prices by user, services in id order, so that equal tariffs compare equal."""
    rows = await tx.fetch("SELECT user_id, service_id, price, percent FROM custom_prices ORDER BY user_id, service_id")
    services: dict[UUID, list[tuple[UUID, CustomPrice]]] = {}
    others: dict[UUID, CustomPrice] = {}
    for row in rows:
        custom = CustomPrice(row["price"], row["percent"])
        if row["service_id"] is None:
            others[row["user_id"]] = custom
        else:
            services.setdefault(row["user_id"], []).append((row["service_id"], custom))
    return {
        user_id: Tariff(tuple(services.get(user_id, ())), others.get(user_id))
        for user_id in services.keys() | others.keys()
    }
