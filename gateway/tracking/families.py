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
from gateway.db.engine import Database
from gateway.dispatch import store as dispatch
from gateway.orders.families import store as families
from gateway.orders.families.adoption import NotPaidFor, adopt, top_up
from gateway.orders.families.model import Family
from gateway.orders.settlement import Change
from gateway.tracking import store
from gateway.tracking.reports import quantity_of, reported

AT_ONCE = 100
"""New runs of one parent taken in at one poll; the others are found at the next."""

Ask = Callable[[UUID, list[str]], Awaitable[dict[str, UpstreamReport]]]


class FamilyFollower:
    """Asks about the runs that a report names and that we do not know, and adopts them."""

    def __init__(self, db: Database, ask: Ask) -> None:
        self._db = db
        self._ask = ask

    async def changes(self, provider_id: UUID, parent_id: UUID, report: UpstreamReport) -> list[Change]:
        """What is to be settled of a parent and its new runs.

        A final word on the parent is held back while a run that it names is not taken in, so that
        nothing is given back that a run still needs.

        Raises:
            compat.client.UpstreamError: the runs could not be asked about; nothing is lost.
            Unavailable: the database does not answer.
        """
        async with self._db.connection() as connection:
            family = (await families.load(connection, [parent_id]))[parent_id]
            known = {row[2] for row in (await families.children_of(connection, [parent_id])).get(parent_id, [])}
        new = [order for order in report.orders if order not in known]
        changes, complete = await self._take_in(provider_id, family, new)
        if family.runs is None and family.is_open:
            async with self._db.transaction() as tx:
                await top_up(tx, parent_id)
        if not complete:
            report = msgspec.structs.replace(report, status=UpstreamStatus.IN_PROGRESS)
        return [*changes, Change(parent_id, reported(report))]

    async def _take_in(self, provider_id: UUID, family: Family, new: Sequence[str]) -> tuple[list[Change], bool]:
        """What the new runs report, and whether every one is dealt with."""
        if not new:
            return [], True
        asked = list(new[:AT_ONCE])
        reports = await self._ask(provider_id, asked)
        async with self._db.connection() as connection:
            cost = await store.cost_of_run(connection, family.order_id)
        changes: list[Change] = []
        complete = len(asked) == len(new)
        for upstream_id in asked:
            report = reports.get(upstream_id)
            if report is None or report.error is not None or report.status is None:
                complete = False
                continue
            child_id = uuid7()
            try:
                if await self._adopt(provider_id, family, child_id, upstream_id, quantity_of(family, report, cost)):
                    changes.append(Change(child_id, reported(report)))
            except NotPaidFor:
                return changes, False
        return changes, complete

    async def _adopt(self, provider_id: UUID, family: Family, child_id: UUID, upstream_id: str, quantity: int) -> bool:
        """Whether the run is a child of ours now; one that belongs to another order, or is one too many, is told of."""
        async with self._db.transaction() as tx:
            bound = await dispatch.bind(tx, provider_id, upstream_id, child_id)
            adopted = bound and await adopt(tx, family.order_id, child_id, upstream_id, quantity)
            if adopted:
                await dispatch.start_tracking(tx, child_id, timedelta())
            elif not await families.is_child(tx, family.order_id, provider_id, upstream_id):
                message = f"the upstream names its order {upstream_id} as a run, which it is not or is one too many"
                await alerts.raise_(tx, [Alert("surplus_run", f"parent {family.order_id}", message)])
        return adopted
