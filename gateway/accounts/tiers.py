"""Tiers come, change their limit and go."""

from gateway.accounts.model import Tier
from gateway.accounts.terms import store
from gateway.db.engine import Transaction
from gateway.errors import Conflict, NotFound

SET_BY_SETTINGS = ("basic", "pro", "enterprise")
"""They are always there; without a limit of their own they have that of the setting."""
NAME_CHARS_MAX = 50


async def list_tiers(connection: Transaction) -> list[Tier]:
    """All of them by name, with how many keys in force have each."""
    return await store.list_tiers(connection)


async def find_tier(connection: Transaction, name: str, *, lock: bool = False) -> Tier | None:
    """One of them, in a transaction for no other to change until it ends."""
    return await store.find_tier(connection, name, lock=lock)


async def set_tier(tx: Transaction, name: str, requests_per_minute: int | None) -> None:
    """Add a tier or set its limit, in force within a second; None goes back to the setting of the same name.

    Raises:
        Conflict: no name, no limit, or none where no setting has one.
    """
    if len(name) > NAME_CHARS_MAX:
        raise Conflict(f"the name of a tier has at most {NAME_CHARS_MAX} characters")
    await store.upsert_tier(tx, name, requests_per_minute)


async def remove_tier(tx: Transaction, name: str) -> None:
    """Raises NotFound where there is none, Conflict where keys have it or a setting is its limit."""
    if name in SET_BY_SETTINGS:
        raise Conflict(f"the tier {name} stays: a setting is its limit")
    if not await store.delete_tier(tx, name):
        raise NotFound(f"tier {name}")
