"""The SQL of users and of the look-up of accounts; that of the keys' terms is in `terms`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.accounts.model import Account
from gateway.db import refusals
from gateway.db.engine import Transaction

_INSERT_USER = "INSERT INTO users (id, email, password_hash, role) VALUES ($1, $2, $3, $4)"

_UPDATE_STATUS = "UPDATE users SET status = $2 WHERE email = $1 RETURNING true"

_INSERT_WALLET = """
INSERT INTO wallets (id, user_id, currency) VALUES ($1, $2, $3)
ON CONFLICT (user_id, currency) DO NOTHING
"""

# A secret that was rotated away ends by itself; an entry found by it lasts no longer.
_FIND_BY_KEY_HASHES = """
SELECT h.key_hash, k.id AS key_id, k.user_id, w.id AS wallet_id, k.currency, k.rate_limit_tier AS tier,
       k.permissions, least(k.expires_at, h.ends_at) AS expires_at, k.name AS key_name, k.replay_window_s,
       k.refuse_duplicates, u.role, coalesce(k.requests_per_minute, t.requests_per_minute) AS requests_per_minute,
       k.allowed_addresses, k.daily_spend_cap
FROM (SELECT id, key_hash, NULL::timestamptz AS ends_at FROM api_keys WHERE key_hash = ANY($1::text[])
      UNION ALL
      SELECT id, previous_hash, previous_expires_at FROM api_keys WHERE previous_hash = ANY($1::text[])) h
JOIN api_keys k ON k.id = h.id
JOIN tiers t ON t.name = k.rate_limit_tier
JOIN users u ON u.id = k.user_id
JOIN wallets w ON w.user_id = k.user_id AND w.currency = k.currency
WHERE k.is_active AND u.status = 'active'
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
# that every process lists the newest secret and so would know the new hash. Every key of the list is locked
# for either column, so that two processes lock them in the same order.
_REHASH = r"""
WITH changes AS (SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[]) AS c (id, older_hash, newest_hash)),
locked AS (
    SELECT k.id, c.older_hash, c.newest_hash FROM api_keys k JOIN changes c ON c.id = k.id
    WHERE EXISTS (SELECT FROM providers) AND NOT EXISTS (
        SELECT FROM providers WHERE substring(api_key_encrypted FROM '^v1\.([0-9a-f]{16})\.') IS DISTINCT FROM $1)
    ORDER BY k.id FOR UPDATE OF k
)
"""
_REHASH_KEY = (
    _REHASH
    + """
UPDATE api_keys k SET key_hash = locked.newest_hash, secret_id = $1
FROM locked WHERE k.id = locked.id AND k.key_hash = locked.older_hash
"""
)
_REHASH_PREVIOUS = (
    _REHASH
    + """
UPDATE api_keys k SET previous_hash = locked.newest_hash, previous_secret_id = $1
FROM locked WHERE k.id = locked.id AND k.previous_hash = locked.older_hash
"""
)

_REFUSALS = {
    "uq_users_email": "a user with this e-mail address exists already",
    "ck_users_role": "no such role",
    "ck_users_status": "no such user status",
    "ck_wallets_currency": "a currency is three capital letters",
}


async def insert_user(tx: Transaction, user_id: UUID, email: str, password_hash: str, role: str) -> None:
    """Raises Conflict where the e-mail address is taken."""
    with refusals.told(_REFUSALS):
        await tx.execute(_INSERT_USER, user_id, email, password_hash, role)


async def find_user_id(tx: Transaction, email: str) -> UUID | None:
    user_id: UUID | None = await tx.fetchval("SELECT id FROM users WHERE email = $1", email)
    return user_id


async def update_user_status(tx: Transaction, email: str, status: str) -> bool:
    """Whether there is such a user."""
    with refusals.told(_REFUSALS):
        done = await tx.fetchval(_UPDATE_STATUS, email, status)
    return bool(done)


async def insert_wallet(tx: Transaction, wallet_id: UUID, user_id: UUID, currency: str) -> None:
    """Does nothing where the user has a wallet in that currency."""
    with refusals.told(_REFUSALS):
        await tx.execute(_INSERT_WALLET, wallet_id, user_id, currency)


async def find_by_key_hashes(connection: Transaction, hashes: list[str]) -> dict[str, Account]:
    """The accounts that may act, by the hash their key is stored under. Expiry is the caller's to judge."""
    rows = await connection.fetch(_FIND_BY_KEY_HASHES, hashes)
    return {row["key_hash"]: _account(row) for row in rows}


async def mark_used(tx: Transaction, marks: dict[UUID, datetime]) -> None:
    await tx.execute(_MARK_USED, list(marks), list(marks.values()))


async def rehash_keys(tx: Transaction, secret_id: str, changes: Sequence[tuple[UUID, str, str]]) -> None:
    """Put the hash under the newest secret in the place of the older one, where the key still has that.

    `changes` are the key's id, the older hash and the newest; a key may be in it with both its secrets.
    """
    ids, older, newest = [list(column) for column in zip(*changes, strict=True)]
    for statement in (_REHASH_KEY, _REHASH_PREVIOUS):
        await tx.execute(statement, secret_id, ids, older, newest)


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
        requests_per_minute=row["requests_per_minute"],
        allowed_addresses=None if row["allowed_addresses"] is None else tuple(row["allowed_addresses"]),
        daily_spend_cap=row["daily_spend_cap"],
    )
