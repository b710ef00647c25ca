"""Drip-feeds and subscriptions to test with, and an upstream that tells of their runs."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from compat.drafts import Draft
from compat.kinds import Kind
from compat.status import parse_status
from compat.wire import Accepted, UpstreamReport
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.orders.families import store as families
from gateway.orders.families.model import Family
from gateway.orders.model import Order
from gateway.orders.placement import Placement
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from gateway.tracking.families import FamilyFollower
from tests.support.factories import Shop, begin_attempt, read_order

LINK = "https://example.com/p/1"


def drip(*, quantity: int = 1000, runs: int = 3) -> Draft:
    return Draft(LINK, quantity, {}, runs, 60)


def subscription(*, least: int = 100, most: int = 1000, posts: int | None = 3) -> Draft:
    details = {"username": "somebody", "delay": "0", "min": str(least), "max": str(most)}
    return Draft("somebody", most, details, posts, least=least)


async def place(db: Database, shop: Shop, draft: Draft, *, native: bool = False, kind: Kind = Kind.DEFAULT) -> Order:
    service = msgspec.structs.replace(shop.service, dripfeed=native, kind=kind)
    placement = Placement(db)
    number = await placement.place(shop.account, service, draft)
    await placement.close()
    return await read_order(db, number)


async def accept(db: Database, shop: Shop, order: Order, upstream_id: str) -> None:
    """The order as its upstream took it."""
    await record(db, await begin_attempt(db, shop, order), Accepted(upstream_id), timedelta())


async def family_of(db: Database, order: Order) -> Family:
    async with db.connection() as connection:
        return (await families.load(connection, [order.id]))[order.id]


async def children_of(db: Database, order: Order) -> list[Order]:
    async with db.connection() as connection:
        rows = (await families.children_of(connection, [order.id])).get(order.id, [])
    return [await read_order(db, number) for _, number, _ in rows]


async def report_on(db: Database, order: Order, word: str, remains: int | None = None) -> None:
    """Settle what the upstream says of one order."""
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, Reported(word, parse_status(word), remains))])


def said(word: str, **more: object) -> UpstreamReport:
    """A report of an upstream with that word."""
    return msgspec.structs.replace(UpstreamReport(word=word, status=parse_status(word)), **more)


async def poll(
    db: Database, shop: Shop, parent: Order, report: UpstreamReport, runs: Mapping[str, UpstreamReport]
) -> None:
    """One poll of a parent whose upstream says `report` of it and `runs` of its runs, settled."""

    async def ask(_provider_id: UUID, ids: list[str]) -> dict[str, UpstreamReport]:
        return {order: runs[order] for order in ids if order in runs}

    changes = await FamilyFollower(db, ask).changes(shop.provider_id, parent.id, report)
    async with db.transaction() as tx:
        await settle(tx, changes)


async def pass_time(db: Database, order: Order) -> None:
    """As if the next run of a drip-feed were due."""
    async with db.transaction() as tx:
        await tx.execute("UPDATE order_parents SET next_run_at = now() WHERE order_id = $1", order.id)


async def money_of_tree(db: Database, order: Order) -> dict[str, Decimal]:
    """What was booked for an order and its runs, by type."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT type, sum(amount) AS amount FROM ledger WHERE reference_id IN "
            "(SELECT id FROM orders WHERE id = $1 OR parent_id = $1) GROUP BY type",
            order.id,
        )
    return {row["type"]: row["amount"].normalize() for row in rows}
