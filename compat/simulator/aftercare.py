"""Refills of the simulated panel: one open an order, ended by its clock."""

import random
from collections.abc import Callable

import msgspec

from compat.simulator.faults import Faults
from compat.wire import RefillStatus

_SECONDS = 2.0
"""From the asking to the end of a refill, at speed 1."""


class Refill(msgspec.Struct):
    """One refill of an order; whether it is rejected is decided when its status is first asked for."""

    order: int
    at: float
    is_rejected: bool | None = None


class Refills:
    """All refills of one panel, numbered from a seeded start."""

    def __init__(self, seed: int, faults: Faults, elapsed_since: Callable[[float], float]) -> None:
        self._faults = faults
        self._elapsed_since = elapsed_since
        self._refills: dict[int, Refill] = {}
        self._last = random.Random(f"refill {seed}").randrange(1, 900)

    def ask(self, order: int, at: float) -> int:
        """The id of the order's open refill, a new one where there is none."""
        for number, refill in self._refills.items():
            if refill.order == order and self.status(number) in (RefillStatus.PENDING, RefillStatus.IN_PROGRESS):
                return number
        self._last += 1
        self._refills[self._last] = Refill(order, at)
        return self._last

    def status(self, number: int) -> RefillStatus | None:
        refill = self._refills.get(number)
        if refill is None:
            return None
        if refill.is_rejected is None:
            refill.is_rejected = self._faults.fires("refill-rejected")
        done = self._elapsed_since(refill.at) / _SECONDS
        if done < 0.3:
            return RefillStatus.PENDING
        if done < 1:
            return RefillStatus.IN_PROGRESS
        return RefillStatus.REJECTED if refill.is_rejected else RefillStatus.COMPLETED
