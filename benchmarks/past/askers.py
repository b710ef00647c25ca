"""Who asks for lists of the past, and what of theirs is there to be asked for."""

import random
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from benchmarks.past.loading import Loaded
from benchmarks.past.model import Past

MOVES_MAX = 20


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's owner with a key, and an order of some time long ago with its line in the ledger.

    `refill`, `webhook` and `delivery` are None where he has none.
    """

    key: str
    key_id: UUID
    user_id: UUID
    wallet_id: UUID
    order_id: UUID
    number: int
    numbers: list[int]
    service: int
    link: str
    placed_at: datetime
    line_id: UUID
    refill: int | None
    refills: list[int]
    webhook: UUID | None
    delivery: UUID | None


async def find_askers(connection: asyncpg.Connection, loaded: Loaded, past: Past, count: int) -> list[Asker]:
    """Of all kinds: every other one has very many orders, the rest are whoever orders."""
    chance = random.Random(2)
    found: list[Asker] = []
    for _ in range(count * MOVES_MAX):
        heavy = len(found) % 2 == 0
        user = int(past.size.users * chance.random() ** (9 if heavy else 3))
        asker = await _find(connection, loaded, past, 2 * user, chance)
        if asker is not None:
            found.append(asker)
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} of {count} have orders")


async def _find(
    connection: asyncpg.Connection, loaded: Loaded, past: Past, wallet: int, chance: random.Random
) -> Asker | None:
    user_id = UUID(past.id_of("user", wallet // 2))
    since = UUID(int=chance.randrange(past.first_ms, past.last_ms) << 80)
    rows = await connection.fetch(
        """
        SELECT o.id, o.number, o.link, o.created_at, s.number AS service
          FROM orders o JOIN services s ON s.id = o.service_id
         WHERE o.user_id = $1 AND o.id >= $2 AND o.currency = 'USD' ORDER BY o.id LIMIT 100
        """,
        user_id,
        since,
    )
    if not rows:
        return None
    refills = await connection.fetch(
        "SELECT number FROM refills WHERE user_id = $1 ORDER BY id DESC LIMIT 100", user_id
    )
    webhook = UUID(past.id_of("webhook", wallet // 2)) if past.has_webhook(wallet // 2) else None
    wallet_id = UUID(past.id_of("wallet", wallet))
    return Asker(
        key=loaded.keys[wallet],
        key_id=UUID(past.id_of("key", wallet)),
        user_id=user_id,
        wallet_id=wallet_id,
        order_id=rows[0]["id"],
        number=rows[0]["number"],
        numbers=[row["number"] for row in rows],
        service=rows[0]["service"],
        link=rows[0]["link"],
        placed_at=rows[0]["created_at"],
        line_id=await connection.fetchval(
            "SELECT id FROM ledger WHERE reference_type = 'order' AND reference_id = $1 AND wallet_id = $2 LIMIT 1",
            rows[0]["id"],
            wallet_id,
        ),
        refill=refills[0]["number"] if refills else None,
        refills=[row["number"] for row in refills],
        webhook=webhook,
        delivery=await connection.fetchval(
            "SELECT id FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY id DESC LIMIT 1", webhook
        ),
    )
