"""`/v1/webhooks`: where events are sent, with which secret, and what became of each."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Page, PageQuery, page
from gateway.api.v1.operations import operation
from gateway.clock import utc_now
from gateway.db.engine import Transaction
from gateway.db.partitions import id_at
from gateway.webhooks import endpoints, store
from gateway.webhooks.deliveries.reading import store as deliveries
from gateway.webhooks.deliveries.reading.store import Statistics
from gateway.webhooks.model import TYPES, WILDCARDS, Endpoint

EventName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        examples=["order.completed", "order.*", "*"],
        extra_json_schema={"enum": sorted({*TYPES, *WILDCARDS})},
    ),
]
EventNames = Annotated[list[EventName], Meta(min_length=1, max_length=50)]
Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2048,
        examples=["https://example.com/hook"],
        extra_json_schema={"pattern": r"^https?://[\x21-\x7e]+$(?!\n)"},
    ),
]
Description = Annotated[str, Meta(max_length=255)]


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `events` are types or wildcards; `disabled_reason` says why the gateway switched it off.

    Until `previous_expires_at` the secret before the last rotation signs too.
    """

    id: UUID
    url: str
    events: list[str]
    description: str | None
    is_active: bool
    disabled_reason: str | None
    failing_since: datetime | None
    last_triggered_at: datetime | None
    previous_expires_at: datetime | None
    created_at: datetime


class WebhookWithSecret(Webhook, frozen=True, kw_only=True):
    """With the secret, which nothing shows again: `whsec_` and base64, for Standard Webhooks' libraries."""

    secret: str


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint to be made."""

    url: Url
    events: EventNames
    description: Description | None = None


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is switched on again starts with a clean slate."""

    url: Url | UnsetType = UNSET
    events: EventNames | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class SecretRotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many seconds the old secret signs beside the new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=endpoints.OVERLAP_S_MAX)] = 86_400


class Pinged(msgspec.Struct, frozen=True):
    """The delivery to look at."""

    delivery: UUID


@operation(
    "POST",
    "/webhooks",
    scope=Scope.WEBHOOKS_WRITE,
    tag="webhooks",
    example={"url": "https://example.com/hook", "events": ["order.*", "balance.low"]},
    returns=WebhookWithSecret,
    status=201,
    refuses=(errors.Conflict,),
)
async def create_webhook(call: Call, body: NewWebhook) -> Reply:
    """Have events sent to an address.

    The answer alone shows the secret that they are signed with.
    """

    async def create(tx: Transaction) -> Reply:
        endpoint, secret = await endpoints.create(
            tx,
            call.parts.keyring,
            call.account.user_id,
            url=body.url,
            wanted=body.events,
            description=body.description,
            allow_private=call.parts.settings.allow_private_addresses,
        )
        return Reply(WebhookWithSecret(**_fields(endpoint), secret=secret), 201)

    return await once.once(call, create, call.acting())


@operation("GET", "/webhooks", scope=Scope.WEBHOOKS_WRITE, tag="webhooks", returns=Page[Webhook])
async def list_webhooks(call: Call, query: PageQuery) -> Reply:
    """List your webhooks, the oldest first."""
    async with call.db.connection() as connection:
        found = await store.list_endpoints(connection, call.account.user_id, query.after, query.limit + 1)
    return Reply(page([Webhook(**_fields(each)) for each in found], query.limit, [each.id for each in found]))


@operation("GET", "/webhooks/{webhook}", scope=Scope.WEBHOOKS_WRITE, tag="webhooks", returns=Webhook)
async def get_webhook(call: Call) -> Reply:
    """Show a webhook."""
    async with call.db.connection() as connection:
        return Reply(Webhook(**_fields(await find(call, connection))))


@operation(
    "PATCH",
    "/webhooks/{webhook}",
    scope=Scope.WEBHOOKS_WRITE,
    tag="webhooks",
    example={"events": ["*"]},
    returns=Webhook,
    refuses=(errors.Conflict,),
)
async def change_webhook(call: Call, body: WebhookChange) -> Reply:
    """Change a webhook. What waits for one that is switched off is dropped.

    Where very much waited, it can be switched on again some moments later.
    """
    fields = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    async with call.acting().transaction() as tx:
        endpoint = await find(call, tx, lock=True)
        call.check_unchanged(Webhook(**_fields(endpoint)))
        after = await endpoints.change(tx, endpoint, fields, allow_private=call.parts.settings.allow_private_addresses)
    return Reply(Webhook(**_fields(after)))


@operation("DELETE", "/webhooks/{webhook}", scope=Scope.WEBHOOKS_WRITE, tag="webhooks", returns=None, status=204)
async def delete_webhook(call: Call) -> Reply:
    """Remove a webhook. What waits for it is dropped, and what became of the rest is shown no more."""
    async with call.acting().transaction() as tx:
        endpoint = await find(call, tx, lock=True)
        call.check_unchanged(Webhook(**_fields(endpoint)))
        await store.remove(tx, endpoint.id)
    return Reply(None, 204)


@operation(
    "POST",
    "/webhooks/{webhook}/rotate",
    scope=Scope.WEBHOOKS_WRITE,
    tag="webhooks",
    example={"overlap_s": 86400},
    returns=WebhookWithSecret,
)
async def rotate_webhook(call: Call, body: SecretRotation) -> Reply:
    """Take a new secret, which the answer alone shows.

    Until the overlap ends every delivery has two signatures, one of each secret.
    """

    async def rotate(tx: Transaction) -> Reply:
        endpoint = await find(call, tx, lock=True)
        after, secret = await endpoints.rotate(tx, call.parts.keyring, endpoint, body.overlap_s)
        return Reply(WebhookWithSecret(**_fields(after), secret=secret))

    return await once.once(call, rotate, call.acting())


@operation(
    "POST", "/webhooks/{webhook}/ping", scope=Scope.WEBHOOKS_WRITE, tag="webhooks", returns=Pinged, status=202,
    refuses=(errors.Conflict,),
)  # fmt: skip
async def ping_webhook(call: Call) -> Reply:
    """Send a test message, `webhook.ping`, to this webhook alone."""

    async def ping(tx: Transaction) -> Reply:
        return Reply(Pinged(await endpoints.ping(tx, await find(call, tx, lock=True))), 202)

    return await once.once(call, ping)


@operation("GET", "/webhooks/{webhook}/statistics", scope=Scope.WEBHOOKS_WRITE, tag="webhooks", returns=Statistics)
async def get_webhook_statistics(call: Call) -> Reply:
    """Count the calls of the last day, and what waits; the last hundred thousand of each at most."""
    async with call.db.connection() as connection:
        endpoint = await find(call, connection)
        since = id_at(utc_now() - timedelta(days=1))
        return Reply(await deliveries.statistics(connection, endpoint.id, since))


async def find(call: Call, tx: Transaction, *, lock: bool = False) -> Endpoint:
    """The caller's webhook that the path names. Raises NotFound where there is none."""
    return await endpoints.get(tx, call.account.user_id, call.uuid("webhook", "webhook"), lock=lock)


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    fields = msgspec.structs.asdict(endpoint)
    del fields["user_id"]
    return fields


OPERATIONS = [
    create_webhook, list_webhooks, get_webhook, change_webhook, delete_webhook, rotate_webhook, ping_webhook,
    get_webhook_statistics,
]  # fmt: skip
