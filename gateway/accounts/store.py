"""The SQL of users, API keys and the look-up of accounts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.accounts.model import Account, KeySummary
from gateway.db.engine import Transaction
from gateway.errors import Conflict

_INSERT_USER = "INSERT INTO users (id, email, password_hash, role) VALUES ($1, $2, $3, $4)"

_UPDATE_STATUS = "UPDATE users SET status = $2 WHERE email = $1 RETURNING true"

_INSERT_WALLET = """
INSERT INTO wallets (id, user_id, currency) VALUES ($1, $2, $3)
ON CONFLICT (user_id, currency) DO NOTHING
"""

_INSERT_KEY = """
INSERT INTO api_keys (id, user_id, key_hash, secret_id, name, rate_limit_tier, currency, expires_at,
                      replay_window_s, refuse_duplicates)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

_FIND_BY_KEY_HASHES = """
SELECT k.key_hash, k.id AS key_id, k.user_id, w.id AS wallet_id, k.currency, k.rate_limit_tier AS tier,
       k.permissions, k.expires_at, k.name AS key_name, k.replay_window_s, k.refuse_duplicates, u.role
FROM api_keys k
JOIN users u ON u.id = k.user_id
JOIN wallets w ON w.user_id = k.user_id AND w.currency = k.currency
WHERE k.key_hash = ANY($1::text[]) AND k.is_active AND u.status = 'active'
"""

_LIST_KEYS = """
SELECT k.id AS key_id, u.email, k.name, k.rate_limit_tier AS tier, k.currency, k.is_active,
       k.created_at, k.last_used_at, k.expires_at, k.replay_window_s, k.refuse_duplicates
FROM api_keys k
JOIN users u ON u.id = k.user_id
WHERE $1::text IS NULL OR u.email = $1
ORDER BY k.id
"""

# Locked in id order, so that two processes with the same keys to mark cannot deadlock.
_MARK_USED = """
WITH marks AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS m (id, used_at)),
locked AS (
    SELECT k.id, m.used_at FROM api_keys k JOIN marks m ON m.id = k.id
    ORDER BY k.id FOR NO KEY UPDATE OF k
)
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, locked.used_at)
FROM locked WHERE k.id = locked.id
"""

# Only once no provider's key is under another secret: then `gateway secrets rotate` has run, which says
# that every process lists the newest secret and so would know the new hash.
_REHASH = r"""
WITH changes AS (SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[]) AS c (id, key_hash, newest_hash)),
locked AS (
    SELECT k.id, c.key_hash, c.newest_hash FROM api_keys k JOIN changes c ON c.id = k.id
    WHERE EXISTS (SELECT FROM providers) AND NOT EXISTS (
        SELECT FROM providers WHERE substring(api_key_encrypted FROM '^v1\.([0-9a-f]{16})\.') IS DISTINCT FROM $1)
    ORDER BY k.id FOR UPDATE OF k
)
UPDATE api_keys k SET key_hash = locked.newest_hash, secret_id = $1
FROM locked WHERE k.id = locked.id AND k.key_hash = locked.key_hash
"""

_REFUSALS = {
    "uq_users_email": "a user with this e-mail address exists already",
    "ck_users_role": "no such role",
    "ck_users_status": "no such user status",
    "ck_api_keys_rate_limit_tier": "no such tier",
    "ck_api_keys_replay_window_s": "a replay window is 1 second to 24 hours",
    "ck_api_keys_currency": "a currency is three capital letters",
    "ck_wallets_currency": "a currency is three capital letters",
}


@contextmanager
def _refusals() -> Iterator[None]:
    """What a constraint refuses is a Conflict that says it in words."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        refusal = _REFUSALS.get(error.constraint_name or "")
        if refusal is None:
            raise
        raise Conflict(refusal) from error


async def insert_user(tx: Transaction, user_id: UUID, email: str, password_hash: str, role: str) -> None:
    """Raises Conflict where the e-mail address is taken."""
    with _refusals():
        await tx.execute(_INSERT_USER, user_id, email, password_hash, role)


async def find_user_id(tx: Transaction, email: str) -> UUID | None:
    user_id: UUID | None = await tx.fetchval("SELECT id FROM users WHERE email = $1", email)
    return user_id


async def update_user_status(tx: Transaction, email: str, status: str) -> bool:
    """Whether there is such a user."""
    with _refusals():
        done = await tx.fetchval(_UPDATE_STATUS, email, status)
    return bool(done)


async def insert_wallet(tx: Transaction, wallet_id: UUID, user_id: UUID, currency: str) -> None:
    """Does nothing where the user has a wallet in that currency."""
    with _refusals():
        await tx.execute(_INSERT_WALLET, wallet_id, user_id, currency)


async def insert_key(
    tx: Transaction,
    *,
    key_id: UUID,
    user_id: UUID,
    key_hash: str,
    secret_id: str,
    name: str,
    tier: str,
    currency: str,
    expires_at: datetime | None,
    replay_window_s: int | None = None,
    refuse_duplicates: bool = False,
) -> None:
    with _refusals():
        await tx.execute(
            _INSERT_KEY,
            key_id,
            user_id,
            key_hash,
            secret_id,
            name,
            tier,
            currency,
            expires_at,
            replay_window_s,
            refuse_duplicates,
        )


async def deactivate_key(tx: Transaction, key_id: UUID) -> bool:
    """Whether there is such a key; one that is off already stays so."""
    done = await tx.fetchval("UPDATE api_keys SET is_active = false WHERE id = $1 RETURNING true", key_id)
    return bool(done)


async def find_by_key_hashes(connection: Transaction, hashes: list[str]) -> dict[str, Account]:
    """The accounts that may act, by the hash their key is stored under. Expiry is the caller's to judge."""
    rows = await connection.fetch(_FIND_BY_KEY_HASHES, hashes)
    return {row["key_hash"]: _account(row) for row in rows}


async def list_keys(connection: Transaction, email: str | None) -> list[KeySummary]:
    return [KeySummary(**row) for row in await connection.fetch(_LIST_KEYS, email)]


async def mark_used(tx: Transaction, marks: dict[UUID, datetime]) -> None:
    await tx.execute(_MARK_USED, list(marks), list(marks.values()))


async def rehash_keys(tx: Transaction, secret_id: str, changes: dict[UUID, tuple[str, str]]) -> None:
    """Put the hash under the newest secret in the place of the older one, where that is still the key's."""
    older, newest = [old for old, _ in changes.values()], [new for _, new in changes.values()]
    await tx.execute(_REHASH, secret_id, list(changes), older, newest)


def _account(row: asyncpg.Record) -> Account:
    permissions = row["permissions"]
    return Account(
        key_id=row["key_id"],
        user_id=row["user_id"],
        wallet_id=row["wallet_id"],
        currency=row["currency"],
        tier=row["tier"],
        permissions=None if permissions is None else tuple(permissions),
        expires_at=row["expires_at"],
        key_name=row["key_name"],
        replay_window_s=row["replay_window_s"],
        refuse_duplicates=row["refuse_duplicates"],
        role=row["role"],
    )
