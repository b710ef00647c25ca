"""SQL of keys as they are issued, changed, rotated, revoked and listed, and of tiers."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import asyncpg

from gateway.accounts.model import KeySummary, Tier
from gateway.accounts.terms.model import Holder, Terms
from gateway.db import refusals
from gateway.db.engine import Transaction

_REFUSALS = {
    "fk_api_keys_rate_limit_tier": "no such tier",
    "ck_api_keys_replay_window_s": "a replay window is 1 second to 24 hours",
    "ck_api_keys_currency": "a currency is three capital letters",
    "ck_tiers_name": "the name of a tier has small letters, digits and hyphens",
    "ck_tiers_requests_per_minute": "a limit is 1 to 1000000",
    "ck_tiers_limited": "only basic, pro and enterprise have a setting to follow: this tier needs a limit",
}


async def find_holder(tx: Transaction, user_id: UUID) -> Holder | None:
    row = await tx.fetchrow("SELECT id, role FROM users WHERE id = $1", user_id)
    return Holder(*row) if row else None


async def insert_key(
    tx: Transaction, *, key_id: UUID, user_id: UUID, key_hash: str, secret_id: str, currency: str, terms: Terms
) -> None:
    with refusals.told(_REFUSALS):
        await tx.execute(
            """
            INSERT INTO api_keys (name, rate_limit_tier, permissions, allowed_addresses, daily_spend_cap,
                                  requests_per_minute, expires_at, replay_window_s, refuse_duplicates,
                                  id, user_id, key_hash, secret_id, currency)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            """,
            *_columns(terms),
            key_id,
            user_id,
            key_hash,
            secret_id,
            currency,
        )


def _columns(terms: Terms) -> tuple[object, ...]:
    return (
        terms.name,
        terms.tier,
        terms.scopes,
        terms.allowed_addresses,
        terms.daily_spend_cap,
        terms.requests_per_minute,
        terms.expires_at,
        terms.replay_window_s,
        terms.refuse_duplicates,
    )


async def lock_key(tx: Transaction, key_id: UUID) -> tuple[Terms, Holder] | None:
    """The key's terms, which nobody else changes until the transaction ends, and whose it is."""
    row = await tx.fetchrow(
        """
        SELECT k.name, k.rate_limit_tier AS tier, k.permissions AS scopes, k.allowed_addresses, k.daily_spend_cap,
               k.requests_per_minute, k.expires_at, k.replay_window_s, k.refuse_duplicates, u.id AS user_id, u.role
          FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = $1 FOR NO KEY UPDATE OF k
        """,
        key_id,
    )
    if row is None:
        return None
    return Terms(**_values(row, Terms.__struct_fields__)), Holder(row["user_id"], row["role"])


def _values(row: asyncpg.Record, names: Iterable[str]) -> dict[str, Any]:
    """By name; lists as tuples."""
    return {name: tuple(row[name]) if isinstance(row[name], list) else row[name] for name in names}


async def update_terms(tx: Transaction, key_id: UUID, terms: Terms) -> None:
    with refusals.told(_REFUSALS):
        await tx.execute(
            """
            UPDATE api_keys SET name = $1, rate_limit_tier = $2, permissions = $3, allowed_addresses = $4,
                   daily_spend_cap = $5, requests_per_minute = $6, expires_at = $7, replay_window_s = $8,
                   refuse_duplicates = $9
             WHERE id = $10
            """,
            *_columns(terms),
            key_id,
        )


async def rotate_key(tx: Transaction, key_id: UUID, key_hash: str, secret_id: str, overlap_s: int) -> bool:
    """Put another secret in the place of the newest, which goes on for the overlap; whatever was before it ends.

    False where there is no such key, or it is revoked or has expired.
    """
    done = await tx.fetchval(
        """
        UPDATE api_keys
           SET key_hash = $2, secret_id = $3,
               previous_hash = CASE WHEN $4 > 0 THEN key_hash END,
               previous_secret_id = CASE WHEN $4 > 0 THEN secret_id END,
               previous_expires_at = CASE WHEN $4 > 0 THEN now() + make_interval(secs => $4) END
         WHERE id = $1 AND is_active AND coalesce(expires_at > now(), true)
        RETURNING true
        """,
        key_id,
        key_hash,
        secret_id,
        overlap_s,
    )
    return bool(done)


