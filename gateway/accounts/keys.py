"""API keys are issued, shown once, changed, rotated, listed without their secret, and revoked."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.accounts import store
from gateway.accounts.model import KeySummary, new_key
from gateway.accounts.terms import store as terms_store
from gateway.accounts.terms.model import KeyEdit, Terms, check, edit
from gateway.accounts.users import normal_email
from gateway.db.engine import Transaction
from gateway.errors import Conflict, Invalid, NotFound
from gateway.events import store as events
from gateway.events.payloads import KeyData
from gateway.events.store import Event
from gateway.keyring import Keyring

OVERLAP_S_MAX = 30 * 86_400
KEYS_MAX = 20


async def issue_key(
    tx: Transaction,
    keyring: Keyring,
    user_email: str,
    tier: str,
    name: str,
    currency: str,
    expires_at: datetime | None,
    **more: Any,
) -> tuple[UUID, str]:
    """As `issue_key_to`, for the user with that address; `more` are further `Terms`.

    Raises:
        NotFound: no such user.
        Invalid, Conflict: as `issue_key_to`.
    """
    user_id = await store.find_user_id(tx, normal_email(user_email))
    if user_id is None:
        raise NotFound(f"user {user_email}")
    terms = Terms(name=name, tier=tier, expires_at=expires_at, **more)
    return await issue_key_to(tx, keyring, user_id, currency, terms)


async def issue_key_to(
    tx: Transaction, keyring: Keyring, user_id: UUID, currency: str, terms: Terms
) -> tuple[UUID, str]:
    """The key's id, and the key itself, which nothing can show again: only its hash is kept.

    The user has a wallet in that currency from now on, if there was none.

    Raises:
        NotFound: no such user.
        Invalid: terms that make no sense, or that the user's role may not have.
        Conflict: no such tier or currency.
    """
    holder = await terms_store.find_holder(tx, user_id)
    if holder is None:
        raise NotFound(f"user {user_id}")
    terms = check(terms, holder.role)
    await store.insert_wallet(tx, uuid7(), user_id, currency)
    key_id, key = uuid7(), new_key()
    secret_id, key_hash = keyring.hash_api_key(key)
    await terms_store.insert_key(
        tx, key_id=key_id, user_id=user_id, key_hash=key_hash, secret_id=secret_id, currency=currency, terms=terms
    )
    await _tell(tx, "key.created", key_id)
    return key_id, key


async def require_room(tx: Transaction, user_id: UUID) -> None:
    """Raises Conflict where the user has as many keys in force as he may issue himself: limits are counted by key."""
    if await terms_store.count_active(tx, user_id) >= KEYS_MAX:
        raise Conflict(f"a user issues at most {KEYS_MAX} keys that are in force at once")


async def change_key(
    tx: Transaction, key_id: UUID, changes: KeyEdit, allow: Callable[[Terms, Terms], None] | None = None
) -> KeySummary:
    """Set terms of a key, in force within a second in every process; the key as it is now.

    `allow` sees the terms before and after, under the key's lock, and may raise.

    Raises:
        NotFound: no such key.
        Invalid: terms that make no sense, or that its user's role may not have.
        Conflict: no such tier.
    """
    found = await terms_store.lock_key(tx, key_id)
    if found is None:
        raise NotFound(f"key {key_id}")
    before, holder = found
    after = check(edit(before, changes), holder.role)
    if allow is not None:
        allow(before, after)
    await terms_store.update_terms(tx, key_id, after)
    await _tell(tx, "key.changed", key_id)
    changed = await terms_store.find_key(tx, key_id)
    assert changed is not None, "a key that is locked is there"
    return changed


async def rotate_key(tx: Transaction, keyring: Keyring, key_id: UUID, overlap_s: int) -> str:
    """The key's new secret, shown this once. The one it replaces works for the overlap; one before that ends.

    Raises:
        NotFound: no such key.
        Conflict: it is revoked or has expired.
        Invalid: the overlap is not 0 seconds to 30 days.
    """
    if not 0 <= overlap_s <= OVERLAP_S_MAX:
        raise Invalid([("overlap", "an overlap is 0 seconds to 30 days")])
    key = new_key()
    secret_id, key_hash = keyring.hash_api_key(key)
    if not await terms_store.rotate_key(tx, key_id, key_hash, secret_id, overlap_s):
        if await terms_store.find_key(tx, key_id) is None:
            raise NotFound(f"key {key_id}")
        raise Conflict(f"key {key_id} is revoked or has expired")
    await _tell(tx, "key.rotated", key_id)
    return key


async def revoke_key(tx: Transaction, key_id: UUID) -> None:
    """Both its secrets end, within a second in every process; once more does nothing.

    Raises:
        NotFound: no such key.
    """
    before = await terms_store.find_key(tx, key_id)
    if not await terms_store.revoke_key(tx, key_id):
        raise NotFound(f"key {key_id}")
    if before is not None and before.is_active:
        await _tell(tx, "key.revoked", key_id)


async def find_key(connection: Transaction, key_id: UUID, *, lock: bool = False) -> KeySummary | None:
    """Anybody's key: whether the caller may see it is for the caller to tell. Locked, it stays as it is read."""
    if lock:
        await terms_store.lock_key(connection, key_id)
    return await terms_store.find_key(connection, key_id)


async def list_keys(connection: Transaction, user_email: str | None = None) -> list[KeySummary]:
    """In the order of issue; of every user where none is named."""
    return await terms_store.list_keys(connection, None if user_email is None else normal_email(user_email))


async def list_keys_of(connection: Transaction, user_id: UUID, after: UUID | None, most: int) -> list[KeySummary]:
    """Of one user, in the order of issue, `most` of those after the key `after`."""
    return await terms_store.list_keys_of(connection, user_id, after, most)


async def _tell(tx: Transaction, kind: str, key_id: UUID) -> None:
    """Write the event for the key's user; the key's row is locked, or new."""
    key = await terms_store.find_key(tx, key_id)
    assert key is not None, "a key that was just written is there"
    await events.insert(tx, [Event(kind, key.user_id, "key", key_id, KeyData(name=key.name))])
