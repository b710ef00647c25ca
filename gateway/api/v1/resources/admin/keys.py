"""`/v1/admin/keys`: any user's keys, with the terms that operators alone may give."""

from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts import keys
from gateway.accounts.model import KeySummary
from gateway.accounts.people import store as people
from gateway.accounts.scopes import Scope
from gateway.accounts.terms.model import Terms
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Currency, Page, PageQuery, TierName, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.api_keys import (
    ApiKey,
    ApiKeyChange,
    KeyRotation,
    Name,
    Networks,
    Scopes,
    Time,
    edit_of,
    fields_shown,
    networks_of,
)
from gateway.db.engine import Transaction
from gateway.errors import NotFound

Limit = Annotated[int, Meta(ge=1, le=1_000_000)]


class AdminKey(ApiKey, frozen=True, kw_only=True):
    """A key and whose it is."""

    user_id: UUID
    replay_window_s: int | None


class AdminKeyWithSecret(AdminKey, frozen=True, kw_only=True):
    """With the key itself, which nothing shows again."""

    key: str


class AdminKeysQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose keys."""

    user: UUID


class NewAdminKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be issued to a user. Null is no bound of its own; `requests_per_minute` goes before the tier's."""

    user: UUID
    name: Name
    tier: TierName = "basic"
    currency: Currency = "USD"
    scopes: Scopes | None = None
    allowed_addresses: Networks | None = None
    daily_spend_cap: Amount | None = None
    requests_per_minute: Limit | None = None
    expires_at: Time | None = None
    replay_window_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    refuse_duplicates: bool = False


class AdminKeyChange(ApiKeyChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be set; null takes a bound away."""

    tier: TierName | UnsetType = UNSET
    requests_per_minute: Limit | UnsetType | None = UNSET
    replay_window_s: Annotated[int, Meta(ge=1, le=86_400)] | UnsetType | None = UNSET


@operation(
    "POST",
    "/admin/keys",
    scope=Scope.ADMIN,
    tag="admin: keys",
    example={"user": "01932c07-9f2b-7cc0-b2d8-3a0f6f2f1a55", "name": "shop", "tier": "pro"},
    returns=AdminKeyWithSecret,
    status=201,
    refuses=(errors.Conflict, errors.NotFound),
)
async def admin_create_key(call: Call, body: NewAdminKey) -> Reply:
    """Issue a key to a user, which the answer alone shows."""

    async def create(tx: Transaction) -> Reply:
        if await people.find_user(tx, body.user) is None:
            raise NotFound("user")
        terms = Terms(
            name=body.name,
            tier=body.tier,
            scopes=None if body.scopes is None else tuple(body.scopes),
            allowed_addresses=networks_of(body.allowed_addresses),
            daily_spend_cap=None if body.daily_spend_cap is None else Decimal(body.daily_spend_cap),
            requests_per_minute=body.requests_per_minute,
            expires_at=body.expires_at,
            replay_window_s=body.replay_window_s,
            refuse_duplicates=body.refuse_duplicates,
        )
        key_id, key = await keys.issue_key_to(tx, call.parts.keyring, body.user, body.currency, terms)
        return Reply(AdminKeyWithSecret(**_fields(await _find(tx, key_id)), key=key), 201)

    return await once.once(call, create, call.acting())


@operation("GET", "/admin/keys", scope=Scope.ADMIN, tag="admin: keys", returns=Page[AdminKey])
async def admin_list_keys(call: Call, query: AdminKeysQuery) -> Reply:
    """List a user's keys, the oldest first."""
    async with call.db.connection() as connection:
        found = await keys.list_keys_of(connection, query.user, query.after, query.limit + 1)
    return Reply(page([AdminKey(**_fields(each)) for each in found], query.limit, [each.key_id for each in found]))


@operation("GET", "/admin/keys/{key}", scope=Scope.ADMIN, tag="admin: keys", returns=AdminKey)
async def admin_get_key(call: Call) -> Reply:
    """Show any key, without its secret."""
    async with call.db.connection() as connection:
        return Reply(AdminKey(**_fields(await _find(connection, call.uuid("key", "api key")))))


@operation(
    "PATCH",
    "/admin/keys/{key}",
    scope=Scope.ADMIN,
    tag="admin: keys",
    example={"tier": "enterprise", "requests_per_minute": 1200},
    returns=AdminKey,
    refuses=(errors.Conflict,),
)
async def admin_change_key(call: Call, body: AdminKeyChange) -> Reply:
    """Change what a key may do and how often; in force within a second."""
    edit = msgspec.structs.replace(
        edit_of(body),
        tier=body.tier,
        requests_per_minute=body.requests_per_minute,
        replay_window_s=body.replay_window_s,
    )
    async with call.acting().transaction() as tx:
        before = await _find(tx, call.uuid("key", "api key"), lock=True)
        call.check_unchanged(AdminKey(**_fields(before)))
        after = await keys.change_key(tx, before.key_id, edit)
    return Reply(AdminKey(**_fields(after)))


@operation(
    "POST",
    "/admin/keys/{key}/rotate",
    scope=Scope.ADMIN,
    tag="admin: keys",
    example={"overlap_s": 86400},
    returns=AdminKeyWithSecret,
    refuses=(errors.Conflict,),
)
async def admin_rotate_key(call: Call, body: KeyRotation) -> Reply:
    """Give a key a new secret, which the answer alone shows; the old one works for the overlap."""

    async def rotate(tx: Transaction) -> Reply:
        found = await _find(tx, call.uuid("key", "api key"))
        key = await keys.rotate_key(tx, call.parts.keyring, found.key_id, body.overlap_s)
        return Reply(AdminKeyWithSecret(**_fields(await _find(tx, found.key_id)), key=key))

    return await once.once(call, rotate, call.acting())


@operation("DELETE", "/admin/keys/{key}", scope=Scope.ADMIN, tag="admin: keys", returns=None, status=204)
async def admin_revoke_key(call: Call) -> Reply:
    """Revoke any key: within a second nobody can use it any more."""
    async with call.acting().transaction() as tx:
        found = await _find(tx, call.uuid("key", "api key"), lock=True)
        call.check_unchanged(AdminKey(**_fields(found)))
        await keys.revoke_key(tx, found.key_id)
    return Reply(None, 204)


async def _find(tx: Transaction, key_id: UUID, *, lock: bool = False) -> KeySummary:
    found = await keys.find_key(tx, key_id, lock=lock)
    if found is None:
        raise NotFound("api key")
    return found


def _fields(found: KeySummary) -> dict[str, Any]:
    return fields_shown(found) | {"user_id": found.user_id, "replay_window_s": found.replay_window_s}


OPERATIONS = [
    admin_create_key, admin_list_keys, admin_get_key, admin_change_key, admin_rotate_key, admin_revoke_key,
]  # fmt: skip
