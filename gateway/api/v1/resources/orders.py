"""`/v1/orders`: placing, finding and following orders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.drafting import NewOrder, check_fields, fields_of
from gateway.api.v1.formats import Currency, Money, Number, Page, PageQuery, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.problems import OF_DRAFTS
from gateway.db.engine import Transaction
from gateway.errors import CannotCancel, GatewayError, NotFound
from gateway.orders.cancels.wishing import take_wishes
from gateway.orders.lists import store as lists
from gateway.orders.lists.model import Happened, Listed, Wanted
from gateway.orders.model import Status
from gateway.orders.ordering import Ordered
from gateway.orders.refills.asking import ask
from gateway.orders.replays.model import Replay, replay_of
from gateway.orders.shown import shown_charge, shown_remains

PLACING = (
    errors.UnknownService, errors.ServiceDisabled, errors.InsufficientFunds, errors.SpendCapReached,
    errors.IncorrectQuantity, errors.QuantityTooLow, errors.QuantityTooHigh, errors.ActiveOrder,
)  # fmt: skip


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order. `price` is what is held for it, `charge` what it costs as things stand.

    `remains` is what is still to be delivered. A drip-feed or subscription has the numbers of its
    orders so far in `orders`; each of those has its `parent`. `details` are the kind's own fields.
    """

    id: UUID
    number: Number
    service: Number
    status: Status
    link: str
    quantity: int
    price: Money
    charge: Money
    currency: Currency
    start_count: int | None
    remains: int
    details: dict[str, str]
    parent: Number | None
    orders: list[Number]
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class OrdersQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders: times are RFC 3339, `since` is included and `until` is not."""

    status: Status | None = None
    service: Number | None = None
    link: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class OrderEvent(msgspec.Struct, frozen=True):
    """Something that happened to an order, with how it stood then."""

    id: UUID
    type: str
    at: datetime
    data: dict[str, Any]


class AskedRefill(msgspec.Struct, frozen=True):
    """The refill that was asked for, or that is open already."""

    number: Number
    order: Number


@operation(
    "POST",
    "/orders",
    scope=Scope.ORDERS_WRITE,
    tag="orders",
    example={"service": 1, "link": "https://example.com/p/1", "quantity": 100},
    returns=Order,
    status=201,
    refuses=(*PLACING, *OF_DRAFTS),
)
async def create_order(call: Call, body: NewOrder) -> Reply:
    """Place an order.

    Its price is held from the wallet at once. With an `Idempotency-Key` the request can be sent again
    safely: it places one order, and every answer shows that order as it was placed. A refusal is not
    kept: the same key may try again.
    """
    replay = once.replay_of(call) or replay_of(call.account, str(body.service), fields_of(body))
    ordered = await place(call, body, replay)
    shown, is_replay = (await as_placed(call, [ordered]))[ordered.number]
    return Reply(shown, 201, once.REPLAYED if is_replay else {})


@operation("GET", "/orders", scope=Scope.ORDERS_READ, tag="orders", returns=Page[Order])
async def list_orders(call: Call, query: OrdersQuery) -> Reply:
    """List your orders, the newest first."""
    wanted = Wanted(
        user_id=call.account.user_id,
        status=query.status,
        service=query.service,
        link=query.link,
        since=query.since,
        until=query.until,
        before=query.after,
        most=query.limit + 1,
    )
    async with call.db.connection() as connection:
        found = await lists.list_orders(connection, wanted)
    return Reply(page([shown(each) for each in found], query.limit, [each.order.id for each in found]))


@operation("GET", "/orders/{order}", scope=Scope.ORDERS_READ, tag="orders", returns=Order)
async def get_order(call: Call) -> Reply:
    """Show an order, by its id or its number."""
    async with call.db.connection() as connection:
        return Reply(shown(await find_order(call, connection, call.account.user_id)))


@operation("GET", "/orders/{order}/events", scope=Scope.ORDERS_READ, tag="orders", returns=Page[OrderEvent])
async def list_order_events(call: Call, query: PageQuery) -> Reply:
    """List what happened to an order, the oldest first."""
    async with call.db.connection() as connection:
        found = await find_order(call, connection, call.account.user_id)
        rows = await lists.events_of(connection, found.order.id, query.after, query.limit + 1)
    return Reply(page([_event(row) for row in rows], query.limit, [row.id for row in rows]))


@operation(
    "POST", "/orders/{order}/cancel", scope=Scope.ORDERS_WRITE, tag="orders", returns=Order, status=202,
    refuses=(errors.CannotCancel, errors.IdempotencyMismatch),
)  # fmt: skip
async def cancel_order(call: Call) -> Reply:
    """Ask for an order to be cancelled.

    What was not sent yet is cancelled and paid back at once. For the rest the wish is passed on, and
    money comes back when the provider says that it was cancelled.
    """

    async def cancel(tx: Transaction) -> Reply:
        found = await find_order(call, tx, call.account.user_id)
        if found.order.id not in await take_wishes(tx, [found.order]):
            raise CannotCancel
        return Reply(shown(await find_order(call, tx, call.account.user_id)), 202)

    return await once.once(call, cancel)


@operation(
    "POST", "/orders/{order}/refill", scope=Scope.ORDERS_WRITE, tag="orders", returns=AskedRefill, status=201,
    refuses=(errors.RefillDisabled, errors.OrderNotCompleted, errors.RefillTooEarly, errors.IdempotencyMismatch),
)  # fmt: skip
async def refill_order(call: Call) -> Reply:
    """Ask for a completed order to be refilled.

    While a refill of the order is open, that one is answered.
    """

    async def refill(tx: Transaction) -> Reply:
        order = (await find_order(call, tx, call.account.user_id)).order
        answer = (await ask(tx, [order.id], call.parts.settings.refill_wait_s))[order.id]
        if isinstance(answer, GatewayError):
            raise answer
        return Reply(AskedRefill(answer, order.number), 201)

    return await once.once(call, refill)


async def find_order(call: Call, tx: Transaction, user_id: UUID | None) -> Listed:
    """The order that the path names, by id or by number; of any user where none is named.

    Raises:
        NotFound: there is none of the user.
    """
    name = call.path_parameters["order"]
    if name.isascii() and name.isdigit() and len(name) <= 10:
        ids = await lists.ids_of_numbers(tx, user_id, int(name), call.parts.reader.ranges(int(name)))
    else:
        ids = [call.uuid("order", "order")]
    for found in await lists.find_by_ids(tx, user_id, ids):
        return found
    raise NotFound("order")


def shown(listed: Listed) -> Order:
    """As the API shows it."""
    return Order(**fields_shown(listed))


def fields_shown(listed: Listed) -> dict[str, Any]:
    """The fields of an `Order`, for forms that have more."""
    order = listed.order
    return {
        "id": order.id,
        "number": order.number,
        "service": listed.service,
        "status": order.status,
        "link": order.link,
        "quantity": order.quantity,
        "price": money(order.price),
        "charge": money(shown_charge(order)),
        "currency": order.currency,
        "start_count": order.start_count,
        "remains": shown_remains(order),
        "details": order.details,
        "parent": listed.parent,
        "orders": list(listed.runs),
        "cancel_requested": listed.cancel_wanted,
        "created_at": listed.created_at,
        "started_at": listed.started_at,
        "completed_at": listed.completed_at,
    }


async def place(call: Call, new: NewOrder, replay: Replay | None, root: str = "$") -> Ordered:
    """Place one order; `root` is where it stands in the body."""
    fields = fields_of(new)
    ordering = call.parts.ordering
    return await ordering.order(
        call.account, new.service, fields, replay, check=lambda kind: check_fields(kind, fields, root)
    )


async def as_placed(call: Call, placed: Sequence[Ordered]) -> dict[int, tuple[Order, bool]]:
    """By number: each order as it was when it was placed, whatever became of it, and whether it was placed before."""
    new_ids = {ordered.number: ordered.new_id for ordered in placed}
    known = await call.parts.reader.find(call.account.user_id, list(new_ids))
    async with call.db.connection() as connection:
        found = await lists.find_by_ids(connection, call.account.user_id, [order.id for order in known.values()])
    return {each.order.number: (_new(each), each.order.id != new_ids[each.order.number]) for each in found}


def _new(listed: Listed) -> Order:
    order = msgspec.structs.replace(
        listed.order, status=Status.PENDING, charge=listed.order.charge * 0, start_count=None, remains=None
    )
    return shown(
        msgspec.structs.replace(listed, order=order, runs=(), cancel_wanted=False, started_at=None, completed_at=None)
    )


def _event(row: Happened) -> OrderEvent:
    return OrderEvent(row.id, row.type, row.created_at, row.data)


OPERATIONS = [
    create_order, list_orders, get_order, list_order_events, cancel_order, refill_order,
]  # fmt: skip
