"""`/v1/admin/users`: who may hold keys and money, and in which role."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts.model import Role, UserStatus
from gateway.accounts.people import store
from gateway.accounts.people.changing import change_user
from gateway.accounts.people.model import User, UserEdit, Wanted
from gateway.accounts.scopes import Scope
from gateway.accounts.users import add_user, hash_password
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Page, PageQuery, page
from gateway.api.v1.operations import operation
from gateway.db.engine import Transaction
from gateway.errors import NotFound

_PART = r"[^@\s\x00-\x20\x7f-\xa0\ufeff]"
"""No white space, by whichever book: regular expressions of Python and of JavaScript differ in what that is."""
Email = Annotated[
    str, Meta(pattern=rf"^{_PART}{{1,64}}@{_PART}{{1,189}}$(?!\n)", max_length=254, examples=["ann@example.com"])
]
Password = Annotated[str, Meta(min_length=12, max_length=200)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]


class UsersQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which users; `email` is a part of the address."""

    role: Role | None = None
    status: UserStatus | None = None
    email: Annotated[str, Meta(min_length=1, max_length=254)] | None = None


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to be added; without a password he has none, and signs in nowhere."""

    email: Email
    role: Role
    password: Password | None = None


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be set; `reason` goes to the audit log."""

    role: Role | UnsetType = UNSET
    status: UserStatus | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    reason: Reason | None = None


@operation("GET", "/admin/users", scope=Scope.ADMIN, tag="admin: users", returns=Page[User])
async def admin_list_users(call: Call, query: UsersQuery) -> Reply:
    """List users, in the order in which they came."""
    wanted = Wanted(role=query.role, status=query.status, email=query.email, after=query.after, most=query.limit + 1)
    async with call.db.connection() as connection:
        found = await store.list_users(connection, wanted)
    return Reply(page(found, query.limit, [each.id for each in found]))


@operation(
    "POST",
    "/admin/users",
    scope=Scope.ADMIN,
    tag="admin: users",
    example={"email": "ann@example.com", "role": "reseller"},
    returns=User,
    status=201,
    refuses=(errors.Conflict,),
)
async def admin_create_user(call: Call, body: NewUser) -> Reply:
    """Add a user."""
    password_hash = await hash_password(body.password)

    async def create(tx: Transaction) -> Reply:
        user_id = await add_user(tx, body.email, body.role, password_hash)
        return Reply(await _find(tx, user_id), 201)

    return await once.once(call, create, call.acting())


@operation("GET", "/admin/users/{user}", scope=Scope.ADMIN, tag="admin: users", returns=User)
async def admin_get_user(call: Call) -> Reply:
    """Show a user."""
    async with call.db.connection() as connection:
        return Reply(await _find(connection, call.uuid("user", "user")))


@operation(
    "PATCH",
    "/admin/users/{user}",
    scope=Scope.ADMIN,
    tag="admin: users",
    example={"status": "suspended", "reason": "chargeback"},
    returns=User,
    refuses=(errors.Conflict,),
)
async def admin_change_user(call: Call, body: UserChange) -> Reply:
    """Change a user's role, status or password.

    A suspension is in force for all his keys within a second. The last active administrator stays one.
    """
    password_hash = UNSET if isinstance(body.password, UnsetType) else await hash_password(body.password)
    edit = UserEdit(role=body.role, status=body.status, password_hash=password_hash)
    async with call.acting(body.reason).transaction() as tx:
        before, after = await change_user(tx, call.uuid("user", "user"), edit)
        call.check_unchanged(before)
    return Reply(after)


async def _find(tx: Transaction, user_id: UUID) -> User:
    found = await store.find_user(tx, user_id)
    if found is None:
        raise NotFound("user")
    return found


OPERATIONS = [admin_list_users, admin_create_user, admin_get_user, admin_change_user]
