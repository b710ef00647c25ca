"""`/v1/webhooks/…/deliveries`: what was sent to a webhook, and sending it again."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Page, PageQuery, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.webhooks import find
from gateway.db.engine import Transaction
from gateway.errors import NotFound
from gateway.webhooks import endpoints
from gateway.webhooks.deliveries.reading import store as deliveries
from gateway.webhooks.deliveries.reading.store import Attempt, Delivery
from gateway.webhooks.model import Message, body_of_event


class DeliveriesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries of the last thirty days."""

    state: Literal["pending", "delivered", "failed", "dropped"] | None = None


class DeliveryInFull(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with the body that is sent and each call that was made."""

    delivery: Delivery
    body: Message
    attempts: list[Attempt]


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deliveries that began in a time; `since` is included, `until` is not."""

    since: Annotated[datetime, Meta(tz=True)]
    until: Annotated[datetime, Meta(tz=True)] | None = None
    only_failed: bool = True


class Queued(msgspec.Struct, frozen=True):
    """How many deliveries are sent again, ten thousand at most a call."""

    count: int


@operation(
    "GET", "/webhooks/{webhook}/deliveries", scope=Scope.WEBHOOKS_WRITE, tag="webhooks", returns=Page[Delivery]
)  # fmt: skip
async def list_deliveries(call: Call, query: DeliveriesQuery) -> Reply:
    """List what was sent to a webhook in the last thirty days, the newest first."""
    async with call.db.connection() as connection:
        endpoint = await find(call, connection)
        rows = await deliveries.list_deliveries(
            connection, endpoint.id, state=query.state, before=query.after, most=query.limit + 1
        )
    return Reply(page(rows, query.limit, [row.id for row in rows]))


@operation(
    "GET", "/webhooks/{webhook}/deliveries/{delivery}", scope=Scope.WEBHOOKS_WRITE, tag="webhooks",
    returns=DeliveryInFull,
)  # fmt: skip
async def get_delivery(call: Call) -> Reply:
    """Show a delivery with its body and each call: its answer's first kilobyte, and how long it took."""
    async with call.db.connection() as connection:
        endpoint = await find(call, connection)
        found = await deliveries.find_delivery(connection, endpoint.id, call.uuid("delivery", "delivery"))
        event = await deliveries.find_event(connection, found.event_id) if found else None
        if found is None or event is None:
            raise NotFound("delivery")
        attempts = await deliveries.attempts_of(connection, found.id)
    return Reply(DeliveryInFull(delivery=found, body=body_of_event(event), attempts=attempts))


@operation(
    "POST", "/webhooks/{webhook}/deliveries/{delivery}/replay", scope=Scope.WEBHOOKS_WRITE, tag="webhooks",
    returns=Delivery, status=202, refuses=(errors.Conflict,),
)  # fmt: skip
async def replay_delivery(call: Call) -> Reply:
    """Send a delivery that has ended again, under the same id."""

    async def replay(tx: Transaction) -> Reply:
        endpoint = await find(call, tx, lock=True)
        delivery_id = call.uuid("delivery", "delivery")
        await endpoints.replay(tx, endpoint, delivery_id)
        return Reply(await deliveries.find_delivery(tx, endpoint.id, delivery_id), 202)

    return await once.once(call, replay)


@operation(
    "POST",
    "/webhooks/{webhook}/replay",
    scope=Scope.WEBHOOKS_WRITE,
    tag="webhooks",
    example={"since": "2026-01-01T00:00:00Z", "only_failed": True},
    returns=Queued,
    status=202,
    refuses=(errors.Conflict,),
)
async def replay_deliveries(call: Call, body: Range) -> Reply:
    """Send again what failed in a time, or all that ended in it; the oldest first."""

    async def replay(tx: Transaction) -> Reply:
        endpoint = await find(call, tx, lock=True)
        count = await endpoints.replay_range(tx, endpoint, body.since, body.until, only_failed=body.only_failed)
        return Reply(Queued(count), 202)

    return await once.once(call, replay)


OPERATIONS = [list_deliveries, get_delivery, replay_delivery, replay_deliveries]
