"""Endpoints are made, changed, given a new secret, tried and removed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.db.engine import Transaction
from gateway.db.partitions import LAST_ID, id_at
from gateway.errors import Conflict, NotFound
from gateway.events import store as events
from gateway.events.payloads import PingData
from gateway.events.store import Event
from gateway.keyring import Keyring
from gateway.webhooks import store
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.entering import store as entering
from gateway.webhooks.deliveries.reading import store as reading
from gateway.webhooks.model import ENDPOINTS_MAX, Endpoint, checked_events, checked_url, new_secret

OVERLAP_S_MAX = 604_800
"""A week in which the secret before signs beside the new one."""
REPLAYED_MAX = 10_000


async def create(
    tx: Transaction, keyring: Keyring, user_id: UUID, *, url: str, wanted: list[str], description: str | None,
    allow_private: bool,
) -> tuple[Endpoint, str]:  # fmt: skip
    """The endpoint, and its secret, which nothing shows again.

    Raises:
        Invalid: the address or an event is not one that can be had.
        Conflict: the user has as many as a user may.
    """
    checked_url(url, allow_private=allow_private)
    names = checked_events(wanted)
    if await store.count(tx, user_id) >= ENDPOINTS_MAX:
        raise Conflict(f"a user has at most {ENDPOINTS_MAX} webhooks")
    webhook_id, secret = uuid7(), new_secret()
    sealed = keyring.seal(secret, "webhooks", "secret", webhook_id)
    return await store.insert(tx, webhook_id, user_id, url, names, sealed, description), secret


async def get(tx: Transaction, user_id: UUID | None, webhook_id: UUID, *, lock: bool = False) -> Endpoint:
    """Raises NotFound where the user has none with this id."""
    found = await store.find(tx, user_id, webhook_id, lock=lock)
    if found is None:
        raise NotFound("webhook")
    return found


async def change(tx: Transaction, endpoint: Endpoint, fields: dict[str, Any], *, allow_private: bool) -> Endpoint:
    """Change url, events, description or is_active of an endpoint that is locked.

    What waits for one that is switched off is dropped, here or, where it is much, by and by.

    Raises:
        Invalid: as `create` does.
        Conflict: it is to be switched on while what waited for it is still being dropped.
    """
    if "url" in fields:
        checked_url(fields["url"], allow_private=allow_private)
    if "events" in fields:
        fields = fields | {"events": checked_events(fields["events"])}
    await store.change(tx, endpoint.id, fields)
    switched = fields.get("is_active", endpoint.is_active) is not endpoint.is_active
    if (
        switched
        and await deliveries.drop_queue(tx, endpoint.id) == deliveries.DROPPED_AT_ONCE
        and not endpoint.is_active
    ):
        raise Conflict("what waited for it is still being dropped")
    return await get(tx, endpoint.user_id, endpoint.id)


async def rotate(tx: Transaction, keyring: Keyring, endpoint: Endpoint, overlap_s: int) -> tuple[Endpoint, str]:
    """A new secret. For `overlap_s` seconds the old one signs too, so that a receiver can change over meanwhile.

    Raises:
        KeyringError: the old one cannot be opened; without an overlap it need not be.
    """
    secret = new_secret()
    previous: str | None = None
    if overlap_s:
        old = keyring.unseal(await store.get_secret(tx, endpoint.id), "webhooks", "secret", endpoint.id)
        previous = keyring.seal(old, "webhooks", "previous_secret", endpoint.id)
    await store.set_secret(
        tx, endpoint.id, keyring.seal(secret, "webhooks", "secret", endpoint.id), previous, overlap_s
    )
    return await get(tx, endpoint.user_id, endpoint.id), secret


async def ping(tx: Transaction, endpoint: Endpoint) -> UUID:
    """Send a test message to this endpoint alone, whatever events it wants; the delivery's id.

    Raises:
        Conflict: it is switched off.
    """
    if not endpoint.is_active:
        raise Conflict("the webhook is switched off")
    event_id = await events.insert_aside(
        tx, Event("webhook.ping", endpoint.user_id, "webhook", endpoint.id, PingData(url=endpoint.url))
    )
    return await entering.enqueue(tx, endpoint.id, event_id)


async def replay(tx: Transaction, endpoint: Endpoint, delivery_id: UUID) -> int:
    """Send one delivery again that has ended; how many, which is none where it waits and is sent in its turn.

    Raises:
        NotFound: the endpoint has none with this id, or it is older than what is kept.
        Conflict: it is switched off.
    """
    if not endpoint.is_active:
        raise Conflict("the webhook is switched off")
    if await reading.find_delivery(tx, endpoint.id, delivery_id) is None:
        raise NotFound("delivery")
    return await entering.replay(tx, endpoint.id, since=delivery_id, until=UUID(int=delivery_id.int + 1))


async def replay_range(
    tx: Transaction, endpoint: Endpoint, since: datetime, until: datetime | None, *, only_failed: bool
) -> int:
    """Send again what ended in a time, the oldest first, ten thousand at most; how many.

    Raises:
        Conflict: it is switched off.
    """
    if not endpoint.is_active:
        raise Conflict("the webhook is switched off")
    return await entering.replay(
        tx,
        endpoint.id,
        since=id_at(since),
        until=LAST_ID if until is None else id_at(until),
        only_failed=only_failed,
        most=REPLAYED_MAX,
    )
