"""`/v1/admin/providers/{provider}`: our balance there, deposits, each day reconciled, and how well it delivers."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Currency, Money, Number, Page, PageQuery, Reference, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.admin.providers import find_provider
from gateway.catalog.quality.model import Summary
from gateway.catalog.quality.reading import quality_of_provider
from gateway.clock import utc_now
from gateway.db.engine import Transaction
from gateway.errors import Invalid, NotFound
from gateway.providers.money import store
from gateway.providers.money.days import store as day_store
from gateway.providers.money.days.reconciling import enter_deposit
from gateway.providers.money.model import REASONS
from gateway.providers.money.model import Charge as Charged
from gateway.providers.money.model import Day as Reckoned

DAYS_SHOWN = 31
DAYS_MAX = 366
CHARGES_OF_DAYS = 7
_OLDEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Beyond them a time has no UTC of its own in some zone, or means nothing."""


class ProviderBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Our money at a provider, in its `currency`, as it said at `balance_at`.

    `daily_spend` is the mean of the last days, `days_left` how long the balance lasts at it, both of expected costs.
    `routes_paused` rest because the balance is used up.
    """

    currency: Currency
    balance: Money | None
    balance_at: datetime | None
    low_balance: Money | None
    daily_spend: Money
    days_left: Money | None
    routes_paused: int


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid in there, below zero taken out, in the provider's currency; `at` is when."""

    id: UUID
    amount: Money
    reference: str
    at: datetime


class NewDeposit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was paid in there, in the provider's currency; below zero it was taken out. Now where no `at` is given."""

    amount: Money
    reference: Reference
    at: Annotated[datetime, Meta(tz=True)] | None = None


