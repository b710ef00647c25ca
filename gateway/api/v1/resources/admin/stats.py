"""`/v1/admin/stats` and `/v1/admin/margin`: the gateway at a glance, and what it earned."""

from datetime import date, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Currency, Money, money
from gateway.api.v1.operations import operation
from gateway.clock import utc_now
from gateway.orders.margin import model as margins
from gateway.orders.margin import store as margin_store
from gateway.orders.margin.model import By, Margin
from gateway.orders.stats import store
from gateway.orders.stats.store import Stats


class StatsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over how many of the last hours."""

    hours: Annotated[int, Meta(ge=1, le=168)] = 24


class MarginRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was earned, of one service, provider or day where that was asked for.

    `cost` leaves out the `cost_unknown` orders whose cost nobody knows; `losses` are those written off.
    """

    of: str | None
    name: str | None
    currency: Currency
    orders: int
    turnover: Money
    cost: Money
    margin: Money
    margin_percent: str | None
    cost_unknown: int
    losses: Money


class MarginReport(msgspec.Struct, frozen=True):
    """A row a currency besides."""

    data: list[MarginRow]


class MarginQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days of UTC, both included; the last thirty where none are given."""

    by: By | None = None
    since: date | None = None
    until: date | None = None


@operation("GET", "/admin/stats", scope=Scope.ADMIN, tag="admin: stats", returns=Stats)
async def admin_get_stats(call: Call, query: StatsQuery) -> Reply:
    """Show what was placed in the last hours, and what waits."""
    async with call.db.connection() as connection:
        return Reply(await store.look(connection, utc_now() - timedelta(hours=query.hours)))


@operation(
    "GET", "/admin/margin", scope=Scope.ADMIN, tag="admin: stats", returns=MarginReport, refuses=(errors.Conflict,)
)
async def admin_get_margin(call: Call, query: MarginQuery) -> Reply:
    """Show turnover, cost and margin of orders that ended, by service, provider or day."""
    until = query.until or utc_now().date()
    since = query.since or until - timedelta(days=29)
    margins.check_days(since, until)
    async with call.db.connection() as connection:
        rows = await margin_store.report(connection, query.by, since, until, margins.ROWS_MAX)
    return Reply(MarginReport([_shown(row) for row in rows]))


def _shown(row: Margin) -> MarginRow:
    return MarginRow(
        of=row.of,
        name=row.name,
        currency=row.currency,
        orders=row.orders,
        turnover=money(row.turnover),
        cost=money(row.cost),
        margin=money(row.margin),
        margin_percent=None if row.margin_percent is None else f"{row.margin_percent:f}",
        cost_unknown=row.cost_unknown,
        losses=money(row.losses),
    )


OPERATIONS = [admin_get_stats, admin_get_margin]
