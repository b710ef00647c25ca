"""Users come, are suspended, banned and let in again."""

import asyncio
from uuid import UUID

import argon2
from uuid_utils.compat import uuid7

from gateway.accounts import store
from gateway.accounts.model import Role, UserStatus
from gateway.db.engine import Transaction
from gateway.errors import NotFound

UNUSABLE_PASSWORD = "!"
"""No password has this hash."""

_hasher = argon2.PasswordHasher()


async def hash_password(password: str | None) -> str:
    """What to store; to be called before the transaction opens, since argon2 takes its time, in a thread."""
    if password is None:
        return UNUSABLE_PASSWORD
    return await asyncio.to_thread(_hasher.hash, password)


async def add_user(tx: Transaction, email: str, role: Role, password_hash: str) -> UUID:
    """The new user's id; `password_hash` as `hash_password` gave it.

    Raises:
        Conflict: the address is taken, in whatever case it was written.
    """
    user_id = uuid7()
    await store.insert_user(tx, user_id, normal_email(email), password_hash, role)
    return user_id


async def set_user_status(tx: Transaction, email: str, status: UserStatus) -> None:
    """In force for all the user's keys within a second, in every process.

    Raises:
        NotFound: no such user.
    """
    if not await store.update_user_status(tx, normal_email(email), status):
        raise NotFound(f"user {email}")


def normal_email(email: str) -> str:
    return email.strip().lower()
