"""What every process does about alerts: shows that it lives, sweeps when it is its turn, tells what is to be told."""

import functools
from collections.abc import Awaitable, Callable
from typing import Literal

from gateway.alerts.conditions.sweep import sweep
from gateway.alerts.delivery.channels import Channel, channels_of
from gateway.alerts.delivery.telling import tell
from gateway.alerts.pulse import store as pulses
from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.settings import Settings

log = Logger(__name__)

BEAT_S = 10.0
SWEEP_S = 15.0
TELL_S = 5.0


class Watch:
    """Of one process; any number may run."""

    def __init__(self, db: Database, settings: Settings, kind: Literal["serve", "work"]) -> None:
        self._db = db
        self._settings = settings
        self._pulse = pulses.pulse_of(kind)
        self._channels = channels_of(settings)
        self._leaves_round = kind == "serve"

    def jobs(self) -> list[tuple[str, float, Callable[[], Awaitable[None]]]]:
        """Name, seconds between two runs, and what to run."""
        jobs: list[tuple[str, float, Callable[[], Awaitable[None]]]] = [
            ("pulse", BEAT_S, self.beat),
            ("alert conditions", SWEEP_S, self.sweep),
        ]
        for channel in self._channels:
            jobs.append((f"alerts by {channel.name}", TELL_S, functools.partial(self.tell, channel)))
        return jobs

    async def beat(self) -> None:
        async with self._db.transaction() as tx:
            await pulses.beat(tx, self._pulse)

    async def sweep(self) -> None:
        """By the oldest living process alone, so that what lasts is counted once a round.

        One that serves leaves its first round to the worker that may be starting beside it.
        """
        if self._leaves_round:
            self._leaves_round = False
            return
        async with self._db.connection() as connection:
            has_turn = await pulses.has_turn(connection, self._pulse)
        if has_turn:
            await sweep(self._db, self._settings)

    async def tell(self, channel: Channel) -> None:
        """Each channel has a loop of its own: one that hangs or fails holds up no other."""
        await tell(self._db, channel, repeat_s=self._settings.alert_repeat_s)

    async def leave(self) -> None:
        """It ends as it should; nobody is to miss it."""
        try:
            async with self._db.transaction() as tx:
                await pulses.leave(tx, self._pulse)
        except Unavailable as error:
            log.warning("the end of this process is not on record", reason=str(error))
