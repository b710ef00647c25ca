"""The poller: asks each upstream about the orders that are due and settles what it answers.

A provider that is paused or off is asked all the same: what it has taken goes on there.
"""

import asyncio
import functools
import time
from datetime import timedelta
from uuid import UUID

import msgspec

from compat.failures import UpstreamError, UpstreamRefusal
from compat.wire import UpstreamReport
from gateway.db.engine import Database
from gateway.errors import NotFound, Unavailable
from gateway.logs import Logger
from gateway.orders.model import Order
from gateway.orders.settlement import Change, is_news, settle
from gateway.providers.upstream import Upstreams
from gateway.tracking import store
from gateway.tracking.families import FamilyFollower
from gateway.tracking.reports import reported

log = Logger(__name__)

TICK_S = 0.5
REST_S_MAX = 60.0
LANES = 2
"""Batches of one provider in hand at once, of which one is asked about."""
LEFT_OUT = UpstreamReport(error="left out of the answer")


class Poller:
    """Follows the orders of all providers, one call a provider at a time."""

    def __init__(
        self, db: Database, upstreams: Upstreams, *, check_interval_min_s: float, check_interval_max_s: float
    ) -> None:
        self._db = db
        self._upstreams = upstreams
        self._shortest = timedelta(seconds=check_interval_min_s)
        self._longest = timedelta(seconds=check_interval_max_s)
        self._polls: dict[UUID, asyncio.Task[None]] = {}
        self._rests: dict[UUID, tuple[float, float]] = {}
        self._stopped = asyncio.Event()
        self._families = FamilyFollower(db, self._ask)

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stopped.is_set():
            try:
                await self._start_polls()
            except Unavailable as error:
                log.warning("nothing polled", error=str(error))
            except Exception:  # the loop goes on: nobody else would poll
                log.exception("nothing polled")
            try:
                await asyncio.wait_for(self._stopped.wait(), TICK_S)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """What was asked and not yet settled is asked again later; nothing is lost."""
        self._stopped.set()
        for task in list(self._polls.values()):
            task.cancel()

    async def _start_polls(self) -> None:
        async with self._db.transaction() as tx:
            due = await store.providers_due(tx)
        for provider_id in due:
            if provider_id not in self._polls and not self._is_resting(provider_id):
                task = asyncio.create_task(self._poll(provider_id))
                self._polls[provider_id] = task
                task.add_done_callback(functools.partial(self._polled, provider_id))

    def _polled(self, provider_id: UUID, task: asyncio.Task[None]) -> None:
        del self._polls[provider_id]
        if not task.cancelled() and task.exception() is not None:
            log.error("poll failed", provider=str(provider_id), exc_info=task.exception())

    async def _poll(self, provider_id: UUID) -> None:
        """All that is due at one provider, a batch a call; while one is asked about, others are claimed or settled."""
        calling = asyncio.Lock()
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._go_on(provider_id, calling))

    async def _go_on(self, provider_id: UUID, calling: asyncio.Lock) -> None:
        """Batch after batch, until nothing is due or the provider is to rest."""
        while not self._stopped.is_set() and not self._is_resting(provider_id):
            try:
                async with self._db.transaction() as tx:
                    due = await store.claim_due(tx, provider_id, self._shortest, self._longest)
                if not due:
                    return
                async with calling:
                    if self._is_resting(provider_id):
                        return  # what was claimed is due again at its next check
                    reports = await self._ask(provider_id, list(due))
                await self._take(provider_id, due, reports, calling)
                if not self._is_resting(provider_id):
                    self._rests.pop(provider_id, None)
            except (UpstreamError, NotFound, Unavailable) as error:
                self._rest(provider_id)
                log.warning("no status", provider=str(provider_id), error=str(error))
                return

    async def _take(
        self, provider_id: UUID, due: dict[str, Order], reports: dict[str, UpstreamReport], calling: asyncio.Lock
    ) -> None:
        """Settle what was said that was not known when the orders were claimed; one that moved on meanwhile is asked
        about again. Most answers say nothing new, and then no row is locked or written. Following a parent may ask
        about its runs, and so takes its turn among the calls."""
        changes = []
        for upstream_id, order in due.items():
            said = reported(reports.get(upstream_id, LEFT_OUT))
            if not order.is_parent and is_news(order, said):
                changes.append(Change(order.id, said))
        if changes:
            await self._settle(changes)
        for upstream_id, order in due.items():
            if order.is_parent:
                async with calling:
                    await self._follow(provider_id, order.id, reports.get(upstream_id, LEFT_OUT))

    async def _follow(self, provider_id: UUID, parent_id: UUID, report: UpstreamReport) -> None:
        """Settle a parent and its new runs. What is wrong with one family stops no other."""
        try:
            changes = await self._families.changes(provider_id, parent_id, report)
        except UpstreamRefusal as refusal:
            if refusal.is_of_all:
                raise
            error = f"its runs: {refusal.text}"
            changes = [Change(parent_id, reported(msgspec.structs.replace(report, error=error)))]
        except (UpstreamError, NotFound, Unavailable):
            raise
        except Exception:  # one family must not keep the others from being followed
            log.exception("a family could not be followed", order=str(parent_id))
            return
        await self._settle(changes)

    async def _ask(self, provider_id: UUID, ids: list[str]) -> dict[str, UpstreamReport]:
        """Ask about all ids at once. One that refuses the list for one of its ids is asked by halves."""
        try:
            return await self._upstreams.statuses(provider_id, ids)
        except UpstreamRefusal as error:
            if error.is_of_all:
                raise
            if len(ids) == 1:
                return {ids[0]: UpstreamReport(error=error.text)}
        middle = len(ids) // 2
        return await self._ask(provider_id, ids[:middle]) | await self._ask(provider_id, ids[middle:])

    def _is_resting(self, provider_id: UUID) -> bool:
        rest_until, _ = self._rests.get(provider_id, (0.0, 0.0))
        return time.monotonic() < rest_until

    def _rest(self, provider_id: UUID) -> None:
        """Ask a provider that does not answer again after 1, 2, 4 … seconds, at most a minute."""
        _, last_s = self._rests.get(provider_id, (0.0, 0.5))
        rest_s = min(last_s * 2, REST_S_MAX)
        self._rests[provider_id] = (time.monotonic() + rest_s, rest_s)

    async def _settle(self, changes: list[Change]) -> None:
        """Settle a batch; when it fails as a whole it is halved until the culprit stands alone."""
        try:
            async with self._db.transaction() as tx:
                await settle(tx, changes)
        except Unavailable:
            raise
        except Exception:  # of one order: the batch is halved until it stands alone
            if len(changes) <= 1:
                log.exception("a status could not be settled", order=str(changes[0].order_id) if changes else "")
                return
            middle = len(changes) // 2
            await self._settle(changes[:middle])
            await self._settle(changes[middle:])
