"""API keys are issued, shown once, listed without their secret, and revoked."""

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.accounts import store
from gateway.accounts.model import KeySummary, Tier, new_key
from gateway.accounts.users import normal_email
from gateway.db.engine import Transaction
from gateway.errors import NotFound
from gateway.keyring import Keyring


async def issue_key(
    tx: Transaction,
    keyring: Keyring,
    user_email: str,
    tier: Tier,
    name: str,
    currency: str,
    expires_at: datetime | None,
    *,
    replay_window_s: int | None = None,
    refuse_duplicates: bool = False,
) -> tuple[UUID, str]:
    """The key's id, and the key itself, which nothing can show again: only its hash is kept.

    The user has a wallet in that currency from now on, if there was none.

    Raises:
        NotFound: no such user.
    """
    user_id = await store.find_user_id(tx, normal_email(user_email))
    if user_id is None:
        raise NotFound(f"user {user_email}")
    await store.insert_wallet(tx, uuid7(), user_id, currency)
    key_id, key = uuid7(), new_key()
    secret_id, key_hash = keyring.hash_api_key(key)
    await store.insert_key(
        tx,
        key_id=key_id,
        user_id=user_id,
        key_hash=key_hash,
        secret_id=secret_id,
        name=name,
        tier=tier,
        currency=currency,
        expires_at=expires_at,
        replay_window_s=replay_window_s,
        refuse_duplicates=refuse_duplicates,
    )
    return key_id, key


async def revoke_key(tx: Transaction, key_id: UUID) -> None:
    """In force within a second in every process; once more does nothing.

    Raises:
        NotFound: no such key.
    """
    if not await store.deactivate_key(tx, key_id):
        raise NotFound(f"key {key_id}")


async def list_keys(connection: Transaction, user_email: str | None = None) -> list[KeySummary]:
    """In the order of issue; of every user where none is named."""
    return await store.list_keys(connection, None if user_email is None else normal_email(user_email))
