"""The deliverer of one process: claims what is due, calls side by side, records what came of it."""

import asyncio
import functools
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.batching import Batcher
from gateway.db.engine import ROLLED_BACK, Database, Transaction
from gateway.errors import GatewayError, Unavailable
from gateway.events import store as events
from gateway.events.payloads import DisabledData
from gateway.events.store import Event
from gateway.logs import Logger
from gateway.webhooks import store
from gateway.webhooks.calling import Caller
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.store import Outcome
from gateway.webhooks.model import Answer, Due, next_delay

log = Logger(__name__)

IN_FLIGHT_MAX = 1000
CLAIMED_AT_ONCE = 250
POLL_S = 0.25
LEASE_S = 60.0
"""Longer than a call and its record take; then another process may send it again."""
RECORDED_AT_ONCE = 200
RECORD_TRIES = 3
FREE_SHARE = 8
"""An endpoint may have an eighth of what is free at most, so that many that hang together leave turns for others."""
GONE = "it answered 410 Gone"
LOST = "it took nothing for three days"


class Deliverer:
    """Sends at least once: what is not recorded before its lease ends goes out again, under the same id.

    An endpoint has at most `each` calls at once, so that one that hangs holds no other's turn.
    """

    def __init__(
        self, db: Database, caller: Caller, *, each: int, delays_s: Sequence[float], lease_s: float = LEASE_S
    ) -> None:
        self._db = db
        self._caller = caller
        self._each = each
        self._delays_s = delays_s
        self._lease = timedelta(seconds=lease_s)
        self._in_flight: Counter[UUID] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._stopping = False
        self._records: Batcher[Outcome, None] = Batcher(
            self._record, max_batch=RECORDED_AT_ONCE, max_waiting=2 * IN_FLIGHT_MAX, name="deliveries"
        )

    async def run(self) -> None:
        """Until `stop`; while the database is away or at fault, it looks again from time to time."""
        while not self._stopping:
            self._freed.clear()
            claimed = 0
            try:
                claimed = await self._claim()
            except Unavailable as error:
                log.warning("deliveries wait", reason=error.what)
            except Exception:  # the loop goes on: nobody else would deliver
                log.exception("deliveries wait")
            if not claimed:
                await self._pause()

    def wake(self) -> None:
        """Something may be due."""
        self._freed.set()

    async def stop(self, grace_s: float) -> None:
        """Begin nothing more; what does not end within the grace is sent again after its lease."""
        self._stopping = True
        self._freed.set()
        if self._calls:
            await asyncio.wait(list(self._calls), timeout=grace_s)
        for task in list(self._calls):
            task.cancel()
        await self._records.close()

    async def _claim(self) -> int:
        free = IN_FLIGHT_MAX - len(self._calls)
        if free < 1:
            return 0
        async with self._db.transaction() as tx:
            each = min(self._each, free // FREE_SHARE + 1)
            claimed = await deliveries.claim(tx, min(free, CLAIMED_AT_ONCE), each, self._in_flight, self._lease)
        for due in claimed:
            self._in_flight[due.webhook_id] += 1
            task = asyncio.create_task(self._deliver(due))
            self._calls.add(task)
            task.add_done_callback(functools.partial(self._ended, due))
        return len(claimed)

    async def _pause(self) -> None:
        """Until a call ends, or it is time to look again."""
        try:
            async with asyncio.timeout(POLL_S):
                await self._freed.wait()
        except TimeoutError:
            return

    async def _deliver(self, due: Due) -> None:
        try:
            answer = await self._answer(due)
        finally:
            self._leave(due.webhook_id)
        wait = None if answer.is_taken else next_delay(due.attempt, answer.retry_after_s, self._delays_s)
        await self._records.submit(
            Outcome(
                delivery_id=due.delivery_id,
                webhook_id=due.webhook_id,
                attempt=due.attempt,
                answer=answer,
                wait=wait,
            )
        )

    async def _answer(self, due: Due) -> Answer:
        """What nobody foresaw counts as a failure too, or it would be called for ever."""
        try:
            return await self._caller.call(due)
        except Exception as error:  # whatever an endpoint sets off in the client: it counts as one that failed
            log.error("a delivery could not be called", delivery=str(due.delivery_id), exc_info=error)
            return Answer(status=None, error=type(error).__name__, response=None, duration_ms=0)

    def _leave(self, webhook_id: UUID) -> None:
        """The endpoint has answered: another call may begin while this one's outcome is written."""
        self._in_flight[webhook_id] -= 1
        if self._in_flight[webhook_id] <= 0:
            del self._in_flight[webhook_id]

    def _ended(self, due: Due, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._freed.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a delivery is not recorded, and goes out again", delivery=str(due.delivery_id), exc_info=error)

    async def _record(self, outcomes: list[Outcome]) -> list[GatewayError | None]:
        for tries in range(1, RECORD_TRIES + 1):
            try:
                await self._write(outcomes)
                break
            except Unavailable as error:
                if tries == RECORD_TRIES or not isinstance(error.__cause__, ROLLED_BACK):
                    raise
        return [None] * len(outcomes)

    async def _write(self, outcomes: list[Outcome]) -> None:
        async with self._db.transaction() as tx:
            gone = {outcome.webhook_id: GONE for outcome in outcomes if outcome.answer.is_gone}
            taken = {outcome.webhook_id for outcome in outcomes if outcome.answer.is_taken} - gone.keys()
            lost = await deliveries.mark(tx, {each.webhook_id: each.webhook_id in taken for each in outcomes})
            await deliveries.record(tx, outcomes)
            for webhook_id, reason in sorted((dict.fromkeys(lost, LOST) | gone).items()):
                await switch_off(tx, webhook_id, reason)


async def switch_off(tx: Transaction, webhook_id: UUID, reason: str) -> None:
    """Send it nothing more; the user's other endpoints and operators are told, but not its address.

    An address is often a secret of its own, and the other endpoints may be others' machines.
    """
    endpoint = await store.switch_off(tx, webhook_id, reason)
    if endpoint is None:
        return
    dropped = await deliveries.count_waiting(tx, webhook_id)
    await deliveries.drop_queue(tx, webhook_id)
    data = DisabledData(reason=reason, dropped=dropped)
    await events.insert(tx, [Event("webhook.disabled", endpoint.user_id, "webhook", webhook_id, data)])
    await alerts.raise_(tx, [Alert("webhook_off", f"webhook {webhook_id}", f"it was switched off: {reason}")])