async def revoke_key(tx: Transaction, key_id: UUID) -> bool:
    """Whether there is such a key; one that is revoked already keeps its time."""
    done = await tx.fetchval(
        """
        UPDATE api_keys
           SET is_active = false, revoked_at = coalesce(revoked_at, now()),
               previous_hash = NULL, previous_secret_id = NULL, previous_expires_at = NULL
         WHERE id = $1 RETURNING true
        """,
        key_id,
    )
    return bool(done)


_SUMMARIES = """
SELECT k.id AS key_id, k.user_id, u.email, k.name, k.rate_limit_tier AS tier, k.currency, k.permissions AS scopes,
       k.allowed_addresses, k.daily_spend_cap,
       CASE WHEN k.daily_spend_cap IS NOT NULL THEN coalesce(s.spent, 0) END AS spent_today, k.requests_per_minute,
       k.is_active, k.created_at, k.last_used_at, k.expires_at,
       CASE WHEN k.previous_expires_at > now() THEN k.previous_expires_at END AS previous_expires_at, k.revoked_at,
       k.replay_window_s, k.refuse_duplicates
  FROM api_keys k JOIN users u ON u.id = k.user_id
  LEFT JOIN key_spending s ON s.api_key_id = k.id AND s.day = (now() AT TIME ZONE 'UTC')::date
"""


async def find_key(connection: Transaction, key_id: UUID) -> KeySummary | None:
    row = await connection.fetchrow(f"{_SUMMARIES} WHERE k.id = $1", key_id)
    return _summary(row) if row else None


async def list_keys(connection: Transaction, email: str | None) -> list[KeySummary]:
    rows = await connection.fetch(f"{_SUMMARIES} WHERE $1::text IS NULL OR u.email = $1 ORDER BY k.id", email)
    return [_summary(row) for row in rows]


async def list_keys_of(connection: Transaction, user_id: UUID, after: UUID | None, most: int) -> list[KeySummary]:
    """In the order of issue, from above the id `after`."""
    rows = await connection.fetch(
        f"{_SUMMARIES} WHERE k.user_id = $1 AND ($2::uuid IS NULL OR k.id > $2) ORDER BY k.id LIMIT $3",
        user_id,
        after,
        most,
    )
    return [_summary(row) for row in rows]


def _summary(row: asyncpg.Record) -> KeySummary:
    return KeySummary(**_values(row, KeySummary.__struct_fields__))


# Tiers ---------------------------------------------------------------------------------------


async def list_tiers(connection: Transaction) -> list[Tier]:
    """By name. The keys are counted in one go for all tiers, not once for each."""
    rows = await connection.fetch(
        """
        SELECT t.name, t.requests_per_minute, coalesce(k.keys, 0) AS keys
          FROM tiers t
          LEFT JOIN (SELECT rate_limit_tier AS name, count(*) AS keys FROM api_keys WHERE is_active
                      GROUP BY rate_limit_tier) k USING (name)
         ORDER BY t.name
        """
    )
    return [Tier(*row) for row in rows]


async def find_tier(connection: Transaction, name: str, *, lock: bool = False) -> Tier | None:
    row = await connection.fetchrow(
        f"""
        SELECT t.name, t.requests_per_minute,
               (SELECT count(*) FROM api_keys k WHERE k.rate_limit_tier = t.name AND k.is_active) AS keys
          FROM tiers t WHERE t.name = $1{" FOR UPDATE OF t" if lock else ""}
        """,
        name,
    )
    return Tier(*row) if row else None


async def upsert_tier(tx: Transaction, name: str, requests_per_minute: int | None) -> None:
    with refusals.told(_REFUSALS):
        await tx.execute(
            """
            INSERT INTO tiers (name, requests_per_minute) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET requests_per_minute = excluded.requests_per_minute
            """,
            name,
            requests_per_minute,
        )


async def delete_tier(tx: Transaction, name: str) -> bool:
    """Whether there was such a tier. Raises Conflict where keys have it, revoked ones too."""
    with refusals.told({"fk_api_keys_rate_limit_tier": f"keys have the tier {name}: give them another"}):
        return bool(await tx.fetchval("DELETE FROM tiers WHERE name = $1 RETURNING true", name))


async def count_active(tx: Transaction, user_id: UUID) -> int:
    """Keys in force; the user is locked, so that two who count do not both issue one."""
    await tx.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    number: int = await tx.fetchval(
        "SELECT count(*) FROM api_keys WHERE user_id = $1 AND is_active AND coalesce(expires_at > now(), true)", user_id
    )
    return number
