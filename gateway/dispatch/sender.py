"""The dispatcher: claims queued orders, sends what is committed, records the outcomes."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

from compat.wire import Accepted, AddOutcome, NotSent
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.claims import BARRED, Claimed, Ready, claim
from gateway.dispatch.model import Attempt, fields_sent
from gateway.dispatch.taken.recording import Recorder
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.orders.settlement import Change, settle
from gateway.orders.store import lock
from gateway.orders.triggers import QueuedTooLong
from gateway.providers.upstream import Upstreams
from gateway.request_log import SentLine, TellSent, tell_with_structlog

log = Logger(__name__)

POLL_S = 1.0
"""How long a dispatcher waits for news before it looks by itself."""
RECORD_TRIES = 120
RECORD_WAIT_S_MAX = 30.0


def running_s() -> float:
    """Seconds that go on while the machine or the process is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Dispatcher:
    """Sends the orders of one process; any number of processes may run one.

    An order is sent only after the row that says so is committed, so a crash leaves `sending`
    and never an order that went out unrecorded; and only while its lease lasts, so a process that
    was frozen does not send what another was given meanwhile.
    """

    def __init__(
        self,
        db: Database,
        upstreams: Upstreams,
        *,
        lease_s: float,
        first_check_s: float,
        tell_sent: TellSent = tell_with_structlog,
    ) -> None:
        self._db = db
        self._upstreams = upstreams
        self._lease_s = lease_s
        self._tell_sent = tell_sent
        self._recorder = Recorder(db, timedelta(seconds=first_check_s))
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._sends: set[asyncio.Task[None]] = set()
        self._unstarted: Counter[UUID] = Counter()
        self._most: int | None = None
        self._stranded_at = 0.0
        self._wait_s = POLL_S
        self._stopping = False

    def wake(self, _: str = "") -> None:
        """There may be orders to send."""
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`."""
        self._ended.clear()
        try:
            while not self._stopping:
                self._wake.clear()
                if not await self._claim_and_send():
                    await self._news(self._wait_s)
        finally:
            self._ended.set()

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more and let claims and sends under way finish; what is left stays `sending`."""
        self._stopping = True
        self._wake.set()
        end = time.monotonic() + grace_s
        try:
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        except TimeoutError:
            log.warning("a claim did not end within the grace")
        while self._sends and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._sends, timeout=left)
        for task in self._sends:
            task.cancel()

    async def _news(self, wait_s: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), wait_s)
        except TimeoutError:
            return

    def _ready(self) -> Ready:
        """Free slots, less those of sends that are about to start; few of them after a claim that failed."""
        free = self._upstreams.ready()
        slots = {provider_id: max(0, count - self._unstarted[provider_id]) for provider_id, count in free.items()}
        if self._most is not None:
            slots = _at_most(self._most, slots)
        return Ready(slots, self._upstreams.broken(), self._most)

    async def _claim_and_send(self) -> bool:
        """Whether anything was claimed or moved, so that there may be more at once."""
        stranded = time.monotonic() >= self._stranded_at
        if not stranded and not any(self._ready().slots.values()):
            self._wait_s = POLL_S  # the next send that ends wakes it before that
            return False
        if stranded:
            self._stranded_at = time.monotonic() + POLL_S
        send_before_s = running_s() + self._lease_s
        claimed = Claimed()
        try:
            async with self._db.transaction() as tx:
                await claim(tx, self._ready(), claimed, lease=timedelta(seconds=self._lease_s), stranded=stranded)
        except Unavailable as error:
            log.warning("claim failed", error=str(error))
            if error.placed is not False:
                for attempt in claimed.attempts:
                    self._start(self._take_back(attempt))
            return False
        except Exception:  # of one order: it is looked for, so that the others are sent
            log.exception("claim failed", orders=len(claimed.orders))
            await self._isolate(claimed.orders)
            return False
        self._most = None
        self._wait_s = min(POLL_S, claimed.wait_s or POLL_S)
        for attempt in claimed.attempts:
            self._unstarted[attempt.route.provider_id] += 1
            self._start(self._send(attempt, send_before_s))
        for order_id, reason in claimed.hopeless.items():
            self._start(self._fail(order_id, reason))
        return bool(claimed.attempts) or claimed.planned

    async def _fail(self, order_id: UUID, reason: str) -> None:
        """Row 5a. Apart from the claim, since wallets are locked before orders; what fails here comes up again."""
        async with self._db.transaction() as tx:
            await settle(tx, [Change(order_id, QueuedTooLong(), {"reason": reason[:500]})])

    async def _take_back(self, attempt: Attempt) -> None:
        """The claim may be committed or not, and its answer is lost; what is certain is that nothing was sent.

        Its order is locked first, so that a commit still under way in the server is waited for.
        """
        outcome = NotSent("the claim was not confirmed")

        async def write() -> None:
            async with self._db.transaction() as tx:
                await lock(tx, [attempt.order.id])
            await self._recorder.record(attempt.id, outcome)

        await self._insist(attempt, outcome, write)

    async def _isolate(self, orders: list[UUID]) -> None:
        """Claim fewer next time, until the order at fault stands alone; that one rests and raises an alert."""
        if len(orders) != 1:
            self._most = max(1, len(orders) // 2)
            return
        self._most = None
        try:
            async with self._db.transaction() as tx:
                await store.plan(tx, orders[0], None, BARRED)
                await alerts.raise_(tx, [Alert("unsendable_order", f"order {orders[0]}", "it cannot be claimed")])
        except Exception:  # the next claim meets it again
            log.exception("an order at fault could not be put aside", order=str(orders[0]))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sends.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "a send or a failing failed; leases and the next claim go on from there", exc_info=task.exception()
            )

    async def _send(self, attempt: Attempt, lease_ends_s: float) -> None:
        route = attempt.route
        self._unstarted[route.provider_id] -= 1
        outcome = await self._upstreams.add(
            route.provider_id,
            route.provider_service_id,
            fields_sent(attempt),
            may_start=lambda within_s: running_s() + within_s < lease_ends_s,
        )
        self._wake.set()
        upstream_id = outcome.order if isinstance(outcome, Accepted) else None
        self._tell_sent(SentLine(attempt.order.number, str(attempt.id), type(outcome).__name__, upstream_id))
        await self._record(attempt, outcome)

    async def _record(self, attempt: Attempt, outcome: AddOutcome) -> None:
        await self._insist(attempt, outcome, lambda: self._recorder.record(attempt.id, outcome))

    async def _insist(self, attempt: Attempt, outcome: AddOutcome, write: Callable[[], Awaitable[None]]) -> None:
        """Write what is known, through an outage of the database of about an hour."""
        for tries in range(RECORD_TRIES):
            try:
                await write()
                return
            except Exception as error:  # whatever it is: what was sent must not be lost, so it is tried again
                log.warning("outcome not recorded yet", attempt=str(attempt.id), error=repr(error))
                await asyncio.sleep(min(2.0 ** min(tries, 10) / 4, RECORD_WAIT_S_MAX))
        log.error("outcome not recorded", attempt=str(attempt.id), outcome=repr(outcome)[:500])


def _at_most(most: int, slots: dict[UUID, int]) -> dict[UUID, int]:
    """The same providers with at most so many slots together."""
    left = most
    few = {}
    for provider_id, count in slots.items():
        few[provider_id] = min(count, left)
        left -= few[provider_id]
    return few
