"""From events to deliveries: one for each endpoint that wants the event."""

from gateway.db.engine import Database
from gateway.webhooks.deliveries.entering import store

BATCHES_MAX = 200
"""Of one turn, so that a flood of events does not keep the loop from other work."""


async def relay_events(db: Database) -> int:
    """Relay what waits; how many events. Of several workers one does it at a time.

    Raises:
        Unavailable: the database does not answer; what waits stays.
    """
    relayed = 0
    for _ in range(BATCHES_MAX):
        async with db.transaction() as tx:
            count = await store.relay(tx)
        relayed += count or 0
        if not count:
            break
    return relayed
