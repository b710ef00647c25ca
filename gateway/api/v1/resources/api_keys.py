"""`/v1/api-keys`: the caller's keys, shown once and never again."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts import keys
from gateway.accounts.addresses import parse_network
from gateway.accounts.model import KeySummary, Network
from gateway.accounts.scopes import Scope
from gateway.accounts.terms.model import KeyEdit, Terms, granted, require_within
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Currency, Money, Page, PageQuery, money, page
from gateway.api.v1.operations import operation
from gateway.db.engine import Transaction
from gateway.errors import Invalid, NotFound

Name = Annotated[str, Meta(min_length=1, max_length=255, examples=["shop"])]
Scopes = Annotated[list[Scope], Meta(max_length=len(Scope))]
Networks = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64, examples=["203.0.113.0/24"])]],
    Meta(min_length=1, max_length=100),
]
Time = Annotated[datetime, Meta(tz=True)]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, never with its secret. Null is no bound of its own: all scopes, any address, the limit of the tier.

    `daily_spend_cap` is what it may spend in a day (UTC) and `spent_today` what it has, null without a cap. Until
    `previous_expires_at` the secret before the last rotation works too.
    """

    id: UUID
    name: str
    tier: str
    currency: Currency
    is_active: bool
    scopes: list[Scope] | None
    allowed_addresses: list[str] | None
    daily_spend_cap: Money | None
    spent_today: Money | None
    requests_per_minute: int | None
    refuse_duplicates: bool
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    previous_expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeyWithSecret(ApiKey, frozen=True, kw_only=True):
    """With the key itself, which nothing shows again."""

    key: str


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be issued. What is left open is as the caller's own; it may never be more than that."""

    name: Name
    scopes: Scopes | None = None
    allowed_addresses: Networks | None = None
    daily_spend_cap: Amount | None = None
    expires_at: Time | None = None
    refuse_duplicates: bool = False


class ApiKeyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be set; null takes a bound away, as far as the caller's own key allows."""

    name: Name | UnsetType = UNSET
    scopes: Scopes | UnsetType | None = UNSET
    allowed_addresses: Networks | UnsetType | None = UNSET
    daily_spend_cap: Amount | UnsetType | None = UNSET
    expires_at: Time | UnsetType | None = UNSET
    refuse_duplicates: bool | UnsetType = UNSET


class KeyRotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many seconds the old secret works beside the new one: at most 30 days."""

    overlap_s: Annotated[int, Meta(ge=0, le=keys.OVERLAP_S_MAX)] = 86_400


@operation(
    "POST",
    "/api-keys",
    scope=Scope.KEYS_WRITE,
    tag="api-keys",
    example={"name": "shop", "scopes": ["orders:write", "orders:read"], "daily_spend_cap": "50"},
    returns=ApiKeyWithSecret,
    status=201,
    refuses=(errors.Conflict,),
)
async def create_api_key(call: Call, body: NewApiKey) -> Reply:
    """Issue a key, which the answer alone shows."""

    async def create(tx: Transaction) -> Reply:
        account = call.account
        wanted = Terms(
            name=body.name,
            tier=account.tier,
            scopes=None if body.scopes is None else tuple(body.scopes),
            allowed_addresses=networks_of(body.allowed_addresses),
            daily_spend_cap=None if body.daily_spend_cap is None else Decimal(body.daily_spend_cap),
            expires_at=body.expires_at,
            refuse_duplicates=body.refuse_duplicates,
        )
        terms = granted(account, wanted, account.currency)
        await keys.require_room(tx, account.user_id)
        key_id, key = await keys.issue_key_to(tx, call.parts.keyring, account.user_id, account.currency, terms)
        return Reply(ApiKeyWithSecret(**fields_shown(await _find(call, tx, key_id)), key=key), 201)

    return await once.once(call, create, call.acting())


@operation("GET", "/api-keys", scope=Scope.KEYS_WRITE, tag="api-keys", returns=Page[ApiKey])
async def list_api_keys(call: Call, query: PageQuery) -> Reply:
    """List your keys, the oldest first."""
    async with call.db.connection() as connection:
        found = await keys.list_keys_of(connection, call.account.user_id, query.after, query.limit + 1)
    return Reply(page([ApiKey(**fields_shown(each)) for each in found], query.limit, [each.key_id for each in found]))


@operation("GET", "/api-keys/{key}", scope=Scope.KEYS_WRITE, tag="api-keys", returns=ApiKey)
async def get_api_key(call: Call) -> Reply:
    """Show a key, without its secret."""
    async with call.db.connection() as connection:
        return Reply(ApiKey(**fields_shown(await _find(call, connection, call.uuid("key", "api key")))))


@operation("PATCH", "/api-keys/{key}", scope=Scope.KEYS_WRITE, tag="api-keys", example={"name": "shop"}, returns=ApiKey)
async def change_api_key(call: Call, body: ApiKeyChange) -> Reply:
    """Change what a key may do; in force within a second."""
    async with call.acting().transaction() as tx:
        before = await _find(call, tx, call.uuid("key", "api key"), lock=True)
        call.check_unchanged(ApiKey(**fields_shown(before)))

        def allow(was: Terms, will_be: Terms) -> None:
            for terms in (was, will_be):
                require_within(call.account, terms, before.currency)

        after = await keys.change_key(tx, before.key_id, edit_of(body), allow)
    return Reply(ApiKey(**fields_shown(after)))


@operation(
    "POST",
    "/api-keys/{key}/rotate",
    scope=Scope.KEYS_WRITE,
    tag="api-keys",
    example={"overlap_s": 86400},
    returns=ApiKeyWithSecret,
    refuses=(errors.Conflict,),
)
async def rotate_api_key(call: Call, body: KeyRotation) -> Reply:
    """Take a new secret, which the answer alone shows; the id stays, and the old secret works for the overlap."""

    async def rotate(tx: Transaction) -> Reply:
        found = await _find(call, tx, call.uuid("key", "api key"))
        if found.key_id != call.account.key_id:
            require_within(call.account, terms_of(found), found.currency)
        key = await keys.rotate_key(tx, call.parts.keyring, found.key_id, body.overlap_s)
        return Reply(ApiKeyWithSecret(**fields_shown(await _find(call, tx, found.key_id)), key=key))

    return await once.once(call, rotate, call.acting())


@operation("DELETE", "/api-keys/{key}", scope=Scope.KEYS_WRITE, tag="api-keys", returns=None, status=204)
async def revoke_api_key(call: Call) -> Reply:
    """Revoke a key: within a second nobody can use it any more."""
    async with call.acting().transaction() as tx:
        found = await _find(call, tx, call.uuid("key", "api key"), lock=True)
        call.check_unchanged(ApiKey(**fields_shown(found)))
        await keys.revoke_key(tx, found.key_id)
    return Reply(None, 204)


async def _find(call: Call, tx: Transaction, key_id: UUID, *, lock: bool = False) -> KeySummary:
    found = await keys.find_key(tx, key_id, lock=lock)
    if found is None or found.user_id != call.account.user_id:
        raise NotFound("api key")
    return found


def networks_of(texts: list[str] | None) -> tuple[Network, ...] | None:
    if texts is None:
        return None
    networks: list[Network] = []
    for index, text in enumerate(texts):
        try:
            networks.append(parse_network(text))
        except ValueError as error:
            raise Invalid([(f"$.allowed_addresses[{index}]", str(error))]) from None
    return tuple(networks)


def edit_of(body: ApiKeyChange) -> KeyEdit:
    """What a change sets, in the forms of the accounts."""
    addresses, cap = body.allowed_addresses, body.daily_spend_cap
    return KeyEdit(
        name=body.name,
        scopes=tuple(body.scopes) if isinstance(body.scopes, list) else body.scopes,
        allowed_addresses=networks_of(addresses) if isinstance(addresses, list) else addresses,
        daily_spend_cap=Decimal(cap) if isinstance(cap, str) else cap,
        expires_at=body.expires_at,
        refuse_duplicates=body.refuse_duplicates,
    )


def terms_of(found: KeySummary) -> Terms:
    return Terms(
        name=found.name,
        tier=found.tier,
        scopes=found.scopes,
        allowed_addresses=found.allowed_addresses,
        daily_spend_cap=found.daily_spend_cap,
        requests_per_minute=found.requests_per_minute,
        expires_at=found.expires_at,
        replay_window_s=found.replay_window_s,
        refuse_duplicates=found.refuse_duplicates,
    )


def fields_shown(found: KeySummary) -> dict[str, Any]:
    addresses = found.allowed_addresses
    return {
        "id": found.key_id,
        "name": found.name,
        "tier": found.tier,
        "currency": found.currency,
        "is_active": found.is_active,
        "scopes": None if found.scopes is None else [Scope(each) for each in found.scopes],
        "allowed_addresses": None if addresses is None else [str(each) for each in addresses],
        "daily_spend_cap": None if found.daily_spend_cap is None else money(found.daily_spend_cap),
        "spent_today": None if found.spent_today is None else money(found.spent_today),
        "requests_per_minute": found.requests_per_minute,
        "refuse_duplicates": found.refuse_duplicates,
        "created_at": found.created_at,
        "last_used_at": found.last_used_at,
        "expires_at": found.expires_at,
        "previous_expires_at": found.previous_expires_at,
        "revoked_at": found.revoked_at,
    }


OPERATIONS = [create_api_key, list_api_keys, get_api_key, change_api_key, rotate_api_key, revoke_api_key]
