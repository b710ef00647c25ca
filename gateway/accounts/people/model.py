"""A user as operators see him, and what they may set."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from gateway.accounts.model import Role, UserStatus


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user; of a password only whether there is one."""

    id: UUID
    email: str
    role: Role
    status: UserStatus
    has_password: bool
    created_at: datetime
    updated_at: datetime


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which users, None for whatever; `email` is a part of the address, `after` the id behind which to go on."""

    role: str | None = None
    status: str | None = None
    email: str | None = None
    after: UUID | None = None
    most: int = 25


class UserEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set; the rest stays."""

    role: Role | UnsetType = UNSET
    status: UserStatus | UnsetType = UNSET
    password_hash: str | UnsetType = UNSET
