"""Finding the runs that an upstream began by itself, and following their parents."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from compat.status import UpstreamStatus
from compat.wire import UpstreamReport
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database, Transaction
from gateway.dispatch import store as dispatch
from gateway.orders.families import store as families
from gateway.orders.families.adoption import NotPaidFor, adopt, top_up
from gateway.orders.families.model import FINAL, Family
from gateway.orders.settlement import Change
from gateway.tracking import store
from gateway.tracking.reports import quantity_of, reported

AT_ONCE = 100
"""New runs asked about in one call."""
CALLS_MAX = 10
"""Calls for the new runs of one parent at one poll; what is left is found at the next."""

Ask = Callable[[UUID, list[str]], Awaitable[dict[str, UpstreamReport]]]


class _Taken(msgspec.Struct):
    """What new runs report. `unreadable` is one that the upstream names and does not tell of."""

    changes: list[Change]
    complete: bool = True
    unreadable: str | None = None


class FamilyFollower:
    """Asks about the runs that a report names and that we do not know, and adopts them."""

    def __init__(self, db: Database, ask: Ask) -> None:
        self._db = db
        self._ask = ask

    async def changes(self, provider_id: UUID, parent_id: UUID, report: UpstreamReport) -> list[Change]:
        """What is to be settled of a parent and its new runs.

        A final word on the parent is held back while a run that it names is not taken in, so that
        nothing is given back that a run still needs; where that run cannot be read, it counts as an
        unreadable answer (row 19), so that somebody is told.

        Raises:
            compat.client.UpstreamError: the runs could not be asked about; nothing is lost.
            Unavailable: the database does not answer.
        """
        async with self._db.connection() as connection:
            family = (await families.load(connection, [parent_id]))[parent_id]
            owners = await families.owners_of(connection, provider_id, report.orders)
            ours = {row[0] for row in (await families.children_of(connection, [parent_id])).get(parent_id, [])}
        strange = [order for order, owner in owners.items() if owner not in ours]
        if strange:
            async with self._db.transaction() as tx:
                await _tell_surplus(tx, parent_id, strange[0])
        taken = await self._take_in(provider_id, family, [order for order in report.orders if order not in owners])
        is_final = report.status in FINAL
        if family.runs is None and family.is_open and not is_final:
            async with self._db.transaction() as tx:
                await top_up(tx, parent_id)
        if is_final and taken.unreadable:
            report = msgspec.structs.replace(report, error=f"its run {taken.unreadable} cannot be read")
        elif is_final and not taken.complete:
            report = msgspec.structs.replace(report, status=UpstreamStatus.IN_PROGRESS)
        return [*taken.changes, Change(parent_id, reported(report))]

    async def _take_in(self, provider_id: UUID, family: Family, new: Sequence[str]) -> _Taken:
        """What the new runs report, and whether every one is dealt with."""
        taken = _Taken([], complete=len(new) <= AT_ONCE * CALLS_MAX)
        if not new:
            return taken
        async with self._db.connection() as connection:
            cost = await store.cost_of_run(connection, family.order_id)
        for start in range(0, min(len(new), AT_ONCE * CALLS_MAX), AT_ONCE):
            asked = list(new[start : start + AT_ONCE])
            reports = await self._ask(provider_id, asked)
            for upstream_id in asked:
                report = reports.get(upstream_id)
                if report is None or report.error is not None or report.status is None:
                    taken.unreadable = taken.unreadable or upstream_id
                    continue
                child_id = uuid7()
                try:
                    quantity = quantity_of(family, report, cost)
                    if await self._adopt(provider_id, family, child_id, upstream_id, quantity):
                        taken.changes.append(Change(child_id, reported(report)))
                except NotPaidFor:
                    taken.complete = False
                    return taken
        return taken

    async def _adopt(self, provider_id: UUID, family: Family, child_id: UUID, upstream_id: str, quantity: int) -> bool:
        """Whether the run is a child of ours now; one that belongs to another order, or is one too many, is told of."""
        async with self._db.transaction() as tx:
            bound = await dispatch.bind(tx, provider_id, upstream_id, child_id)
            adopted = bound and await adopt(tx, family.order_id, child_id, upstream_id, quantity)
            if adopted:
                await dispatch.start_tracking(tx, child_id, timedelta())
            elif not await families.is_child(tx, family.order_id, provider_id, upstream_id):
                await _tell_surplus(tx, family.order_id, upstream_id)
        return adopted


async def _tell_surplus(tx: Transaction, parent_id: UUID, upstream_id: str) -> None:
    message = f"the upstream names its order {upstream_id} as a run, which it is not or is one too many"
    await alerts.raise_(tx, [Alert("surplus_run", f"parent {parent_id}", message)])
