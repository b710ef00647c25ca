"""A circuit breaker: after faults in a row nothing is sent for a while, then one probe goes first."""

import time
from collections.abc import Callable

FAULTS_MAX = 5
"""In a row: enough that one lost packet or one bad reply closes nothing, few enough that a dead
upstream costs no more than a handful of orders in doubt."""
OPEN_S = 10.0
"""Long enough for a restart or a reloaded proxy upstream, short enough that queued orders, which
wait minutes anyway, hardly notice."""


class Breaker:
    """Closed, open for `OPEN_S` after `FAULTS_MAX` faults in a row, then half open for one probe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults = 0
        self._open_until: float | None = None
        self._probing = False

    def admits(self, wanted: int) -> int:
        """How many of `wanted` calls may start now: all, one as a probe, or none."""
        if self._open_until is None:
            return wanted
        if self._probing or self._clock() < self._open_until:
            return 0
        return min(wanted, 1)

    def enter(self) -> bool:
        """Whether a call may start. One that may ends with `succeeded`, `failed` or `abandoned`."""
        if self.admits(1) == 0:
            return False
        self._probing = self._open_until is not None
        return True

    def succeeded(self) -> None:
        self._faults, self._open_until, self._probing = 0, None, False

    def failed(self) -> None:
        self._faults += 1
        self._probing = False
        if self._faults >= FAULTS_MAX:
            self._open_until = self._clock() + OPEN_S

    def abandoned(self) -> None:
        """The call ended without telling anything of the upstream, as by cancellation."""
        self._probing = False
