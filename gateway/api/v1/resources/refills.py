"""`/v1/refills`: where refills stand."""

from datetime import datetime
from uuid import UUID

import msgspec

from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Number, Page, PageQuery, page
from gateway.api.v1.operations import operation
from gateway.errors import NotFound
from gateway.orders.lists import store as lists
from gateway.orders.refills import store
from gateway.orders.refills.model import Shown, shown_state
from gateway.orders.refills.store import ListedRefill


class Refill(msgspec.Struct, frozen=True, kw_only=True):
    """A refill of an order; `order` is the order's number."""

    id: UUID
    number: Number
    order: Number
    status: Shown
    created_at: datetime
    completed_at: datetime | None


class RefillsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which refills; `order` is a number."""

    status: Shown | None = None
    order: Number | None = None


@operation("GET", "/refills", scope=Scope.ORDERS_READ, tag="refills", returns=Page[Refill])
async def list_refills(call: Call, query: RefillsQuery) -> Reply:
    """List your refills, the newest first."""
    async with call.db.connection() as connection:
        order_id: UUID | None = None
        if query.order is not None:
            ranges = call.parts.reader.ranges(query.order)
            ids = await lists.ids_of_numbers(connection, call.account.user_id, query.order, ranges)
            if not ids:
                return Reply(page([], query.limit, []))
            order_id = ids[0]
        found = await store.list_refills(
            connection, call.account.user_id, query.status, order_id, query.after, query.limit + 1
        )
    return Reply(page([_shown(each) for each in found], query.limit, [each.id for each in found]))


@operation("GET", "/refills/{refill}", scope=Scope.ORDERS_READ, tag="refills", returns=Refill)
async def get_refill(call: Call) -> Reply:
    """Show a refill, by its id or its number."""
    name = call.path_parameters["refill"]
    async with call.db.connection() as connection:
        if name.isascii() and name.isdigit() and len(name) <= 10:
            found = await store.find_refill(connection, call.account.user_id, number=int(name))
        else:
            found = await store.find_refill(connection, call.account.user_id, refill_id=call.uuid("refill", "refill"))
    if found is None:
        raise NotFound("refill")
    return Reply(_shown(found))


def _shown(row: ListedRefill) -> Refill:
    return Refill(
        id=row.id,
        number=row.number,
        order=row.order,
        status=shown_state(row.state, row.upstream_status),
        created_at=row.created_at,
        completed_at=row.completed_at,
    )


OPERATIONS = [list_refills, get_refill]