class EnteredDeposit(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit as it stands; `entered` is false where the same one was there."""

    amount: Money
    reference: str
    at: datetime
    entered: bool


class SinceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first day (UTC), at most 366 days back."""

    since: date | None = None


class ChargesQuery(SinceQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first day (UTC), at most 366 days back, and the worst how many."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A UTC day: difference = closing - (opening + deposits - charged + returned). `missing` says why there is none."""

    day: date
    opening: Money | None
    deposits: Money | None
    charged: Money | None
    returned: Money | None
    closing: Money | None
    difference: Money | None
    missing: str | None


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """The newest day first, in the provider's currency; `reasons` are what a difference may come from."""

    currency: Currency
    data: list[Day]
    reasons: list[str]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """An ended order that cost more than its delivered part should, in the provider's currency."""

    order: Number
    upstream_id: str
    status: str
    completed_at: datetime
    expected: Money
    charged: Money
    difference: Money


class Charges(msgspec.Struct, frozen=True, kw_only=True):
    """The worst first."""

    currency: Currency
    data: list[Charge]


class ProviderQualityQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of how many UTC days, today among them."""

    days: Literal[7, 30] = 30


class ProviderQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How the orders at a provider ended, over all its routes; null where fewer than ten did."""

    days: int
    summary: Summary | None


_OF = "/admin/providers/{provider}"


@operation("GET", f"{_OF}/balance", scope=Scope.ADMIN, tag="admin: providers", returns=ProviderBalance)
async def admin_get_provider_balance(call: Call) -> Reply:
    """Tell our balance at a provider, as it was last asked for, and for how many days it lasts."""
    async with call.db.connection() as connection:
        account = await store.find_account(connection, (await find_provider(call, connection)).id)
    if account is None:
        raise NotFound("provider")
    return Reply(
        ProviderBalance(
            currency=account.currency,
            balance=_money(account.balance),
            balance_at=account.balance_at,
            low_balance=_money(account.low_balance),
            daily_spend=money(account.daily_spend),
            days_left=_money(account.days_left),
            routes_paused=account.routes_paused,
        )
    )


@operation("GET", f"{_OF}/deposits", scope=Scope.ADMIN, tag="admin: providers", returns=Page[Deposit])
async def admin_list_provider_deposits(call: Call, query: PageQuery) -> Reply:
    """List what was paid in at a provider, the last entered first."""
    async with call.db.connection() as connection:
        provider = await find_provider(call, connection)
        found = await store.list_deposits(connection, provider.id, query.after, query.limit + 1)
    rows = [Deposit(id=each.id, amount=money(each.amount), reference=each.reference, at=each.at) for each in found]
    return Reply(page(rows, query.limit, [each.id for each in found]))


@operation(
    "POST",
    f"{_OF}/deposits",
    scope=Scope.ADMIN,
    tag="admin: providers",
    example={"amount": "500.00", "reference": "invoice 2026-117"},
    returns=EnteredDeposit,
    status=201,
    refuses=(errors.Conflict,),
)
async def admin_enter_provider_deposit(call: Call, body: NewDeposit) -> Reply:
    """Enter what was paid in at a provider, once a reference; the days round it are reckoned anew."""
    if body.at is not None and not _OLDEST <= body.at.replace(tzinfo=UTC) < _LATEST:
        raise Invalid([("$.at", "it is too long ago, or too far ahead")])

    async def enter(tx: Transaction) -> Reply:
        provider = await find_provider(call, tx)
        done = await enter_deposit(tx, provider.id, Decimal(body.amount), body.reference, body.at)
        shown = EnteredDeposit(amount=money(done.amount), reference=done.reference, at=done.at, entered=done.entered)
        return Reply(shown, 201)

    return await once.once(call, enter, call.acting())


@operation("GET", f"{_OF}/days", scope=Scope.ADMIN, tag="admin: providers", returns=Days)
async def admin_list_provider_days(call: Call, query: SinceQuery) -> Reply:
    """Show each day's charges against what the balance did, the newest first; the last 31 where no day is named."""
    first = _first(query.since, DAYS_SHOWN)
    async with call.db.connection() as connection:
        provider = await find_provider(call, connection)
        found = await day_store.list_days(connection, provider.id, first, DAYS_MAX)
    return Reply(Days(currency=provider.currency, data=[_day(each) for each in found], reasons=list(REASONS)))


@operation("GET", f"{_OF}/charges", scope=Scope.ADMIN, tag="admin: providers", returns=Charges)
async def admin_list_provider_charges(call: Call, query: ChargesQuery) -> Reply:
    """List ended orders that cost more than expected, of the last seven days where no day is named."""
    since = datetime.combine(_first(query.since, CHARGES_OF_DAYS), time(), UTC)
    async with call.db.connection() as connection:
        provider = await find_provider(call, connection)
        found = await day_store.list_overcharges(connection, provider.id, since, query.limit)
    return Reply(Charges(currency=provider.currency, data=[_charge(each) for each in found]))


@operation("GET", f"{_OF}/quality", scope=Scope.ADMIN, tag="admin: providers", returns=ProviderQuality)
async def admin_get_provider_quality(call: Call, query: ProviderQualityQuery) -> Reply:
    """Tell how the orders at a provider ended, and how long they took, in seconds."""
    async with call.db.connection() as connection:
        provider = await find_provider(call, connection)
        summary = await quality_of_provider(connection, provider.id, query.days)
    return Reply(ProviderQuality(days=query.days, summary=summary))


def _first(given: date | None, back: int) -> date:
    today = utc_now().date()
    if given is not None and given < today - timedelta(days=DAYS_MAX):
        raise Invalid([("query.since", f"it is more than {DAYS_MAX} days ago")])
    return given or today - timedelta(days=back)


def _money(amount: Decimal | None) -> Money | None:
    return None if amount is None else money(amount)


def _day(day: Reckoned) -> Day:
    return Day(
        day=day.day,
        opening=_money(day.opening),
        deposits=_money(day.deposits),
        charged=_money(day.charged),
        returned=_money(day.returned),
        closing=_money(day.closing),
        difference=_money(day.difference),
        missing=day.missing,
    )


def _charge(charge: Charged) -> Charge:
    return Charge(
        order=charge.number,
        upstream_id=charge.upstream_id,
        status=charge.status,
        completed_at=charge.completed_at,
        expected=money(charge.expected),
        charged=money(charge.charged),
        difference=money(charge.difference),
    )


OPERATIONS = [
    admin_get_provider_balance, admin_list_provider_deposits, admin_enter_provider_deposit, admin_list_provider_days,
    admin_list_provider_charges, admin_get_provider_quality,
]  # fmt: skip
