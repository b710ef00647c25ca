"""The sweep: raises what holds, counts what lasts, clears what is over."""

from datetime import timedelta

from gateway.alerts.conditions import store
from gateway.alerts.conditions.store import CONDITIONS, Condition
from gateway.db.engine import ROLLED_BACK, Database
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.settings import Settings

log = Logger(__name__)

QUIET_S = 60.0
"""How long a condition must be gone before its alert is cleared: what flickers is one alert."""


async def sweep(db: Database, settings: Settings, *, quiet_s: float = QUIET_S) -> bool:
    """Bring all alerts up to date; False where another process was found at it.

    Each kind has a transaction of its own: one whose SQL fails or takes too long is logged and stops no other.

    Raises:
        Unavailable: no connection can be had.
    """
    for condition in CONDITIONS:
        if condition.holding is None and condition.over is None:
            continue
        try:
            if not await _apply(db, settings, condition, timedelta(seconds=quiet_s)):
                return False
        except Unavailable as error:
            if error.placed is False and not isinstance(error.__cause__, ROLLED_BACK):
                raise
            log.error("a condition could not be looked at", condition=condition.kind, error=repr(error.__cause__))
        except Exception:  # a fault in one condition must not hide all others
            log.exception("a condition could not be looked at", condition=condition.kind)
    return True


async def _apply(db: Database, settings: Settings, condition: Condition, quiet: timedelta) -> bool:
    arguments = [timedelta(seconds=getattr(settings, name)) for name in condition.arguments]
    async with db.transaction() as tx:
        if not await store.claim_sweep(tx):
            return False
        await store.apply(tx, condition, arguments, quiet)
    return True
