"""`/v1/admin/providers`: the upstream panels that orders are bought from, their terms and pauses."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Currency, Money, Page, PageQuery, money, page
from gateway.api.v1.operations import operation
from gateway.catalog.editing import providers as editing
from gateway.catalog.editing import store
from gateway.catalog.editing.lists import store as lists
from gateway.catalog.editing.lists.store import ProviderStanding
from gateway.catalog.editing.model import ProviderEdit, ProviderTerms
from gateway.db.engine import Transaction
from gateway.dispatch.unknowns import pausing
from gateway.errors import NotFound
from gateway.providers import actions
from gateway.providers import store as provider_store
from gateway.providers.model import rate_at
from gateway.providers.store import SealedProvider

PAUSE_S_MAX = 31_536_000

Percent = Annotated[str, Meta(pattern=r"^-?[0-9]{1,5}(\.[0-9]{1,4})?$(?!\n)", examples=["12.5"])]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Url = Annotated[str, Meta(min_length=1, max_length=2048, examples=["https://panel.example/api/v2"])]
Secret = Annotated[str, Meta(min_length=1, max_length=1024)]
Dialect = Annotated[str, Meta(min_length=1, max_length=50, examples=["standard"])]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
InFlight = Annotated[int, Meta(ge=1, le=10_000)]
Seconds = Annotated[int, Meta(ge=1, le=PAUSE_S_MAX)]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A panel, never with our key there. `balance` and `low_balance` are in its own `currency`, other amounts in ours.

    `exchange_rate` is what one unit of its currency is in ours. Of its `routes` so many are `listed`, and the cost of
    so many moved and waits (`quarantined`). `sync_wanted` until a sync that was asked for has ended.
    """

    id: UUID
    name: str
    url: str
    currency: Currency
    dialect: str
    is_active: bool
    priority: int
    exchange_rate: Money
    markup_percent: Money
    markup_fixed: Money
    price_step: Money | None
    margin_floor_percent: Money | None
    price_guard_percent: Money
    sends_per_second: Money | None
    max_in_flight: int | None
    low_balance: Money | None
    hold_new: bool
    probes: bool
    honours_extension: bool
    paused_until: datetime | None
    paused_reason: str | None
    balance: Money | None
    balance_at: datetime | None
    synced_at: datetime | None
    sync_tried_at: datetime | None
    sync_wanted: bool
    sync_error: str | None
    routes: int
    listed: int
    quarantined: int


class NewProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A panel to buy from. `key` is ours there: it is sealed, and nothing shows it again.

    Without `currency` its prices are in ours; in another one they need an `exchange_rate`.
    """

    name: Name
    url: Url
    key: Secret
    markup_percent: Percent = "0"
    currency: Currency | None = None
    exchange_rate: Amount | None = None
    priority: Priority = 0
    dialect: Dialect = "standard"


class ProviderChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be set; null takes a bound away. Amounts are in our currency but for `low_balance`."""

    url: Url | UnsetType = UNSET
    key: Secret | UnsetType = UNSET
    dialect: Dialect | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    exchange_rate: Amount | UnsetType = UNSET
    markup_percent: Percent | UnsetType = UNSET
    markup_fixed: Money | UnsetType = UNSET
    price_step: Amount | UnsetType | None = UNSET
    margin_floor_percent: Percent | UnsetType | None = UNSET
    price_guard_percent: Percent | UnsetType = UNSET
    sends_per_second: Percent | UnsetType | None = UNSET
    max_in_flight: InFlight | UnsetType | None = UNSET
    low_balance: Amount | UnsetType | None = UNSET
    hold_new: bool | UnsetType = UNSET
    probes: bool | UnsetType = UNSET


