"""`/v1/admin/orders`: any user's orders, their stories, and the operator's word on them."""

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Money, Note, Page, Reference, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.orders import Order, OrdersQuery, fields_shown, find_order
from gateway.db.engine import Transaction
from gateway.dispatch.explaining.story import Story, explain_order
from gateway.dispatch.resolve import NotPlaced, PlacedAs, Refund, resolve_order
from gateway.errors import Invalid
from gateway.orders.lists import store as lists
from gateway.orders.lists.model import Listed, Wanted
from gateway.orders.model import Dispatch
from gateway.orders.refunds import refund_order


class AdminOrder(Order, frozen=True, kw_only=True):
    """An order as operators see it: `dispatch` is where it stands with its provider.

    `upstream_charge` is what the provider took, in its own currency.
    """

    user_id: UUID
    dispatch: Dispatch
    provider_id: UUID | None
    external_order_id: str | None
    upstream_status: str | None
    upstream_charge: Money | None


class AdminOrdersQuery(OrdersQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders, of all users."""

    user: UUID | None = None
    dispatch: Dispatch | None = None
    provider: UUID | None = None


class OrderRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much to give back, null for all that is still charged; the same `reference` is booked once an order."""

    amount: Amount | None
    reference: Reference
    reason: Note | None = None


class Resolution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an order that was sent and never answered.

    `placed_as`: it is at the provider under `upstream_id`. `not_placed`: it is certain that it is
    not, and it is queued again. `refund`: nobody knows, the hold is released, and it is never sent.
    """

    decision: Literal["placed_as", "not_placed", "refund"]
    upstream_id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]{1,64}$(?!\n)")] | None = None
    reason: Note | None = None


@operation("GET", "/admin/orders", scope=Scope.ADMIN, tag="admin: orders", returns=Page[AdminOrder])
async def admin_list_orders(call: Call, query: AdminOrdersQuery) -> Reply:
    """List the orders of all users, the newest first."""
    wanted = Wanted(
        user_id=query.user,
        status=query.status,
        dispatch=query.dispatch,
        provider_id=query.provider,
        service=query.service,
        link=query.link,
        since=query.since,
        until=query.until,
        before=query.after,
        most=query.limit + 1,
    )
    async with call.db.connection() as connection:
        found = await lists.list_orders(connection, wanted)
    return Reply(page([_shown(each) for each in found], query.limit, [each.order.id for each in found]))


@operation("GET", "/admin/orders/{order}", scope=Scope.ADMIN, tag="admin: orders", returns=AdminOrder)
async def admin_get_order(call: Call) -> Reply:
    """Show any user's order, by its id or its number."""
    async with call.db.connection() as connection:
        return Reply(_shown(await find_order(call, connection, None)))


@operation("GET", "/admin/orders/{order}/story", scope=Scope.ADMIN, tag="admin: orders", returns=Story)
async def admin_explain_order(call: Call) -> Reply:
    """Tell which routes were weighed for an order, what came of each send, and what it waits for."""
    async with call.db.connection() as connection:
        found = await find_order(call, connection, None)
    return Reply(await explain_order(call.db, found.order.number))


@operation(
    "POST",
    "/admin/orders/{order}/resolve",
    scope=Scope.ADMIN,
    tag="admin: orders",
    example={"decision": "not_placed", "reason": "the panel has no such order"},
    returns=AdminOrder,
    refuses=(errors.Conflict,),
)
async def admin_resolve_order(call: Call, body: Resolution) -> Reply:
    """Say what became of an order whose sending has an unknown outcome."""
    decision = _decision(body)

    async def resolve(tx: Transaction) -> Reply:
        found = await find_order(call, tx, None)
        await resolve_order(tx, found.order, decision, call.account.key_name)
        return Reply(_shown(await find_order(call, tx, None)))

    return await once.once(call, resolve, call.acting(body.reason))


@operation(
    "POST",
    "/admin/orders/{order}/refund",
    scope=Scope.ADMIN,
    tag="admin: orders",
    example={"amount": None, "reference": "complaint 8"},
    returns=AdminOrder,
    refuses=(errors.Conflict, errors.ReferenceTaken, errors.AlreadyBooked),
)
async def admin_refund_order(call: Call, body: OrderRefund) -> Reply:
    """Give back what an order was charged, or some of it; never more than is still charged."""

    async def refund(tx: Transaction) -> Reply:
        found = await find_order(call, tx, None)
        amount = None if body.amount is None else Decimal(body.amount)
        await refund_order(tx, found.order, amount, body.reference)
        return Reply(_shown(await find_order(call, tx, None)))

    return await once.once(call, refund, call.acting(body.reason))


def _decision(body: Resolution) -> PlacedAs | NotPlaced | Refund:
    if (body.decision == "placed_as") != (body.upstream_id is not None):
        raise Invalid([("$.upstream_id", "it goes with placed_as, and only with it")])
    if body.upstream_id is not None:
        return PlacedAs(body.upstream_id)
    return NotPlaced() if body.decision == "not_placed" else Refund()


def _shown(listed: Listed) -> AdminOrder:
    order = listed.order
    return AdminOrder(
        **fields_shown(listed),
        user_id=order.user_id,
        dispatch=order.dispatch,
        provider_id=order.provider_id,
        external_order_id=order.external_order_id,
        upstream_status=order.upstream_status,
        upstream_charge=None if order.upstream_charge is None else money(order.upstream_charge),
    )


OPERATIONS = [admin_list_orders, admin_get_order, admin_explain_order, admin_resolve_order, admin_refund_order]
