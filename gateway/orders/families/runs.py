"""Drip-feeds that we run ourselves: each run becomes an order when its time has come and the last one ended."""

from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.db.engine import Database, Transaction
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.orders import store
from gateway.orders.entering import store as entering
from gateway.orders.families import store as families
from gateway.orders.families.model import child_of
from gateway.orders.store import HistoryLine, NewOrder

log = Logger(__name__)

AT_ONCE = 100


async def start_due_runs(db: Database) -> int:
    """Queue the next run of each drip-feed that is due, each in a transaction of its own; how many were queued.

    Raises:
        Unavailable: the database does not answer; the rest waits for the next turn.
    """
    async with db.connection() as connection:
        due = await families.list_due(connection, AT_ONCE)
    started = 0
    for parent_id in due:
        try:
            async with db.transaction() as tx:
                started += await start_run(tx, parent_id)
        except Unavailable:
            raise
        except Exception:  # one family must not keep the others from their runs
            log.exception("a run could not be started", parent=str(parent_id))
    return started


async def start_run(tx: Transaction, parent_id: UUID) -> bool:
    """Whether a run was queued: never before its time, never beside another, never one more than was paid for.

    The parent's lock keeps two processes from starting the same run; `order_children` and the CHECK on
    `order_parents` would refuse it besides. The run has no hold: its share is held by the parent.
    """
    parent = (await store.lock(tx, [parent_id])).get(parent_id)
    if parent is None or not await families.is_due(tx, parent_id):
        return False
    family = (await families.load(tx, [parent_id]))[parent_id]
    child = child_of(parent, family, uuid7(), family.run_quantity)
    numbers = await entering.insert(tx, [NewOrder(child, await store.get_api_key(tx, parent_id))])
    await families.begin_run(tx, family, child.id)
    note = {"run": family.started + 1, "order": numbers[child.id]}
    await store.write_history(tx, [HistoryLine(parent_id, "RunStarted", note)])
    return True