class Pause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many seconds it gets no orders, and why; shown where orders wait for it."""

    seconds: Seconds
    reason: Reason = "paused by an operator"


@operation("GET", "/admin/providers", scope=Scope.ADMIN, tag="admin: providers", returns=Page[Provider])
async def admin_list_providers(call: Call, query: PageQuery) -> Reply:
    """List the providers, in the order in which they were added."""
    async with call.db.snapshot() as tx:
        terms = await lists.list_providers(tx, query.after, query.limit + 1)
        standings = await lists.standings_of(tx, list(terms))
    rows = [_shown(each, terms[each], standings[each]) for each in terms]
    return Reply(page(rows, query.limit, list(terms)))


@operation(
    "POST",
    "/admin/providers",
    scope=Scope.ADMIN,
    tag="admin: providers",
    example={"name": "first", "url": "https://panel.example/api/v2", "key": "our-key-there", "markup_percent": "25"},
    returns=Provider,
    status=201,
    refuses=(errors.Conflict,),
)
async def admin_add_provider(call: Call, body: NewProvider) -> Reply:
    """Add a provider.

    Nothing is asked of it yet: its services come with a sync. Other terms are changed afterwards.
    """
    own = call.parts.settings.currency
    theirs = body.currency or own
    rate = rate_at(theirs, own, None if body.exchange_rate is None else Decimal(body.exchange_rate))

    async def add(tx: Transaction) -> Reply:
        provider_id = await actions.add_provider(
            *(tx, call.parts.keyring, body.name, body.url, body.key, Decimal(body.markup_percent), body.priority),
            currency=theirs,
            dialect=body.dialect,
            exchange_rate=rate,
        )
        return Reply(await read_provider(tx, provider_id), 201)

    return await once.once(call, add, call.acting())


@operation("GET", "/admin/providers/{provider}", scope=Scope.ADMIN, tag="admin: providers", returns=Provider)
async def admin_get_provider(call: Call) -> Reply:
    """Show a provider: its terms, its last sync and our balance there."""
    async with call.db.snapshot() as tx:
        return Reply(await read_provider(tx, (await find_provider(call, tx)).id))


@operation(
    "PATCH",
    "/admin/providers/{provider}",
    scope=Scope.ADMIN,
    tag="admin: providers",
    example={"markup_percent": "30", "low_balance": "50"},
    returns=Provider,
    refuses=(errors.Conflict,),
)
async def admin_change_provider(call: Call, body: ProviderChange) -> Reply:
    """Change the terms of a provider, its key, or whether it gets orders; prices and the sale follow at once.

    At another address, or with another key, nothing that was sent before is sent again.
    """
    async with call.acting().transaction() as tx:
        await store.lock_catalogue(tx)
        provider_id = (await find_provider(call, tx)).id
        call.check_unchanged(await read_provider(tx, provider_id))
        await editing.set_provider(tx, provider_id, _edit(body))
        if body.key is not UNSET:
            await actions.set_api_key(tx, call.parts.keyring, provider_id, body.key)
        if body.probes is not UNSET:
            await actions.set_probes(tx, provider_id, body.probes)
        return Reply(await read_provider(tx, provider_id))


@operation(
    "POST",
    "/admin/providers/{provider}/pause",
    scope=Scope.ADMIN,
    tag="admin: providers",
    example={"seconds": 3600, "reason": "maintenance there"},
    returns=Provider,
)
async def admin_pause_provider(call: Call, body: Pause) -> Reply:
    """Send a provider no orders for a time; a longer pause under way stays. Orders there are still followed."""

    async def pause(tx: Transaction) -> Reply:
        provider_id = (await find_provider(call, tx)).id
        await actions.pause(tx, provider_id, body.reason, body.seconds)
        return Reply(await read_provider(tx, provider_id))

    return await once.once(call, pause, call.acting(body.reason))


@operation("POST", "/admin/providers/{provider}/resume", scope=Scope.ADMIN, tag="admin: providers", returns=Provider)
async def admin_resume_provider(call: Call) -> Reply:
    """End a provider's pause; its unknown orders of now will not pause it again."""

    async def resume(tx: Transaction) -> Reply:
        provider_id = (await find_provider(call, tx)).id
        await pausing.resume_in(tx, provider_id, call.account.key_name)
        return Reply(await read_provider(tx, provider_id))

    return await once.once(call, resume, call.acting())


async def find_provider(call: Call, tx: Transaction) -> SealedProvider:
    """The provider that the path names; raises NotFound where there is none."""
    found = await provider_store.find(tx, call.uuid("provider", "provider"))
    if found is None:
        raise NotFound("provider")
    return found


async def read_provider(tx: Transaction, provider_id: UUID) -> Provider:
    """As the API shows it."""
    return _shown(provider_id, await store.get_provider(tx, provider_id), await lists.get_standing(tx, provider_id))


_RENAMED = {"url": "api_endpoint"}
_DECIMALS = frozenset(
    (
        "exchange_rate",
        "markup_percent",
        "markup_fixed",
        "price_step",
        "margin_floor_percent",
        "price_guard_percent",
        "sends_per_second",
        "low_balance",
        "balance",
    )
)


def _edit(body: ProviderChange) -> ProviderEdit:
    changes: dict[str, Any] = {}
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if value is not UNSET and name not in ("key", "probes"):
            changes[_RENAMED.get(name, name)] = Decimal(value) if name in _DECIMALS and value is not None else value
    return ProviderEdit(**changes)


def _shown(provider_id: UUID, terms: ProviderTerms, standing: ProviderStanding) -> Provider:
    values = msgspec.structs.asdict(terms) | msgspec.structs.asdict(standing)
    values |= {name: money(values[name]) for name in _DECIMALS if values[name] is not None}
    values |= {"id": provider_id, "url": values.pop("api_endpoint"), "sync_wanted": standing.sync_wanted is not None}
    return Provider(**values)


OPERATIONS = [
    admin_list_providers, admin_add_provider, admin_get_provider, admin_change_provider, admin_pause_provider,
    admin_resume_provider,
]  # fmt: skip
