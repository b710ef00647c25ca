"""SQL of markups and custom prices, one by one and a page at a time."""

from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction


class MarkupRow(msgspec.Struct, frozen=True):
    """A markup of a category or a service, with the provider's name and the service's number."""

    id: UUID
    provider_id: UUID | None
    provider: str | None
    category: str | None
    service: int | None
    percent: Decimal
    fixed: Decimal


_MARKUPS = """
SELECT m.id, m.provider_id, p.name, m.category, s.number, m.percent, m.fixed FROM markups m
  LEFT JOIN providers p ON p.id = m.provider_id LEFT JOIN services s ON s.id = m.service_id
"""


async def list_markup_rows(tx: Transaction, after: UUID | None, most: int) -> list[MarkupRow]:
    """In the order in which they were first set, behind `after`."""
    rows = await tx.fetch(f"{_MARKUPS} WHERE $1::uuid IS NULL OR m.id > $1 ORDER BY m.id LIMIT $2", after, most)
    return [MarkupRow(*row) for row in rows]


async def find_markup(tx: Transaction, markup_id: UUID) -> MarkupRow | None:
    row = await tx.fetchrow(f"{_MARKUPS} WHERE m.id = $1", markup_id)
    return MarkupRow(*row) if row else None


async def find_markup_of(
    tx: Transaction, *, provider_id: UUID | None, category: str | None, service_id: UUID | None
) -> MarkupRow | None:
    row = await tx.fetchrow(
        f"""
        {_MARKUPS}
         WHERE (m.provider_id, m.category, m.service_id) IS NOT DISTINCT FROM ($1::uuid, $2::text, $3::uuid)
        """,
        provider_id,
        category,
        service_id,
    )
    return MarkupRow(*row) if row else None


class PriceRow(msgspec.Struct, frozen=True):
    """A custom price, and the price for all; `service` is None for all services without one."""

    id: UUID
    user_id: UUID
    service: int | None
    price: Decimal | None
    percent: Decimal | None
    price_for_all: Decimal | None


_PRICES = """
SELECT c.id, c.user_id, s.number, c.price, c.percent, s.price_per_1000 FROM custom_prices c
  LEFT JOIN services s ON s.id = c.service_id
"""


async def list_price_rows(tx: Transaction, user_id: UUID | None, after: UUID | None, most: int) -> list[PriceRow]:
    """Of one user, or of all, in the order in which they were first set, behind `after`."""
    rows = await tx.fetch(
        f"""
        {_PRICES} WHERE ($1::uuid IS NULL OR c.user_id = $1) AND ($2::uuid IS NULL OR c.id > $2) ORDER BY c.id LIMIT $3
        """,
        user_id,
        after,
        most,
    )
    return [PriceRow(*row) for row in rows]


async def find_price(tx: Transaction, price_id: UUID, *, lock: bool = False) -> PriceRow | None:
    row = await tx.fetchrow(f"{_PRICES} WHERE c.id = $1 {'FOR UPDATE OF c' if lock else ''}", price_id)
    return PriceRow(*row) if row else None


async def find_price_of(tx: Transaction, user_id: UUID, service_id: UUID | None) -> PriceRow | None:
    row = await tx.fetchrow(
        f"{_PRICES} WHERE c.user_id = $1 AND c.service_id IS NOT DISTINCT FROM $2", user_id, service_id
    )
    return PriceRow(*row) if row else None
