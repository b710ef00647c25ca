"""Recording what became of sends: orders that were taken share a transaction, anything else has one of its own."""

from datetime import timedelta
from uuid import UUID

from compat.wire import Accepted, AddOutcome
from gateway.batching import Batcher
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.taken import store
from gateway.errors import GatewayError
from gateway.orders.settlement import Change, settle
from gateway.orders.store import Tracking
from gateway.orders.triggers import WasAccepted

AT_ONCE = 200
WAITING_MAX = 100_000
"""Above what a process has in flight at all its providers."""


class _Moved(Exception):
    """One of a batch is not what it was when it was read: nothing of the batch is written."""


class Recorder:
    """Writes the outcomes of one process's sends."""

    def __init__(self, db: Database, first_check: timedelta) -> None:
        self._db = db
        self._first_check = first_check
        self._taken: Batcher[tuple[UUID, str], bool] = Batcher(
            self._accept, max_batch=AT_ONCE, max_waiting=WAITING_MAX, name="outcomes"
        )

    async def record(self, attempt_id: UUID, outcome: AddOutcome) -> None:
        """Write the outcome and what follows for its order, in one transaction.

        Raises:
            Unavailable: the database does not answer; it may be written or not, and may be tried again.
            AttemptMoved: as `outcomes.record`, which decides all that is not plainly taken.
        """
        if isinstance(outcome, Accepted) and await self._is_accepted(attempt_id, outcome.order):
            return
        await record(self._db, attempt_id, outcome, self._first_check)

    async def _is_accepted(self, attempt_id: UUID, upstream_id: str) -> bool:
        try:
            return await self._taken.submit((attempt_id, upstream_id))
        except _Moved:
            return False

    async def _accept(self, taken: list[tuple[UUID, str]]) -> list[bool | GatewayError]:
        """Row 3 for each that is still being sent and whose id there is no other order's; False for the rest."""
        ids = dict(taken)
        async with self._db.transaction() as tx:
            sending = await store.find_sending(tx, list(ids))
            bound = await store.bind_all(
                tx, {each.id: (each.provider_id, ids[each.id], each.order_id) for each in sending}
            )
            accepted = [each for each in sending if each.id in bound]
            changes = [
                Change(
                    each.order_id,
                    WasAccepted(ids[each.id]),
                    {"attempt": str(each.id)},
                    Tracking(self._first_check, each.cost),
                )
                for each in accepted
            ]
            if len((await settle(tx, changes)).keys() & {each.order_id for each in accepted}) < len(accepted):
                raise _Moved
            if await store.finish_accepted(tx, {each.id: ids[each.id] for each in accepted}) < len(accepted):
                raise _Moved
        return [attempt_id in bound for attempt_id, _ in taken]
