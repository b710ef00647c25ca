"""Operators change users: role, status, password."""

from uuid import UUID

from msgspec import UNSET

from gateway.accounts.people import store
from gateway.accounts.people.model import User, UserEdit
from gateway.db.engine import Transaction
from gateway.errors import Conflict, NotFound


async def change_user(tx: Transaction, user_id: UUID, changes: UserEdit) -> tuple[User, User]:
    """The user before and after; a status or role is in force for all his keys within a second.

    Raises:
        NotFound: no such user.
        Conflict: he is the last active administrator, and would be none any more.
    """
    leaves_office = changes.role not in (UNSET, "admin") or changes.status not in (UNSET, "active")
    others = await store.lock_other_administrators(tx, user_id) if leaves_office else 0
    before = await store.find_user(tx, user_id, lock=True)
    if before is None:
        raise NotFound("user")
    if leaves_office and not others and before.role == "admin" and before.status == "active":
        raise Conflict("he is the last active administrator")
    await store.update_user(tx, user_id, changes)
    after = await store.find_user(tx, user_id)
    assert after is not None, "a user that is locked is there"
    return before, after
