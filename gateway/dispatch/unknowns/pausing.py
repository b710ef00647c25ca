"""A provider with too many unknown orders rests: what it takes of us is not known, so it gets no more for now."""

from datetime import timedelta
from uuid import UUID

from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database, Transaction
from gateway.dispatch.unknowns import store
from gateway.dispatch.unknowns.model import SHARE, too_many
from gateway.logs import Logger
from gateway.providers import actions

log = Logger(__name__)

CAUSE = "too many unknown orders"
ALERT = "provider_paused"
PAUSE = timedelta(seconds=60)
"""Made longer while the cause lasts, so that it ends soon when no worker is left to lift it."""
RECENT = timedelta(minutes=10)


async def pause_doubtful(db: Database, open_max: int, percent_max: float) -> int:
    """Pause the providers with too many unknown orders, end the pauses of those that have no more; how many rest.

    Raises:
        Unavailable: the database does not answer.
    """
    async with db.connection() as connection:
        since = await store.database_time(connection) - RECENT
        doubts = await store.doubts(connection, first_id_at(int(since.timestamp() * 1000)), f"{CAUSE}: %{SHARE}")
    reasons = {doubt.provider_id: reason for doubt in doubts if (reason := too_many(doubt, open_max, percent_max))}
    async with db.transaction() as tx:
        for provider_id, reason in sorted(reasons.items()):
            if await store.pause(tx, provider_id, f"{CAUSE}: {reason}", PAUSE):
                log.warning("provider paused", provider=str(provider_id), reason=reason)
                message = f"{CAUSE}: {reason}; it gets no orders until they are resolved or it is resumed"
                await alerts.raise_(tx, [Alert(ALERT, f"provider {provider_id}", message)])
        for provider_id in await store.lift(tx, CAUSE, PAUSE, reasons):
            log.info("provider resumed", provider=str(provider_id))
            await alerts.clear(tx, ALERT, f"provider {provider_id}")
    return len(reasons)


async def resume(db: Database, provider_id: UUID, by: str) -> int:
    """End whatever pause the provider has; the unknown orders of now, counted, will not pause it again.

    Raises:
        NotFound: no such provider.
    """
    async with db.transaction() as tx:
        return await resume_in(tx, provider_id, by)


async def resume_in(tx: Transaction, provider_id: UUID, by: str) -> int:
    """As `resume`, in the caller's transaction."""
    await actions.resume(tx, provider_id)
    await alerts.clear(tx, ALERT, f"provider {provider_id}")
    return await store.acknowledge(tx, provider_id, by)


def first_id_at(milliseconds: int) -> UUID:
    """The least UUIDv7 of that millisecond since 1970."""
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)
