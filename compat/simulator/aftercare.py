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

    def find_open(self, order: int) -> int | None:
        """The number of the order's refill that has not ended."""
        for number, refill in self._refills.items():
            if refill.order == order and self.status(number) in (RefillStatus.PENDING, RefillStatus.IN_PROGRESS):
                return number
        return None

    def numbers(self) -> list[int]:
        return list(self._refills)

    def next_number(self) -> int:
        return self._last + 1

    def begin(self, number: int, order: int, at: float) -> None:
        self._last = max(self._last, number)
        self._refills[number] = Refill(order, at)

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
