"""Claiming: which queued orders go out now, by which route, with their attempt rows written."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from gateway.catalog import store as catalog
from gateway.catalog.model import Route
from gateway.db.engine import Transaction, read_by_index
from gateway.dispatch import store
from gateway.dispatch.model import Attempt
from gateway.dispatch.routing import Past, choose_route, is_hopeless
from gateway.dispatch.store import Claim
from gateway.logs import Logger
from gateway.providers.paces.store import lock_paces, spend_paces

log = Logger(__name__)

STRANDED_MAX = 100
BARRED = timedelta(hours=1)
"""The rest of an order that must not be sent, until somebody has looked at it."""
POSTPONE = timedelta(seconds=30)
"""The rest of an order that no route can take now."""


class Ready(msgspec.Struct, frozen=True):
    """What this process can send now: free slots by provider, and providers it cannot reach at present."""

    slots: Mapping[UUID, int]
    broken: Collection[UUID] = ()
    most: int | None = None
    """Orders to touch in all, while one at fault is looked for; None for no such bound."""


class Claimed(msgspec.Struct):
    """Filled while the claim goes on, so that it tells what was touched when the claim fails."""

    orders: list[UUID] = []
    attempts: list[Attempt] = []
    planned: bool = False
    """Orders were moved or put off, so that others may be first in the queue now."""
    hopeless: dict[UUID, str] = {}
    """Orders that no route will ever take, and why; to be failed when the claim is committed."""
    wait_s: float | None = None
    """How long until a provider that takes a number a second takes the next, where one has to wait."""


async def claim(tx: Transaction, ready: Ready, claimed: Claimed, *, lease: timedelta, stranded: bool) -> None:
    """Write an attempt for each due order whose provider has a free slot; plan the others anew.

    Nothing may be sent before the transaction is committed.
    """
    await read_by_index(tx)
    free = {provider_id: count for provider_id, count in ready.slots.items() if count > 0}
    paces = await lock_paces(tx, list(free)) if free else {}
    claimed.wait_s = min((pace.wait_s for pace in paces.values() if pace.wait_s > 0), default=None)
    free = {
        provider_id: min(count, paces[provider_id].allowed) if provider_id in paces else count
        for provider_id, count in free.items()
        if provider_id not in paces or paces[provider_id].allowed > 0
    }
    due = await store.claim_queued(tx, free) if free else []
    room = STRANDED_MAX if ready.most is None else ready.most - len(due)
    look = stranded and room > 0
    left = await store.claim_stranded(tx, list(ready.slots), list(ready.broken), room) if look else []
    claimed.orders = [order.id for order, _ in (*due, *left)]
    if not claimed.orders:
        return
    routes = await _routes_by_service(tx, (*due, *left))
    past = await store.past_of(tx, claimed.orders)
    attempts: list[Attempt] = []
    for order, kind in (*due, *left):
        known = routes.get(order.service_id, [])
        before = past.get(order.id, Past())
        route, verdicts = choose_route(order, kind, known, before, ready.slots)
        if route is not None and route.provider_id == order.provider_id and route.provider_id in free:
            attempts.append(Attempt(uuid7(), order, kind, route, verdicts if len(known) > 1 else None))
        elif route is not None:
            await store.plan(tx, order.id, route.provider_id, timedelta())
            claimed.planned = True
        else:
            await store.plan(tx, order.id, None, POSTPONE)
            claimed.planned = True
            if is_hopeless(order, kind, known, before):
                claimed.hopeless[order.id] = "; ".join(f"{each.provider}: {each.why_not}" for each in verdicts)
    if attempts:
        claimed.attempts = await _begin(tx, attempts, lease)
        sent = Counter(attempt.route.provider_id for attempt in claimed.attempts)
        await spend_paces(tx, paces, sent)


async def _begin(tx: Transaction, attempts: list[Attempt], lease: timedelta) -> list[Attempt]:
    """The attempts whose rows were written. The index refuses a second one for what may be placed already."""
    begun = await store.insert_attempts(tx, attempts, lease)
    for attempt in attempts:
        if attempt.id not in begun:
            log.error("a queued order has an open attempt; it is not sent", order=attempt.order.number)
            await store.plan(tx, attempt.order.id, None, BARRED)
    return [attempt for attempt in attempts if attempt.id in begun]


async def _routes_by_service(tx: Transaction, claims: Sequence[Claim]) -> dict[UUID, list[Route]]:
    found: dict[UUID, list[Route]] = {}
    for route in await catalog.routes_of(tx, list({order.service_id for order, _ in claims})):
        found.setdefault(route.service_id, []).append(route)
    return found
