"""How many sends a provider's pace allows; pure."""

import msgspec

BURST_S = 0.2
"""What a pace above five a second may send at once: the orders of this long."""


class Pace(msgspec.Struct, frozen=True):
    """A provider that takes `per_second` orders.

    `free_s` is how long the next one could have gone already, below zero how long it has to wait;
    None while another worker is about to send there.
    """

    per_second: float
    free_s: float | None

    @property
    def burst(self) -> int:
        return max(1, int(self.per_second * BURST_S))

    @property
    def allowed(self) -> int:
        if self.free_s is None or self.free_s < 0:
            return 0
        return min(self.burst, 1 + int(self.free_s * self.per_second))

    @property
    def wait_s(self) -> float:
        """How long until another may go; 0 where one may go now."""
        if self.free_s is None:
            return 1 / self.per_second
        return max(0.0, -self.free_s)
