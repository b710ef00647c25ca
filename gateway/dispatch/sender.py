"""The dispatcher: claims queued orders, commits their attempts, sends them, records the outcomes."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from gateway.catalog import store as catalog
from gateway.catalog.model import Route
from gateway.db.engine import Database, Transaction
from gateway.dispatch import store
from gateway.dispatch.model import Attempt, Past, choose_route, fields_of
from gateway.dispatch.outcomes import record
from gateway.dispatch.store import Claim
from gateway.errors import GatewayError, Unavailable
from gateway.providers.upstream import Upstreams

log = structlog.get_logger(__name__)

POLL_S = 1.0
"""How long a dispatcher waits for news before it looks by itself."""
STRANDED_MAX = 100
RECORD_TRIES = 5
BARRED = timedelta(hours=1)
POSTPONE = timedelta(seconds=5)
"""The rest of an order that no route can take now."""


class Dispatcher:
    """Sends the orders of one process; any number of processes may run one.

    An order is sent only after the row that says so is committed, so a crash leaves `sending`
    and never an order that went out unrecorded.
    """

    def __init__(self, db: Database, upstreams: Upstreams, *, lease_s: float, first_check_s: float) -> None:
        self._db = db
        self._upstreams = upstreams
        self._lease = timedelta(seconds=lease_s)
        self._first_check = timedelta(seconds=first_check_s)
        self._wake = asyncio.Event()
        self._sends: set[asyncio.Task[None]] = set()
        self._unstarted: Counter[UUID] = Counter()
        self._stranded_at = 0.0
        self._stopping = False

    def wake(self, _: str = "") -> None:
        """There may be orders to send."""
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stopping:
            self._wake.clear()
            if not await self._claim_and_send():
                await self._news()

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more and let sends in flight finish; what is left stays `sending`."""
        self._stopping = True
        self._wake.set()
        if self._sends:
            await asyncio.wait(self._sends, timeout=grace_s)
        for task in self._sends:
            task.cancel()

    async def _news(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return

    async def _claim_and_send(self) -> bool:
        """Whether anything was claimed, so that there may be more at once."""
        slots = {
            provider_id: free - self._unstarted[provider_id] for provider_id, free in self._upstreams.ready().items()
        }
        try:
            async with self._db.transaction() as tx:
                attempts, moved = await self._claim(tx, slots)
        except Unavailable as error:
            log.warning("claim failed", error=str(error))
            return False
        for attempt in attempts:
            self._unstarted[attempt.route.provider_id] += 1
            task = asyncio.create_task(self._send(attempt))
            self._sends.add(task)
            task.add_done_callback(self._sent)
        return bool(attempts) or moved

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("send failed; its lease will make it unknown", exc_info=task.exception())

    async def _claim(self, tx: Transaction, slots: Mapping[UUID, int]) -> tuple[list[Attempt], bool]:
        """The attempts written, and whether orders were planned anew for a ready provider."""
        free = {provider_id: count for provider_id, count in slots.items() if count > 0}
        claims = await store.claim_queued(tx, free) if free else []
        stranded = await self._claim_stranded(tx, list(slots))
        if not claims and not stranded:
            return [], False
        routes = await _routes_by_service(tx, [*claims, *stranded])
        past = await store.past_of(tx, [order.id for order, _ in [*claims, *stranded]])
        attempts: list[Attempt] = []
        moved = False
        for order, kind in claims:
            route = choose_route(routes.get(order.service_id, []), past.get(order.id, Past()), slots)
            if route is not None and route.provider_id == order.provider_id:
                attempts.append(Attempt(uuid7(), order, kind, route))
            else:
                moved |= await _plan(tx, order.id, route)
        for order, _ in stranded:
            route = choose_route(routes.get(order.service_id, []), past.get(order.id, Past()), slots)
            moved |= await _plan(tx, order.id, route)
        return await self._begin(tx, attempts), moved

    async def _begin(self, tx: Transaction, attempts: list[Attempt]) -> list[Attempt]:
        """The attempts whose rows were written. The index refuses a second one for what may be placed already."""
        if not attempts:
            return []
        begun = await store.insert_attempts(tx, attempts, self._lease)
        for attempt in attempts:
            if attempt.id not in begun:
                log.error("a queued order has an open attempt; it is not sent", order=attempt.order.number)
                await store.plan(tx, attempt.order.id, None, BARRED)
        return [attempt for attempt in attempts if attempt.id in begun]

    async def _claim_stranded(self, tx: Transaction, ready: list[UUID]) -> list[Claim]:
        """Looked for once a second: the query reads past the queues of the ready providers."""
        now = asyncio.get_running_loop().time()
        if now < self._stranded_at:
            return []
        self._stranded_at = now + POLL_S
        return await store.claim_stranded(tx, ready, STRANDED_MAX)

    async def _send(self, attempt: Attempt) -> None:
        route = attempt.route
        self._unstarted[route.provider_id] -= 1
        outcome = await self._upstreams.add(
            route.provider_id, route.provider_service_id, fields_of(attempt.order, attempt.kind)
        )
        log.info("sent", order=attempt.order.number, attempt=str(attempt.id), outcome=type(outcome).__name__)
        for tries in range(RECORD_TRIES):
            try:
                await record(self._db, attempt.id, outcome, self._first_check)
                return
            except Unavailable as error:
                log.warning("outcome not recorded yet", attempt=str(attempt.id), error=str(error))
                await asyncio.sleep(2.0**tries / 4)
        raise GatewayError


async def _plan(tx: Transaction, order_id: UUID, route: Route | None) -> bool:
    if route is None:
        await store.plan(tx, order_id, None, POSTPONE)
        return False
    await store.plan(tx, order_id, route.provider_id, timedelta())
    return True


async def _routes_by_service(tx: Transaction, claims: Sequence[Claim]) -> dict[UUID, list[Route]]:
    services: Collection[UUID] = {order.service_id for order, _ in claims}
    found: dict[UUID, list[Route]] = {}
    for route in await catalog.routes_of(tx, list(services)):
        found.setdefault(route.service_id, []).append(route)
    return found
