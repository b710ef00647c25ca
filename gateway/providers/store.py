"""SQL of providers."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.db import refusals
from gateway.db.engine import Transaction

_COLUMNS = (
    "id, name, api_endpoint, api_key_encrypted, currency, markup_percent, priority, is_active, max_in_flight, "
    "honours_extension, dialect, paused_until, "
    "greatest(extract(epoch FROM paused_until - now()), 0)::float8 AS pause_left_s"
)
_REFUSALS = {
    "uq_providers_name": "a provider with this name exists already",
    "ck_providers_currency": "a currency is three capital letters",
    "ck_providers_exchange_rate": "an exchange rate is above 0",
    "ck_providers_markup": "a markup is at least -100 percent",
    "ck_providers_max_in_flight": "at least one request may be in flight",
}


class SealedProvider(msgspec.Struct, frozen=True):
    """The row, with its key still sealed. `pause_left_s` is by the database's clock."""

    id: UUID
    name: str
    api_endpoint: str
    api_key_encrypted: str
    currency: str
    markup_percent: Decimal
    priority: int
    is_active: bool
    max_in_flight: int | None
    honours_extension: bool
    dialect: str
    paused_until: datetime | None
    pause_left_s: float | None


async def insert(
    tx: Transaction,
    provider_id: UUID,
    name: str,
    api_endpoint: str,
    api_key_encrypted: str,
    *,
    currency: str,
    markup_percent: Decimal,
    priority: int,
    max_in_flight: int | None,
    dialect: str,
    exchange_rate: Decimal,
) -> None:
    """Raises Conflict where the name is taken."""
    with refusals.told(_REFUSALS):
        await tx.execute(
            """
            INSERT INTO providers (id, name, api_endpoint, api_key_encrypted, currency, markup_percent, priority,
                                   max_in_flight, dialect, exchange_rate)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            provider_id,
            name,
            api_endpoint,
            api_key_encrypted,
            currency,
            markup_percent,
            priority,
            max_in_flight,
            dialect,
            exchange_rate,
        )


async def list_all(tx: Transaction) -> list[SealedProvider]:
    """Every provider, the one with the highest priority first."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM providers ORDER BY priority DESC, name")
    return [SealedProvider(*row) for row in rows]


async def find(tx: Transaction, provider_id: UUID) -> SealedProvider | None:
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM providers WHERE id = $1", provider_id)
    return SealedProvider(*row) if row else None


async def find_by_name(tx: Transaction, name: str) -> SealedProvider | None:
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM providers WHERE name = $1", name)
    return SealedProvider(*row) if row else None


async def lock(tx: Transaction, provider_id: UUID) -> SealedProvider | None:
    """The provider, locked against other changes of it but not against new orders that refer to it."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM providers WHERE id = $1 FOR NO KEY UPDATE", provider_id)
    return SealedProvider(*row) if row else None


async def update_pause(tx: Transaction, provider_id: UUID, reason: str, seconds: float) -> bool:
    """Whether there is such a provider. A longer pause that is under way stays."""
    done = await tx.fetchval(
        """
        UPDATE providers SET paused_until = greatest(paused_until, now() + make_interval(secs => $2)),
                             paused_reason = $3
         WHERE id = $1 RETURNING true
        """,
        provider_id,
        float(seconds),
        reason,
    )
    return bool(done)


async def clear_pause(tx: Transaction, provider_id: UUID) -> bool:
    """Whether there is such a provider."""
    done = await tx.fetchval(
        "UPDATE providers SET paused_until = NULL, paused_reason = NULL WHERE id = $1 RETURNING true", provider_id
    )
    return bool(done)


async def update_probes(tx: Transaction, provider_id: UUID, probes: bool) -> bool:
    """Whether there is such a provider."""
    done = await tx.fetchval("UPDATE providers SET probes = $2 WHERE id = $1 RETURNING true", provider_id, probes)
    return bool(done)


async def update_balance(tx: Transaction, provider_id: UUID, balance: Decimal, honours_extension: bool) -> None:
    """What the provider said just now."""
    await tx.execute(
        "UPDATE providers SET balance = $2, balance_at = now(), honours_extension = $3 WHERE id = $1",
        provider_id,
        balance,
        honours_extension,
    )


async def update_extension(tx: Transaction, provider_id: UUID, honours_extension: bool) -> None:
    """Whether it honours idempotency keys, where nothing else that it said can be used."""
    await tx.execute("UPDATE providers SET honours_extension = $2 WHERE id = $1", provider_id, honours_extension)


async def update_key(tx: Transaction, provider_id: UUID, api_key_encrypted: str) -> bool:
    """Whether there is such a provider. Another key may be of another account: copies end."""
    done = await tx.fetchval(
        "UPDATE providers SET api_key_encrypted = $2 WHERE id = $1 RETURNING true", provider_id, api_key_encrypted
    )
    await end_replays(tx, provider_id)
    return bool(done)


async def end_replays(tx: Transaction, provider_id: UUID) -> None:
    """Another account or panel knows none of the idempotency keys sent before.

    No attempt made until now is sent again or looked for there, and what it honours is to be learned anew.
    """
    await tx.execute("UPDATE providers SET honours_extension = false WHERE id = $1", provider_id)
    await tx.execute(
        """
        UPDATE dispatch_attempts SET replayable = false, next_probe_at = 'infinity'
         WHERE provider_id = $1 AND state IN ('sending', 'unknown')
        """,
        provider_id,
    )
