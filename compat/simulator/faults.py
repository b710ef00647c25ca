"""The faults that the simulator has on demand: one table of names, and who decides when they fire."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

FAULTS: dict[str, str] = {
    "refuse": "add is refused for the order's fault (Incorrect link); nothing is accepted",
    "not-enough-funds": "add is refused because our balance there is used up; nothing is accepted",
    "too-many-requests": "HTTP 429 with an error; nothing is accepted",
    "timeout-before": "no answer comes, and nothing is accepted",
    "reset-before": "the connection is reset, and nothing is accepted",
    "http-500": "HTTP 500 with an HTML page, and nothing is accepted",
    "timeout-after": "the order is accepted, then no answer comes",
    "reset": "the order is accepted, then the connection is reset",
    "reset-after": "another name of reset",
    "http-502-after": "the order is accepted, the answer is HTTP 502 with an HTML page",
    "html": "the order is accepted, the answer is an HTML page with HTTP 200",
    "truncated-json": "the order is accepted, the answer is JSON that ends in the middle",
    "slow-drip": "the order is accepted, the answer comes a byte at a time and does not end",
    "huge-body": "the order is accepted, the answer is 96 MiB long",
    "redirect": "the order is accepted, the answer is HTTP 302",
    "wrong-types": "the order is accepted, the answer has values of types that make no sense",
    "duplicate-id": "the order is accepted, the answer has the id of an order before it that was asked about",
    "partial": "an order ends as Partial with half of it delivered",
    "cancel": "an order ends as Canceled with nothing delivered",
    "backwards-status": "an order that was reported Completed is reported Partial, In progress, then Partial for good",
    "refill-rejected": "a refill ends as Rejected",
    "negative-remains": "remains is negative, as of an order that was delivered twice over",
}
"""What each fault does. Those of status fire on status, all the others on add."""

OF_STATUS = ("partial", "cancel", "backwards-status", "refill-rejected", "negative-remains")
BEFORE_ACCEPTING = (
    "refuse",
    "not-enough-funds",
    "too-many-requests",
    "timeout-before",
    "reset-before",
    "http-500",
)
AFTER_ACCEPTING = tuple(name for name in FAULTS if name not in (*OF_STATUS, *BEFORE_ACCEPTING))
ANYWHERE = tuple(
    name for name in (*BEFORE_ACCEPTING[2:], *AFTER_ACCEPTING) if name not in ("wrong-types", "duplicate-id")
)
"""Faults of the transport; written `status:html`, `services:html` or `balance:html` they fire there."""
READS = ("status", "services", "balance", "refill", "refill_status", "cancel")

NAMES = (*FAULTS, *(f"{action}:{name}" for action in READS for name in ANYWHERE))


class UnknownFault(ValueError):
    """There is no such fault, or its rate is not from 0 to 1."""


class Faults:
    """Which faults fire: each with a rate from 0 to 1 by a seeded generator, or the next time by order.

    May be changed while the simulator runs, from its event loop.
    """

    def __init__(self, rates: Mapping[str, float] | None = None, *, seed: int = 0) -> None:
        self._random = random.Random(f"faults {seed}")
        self._rates: dict[str, float] = {}
        self._next: Counter[str] = Counter()
        for name, rate in (rates or {}).items():
            self.set(name, rate)

    @classmethod
    def parse(cls, texts: Iterable[str], *, seed: int = 0) -> Self:
        """Faults as a command line has them, `NAME` (always) or `NAME=RATE`.

        Raises:
            UnknownFault: the message lists the names that there are.
        """
        faults = cls(seed=seed)
        for text in texts:
            name, given, rate = text.partition("=")
            try:
                faults.set(name.strip(), float(rate) if given else 1.0)
            except UnknownFault:
                raise
            except ValueError as error:
                raise UnknownFault(f"{text}: the rate is a number from 0 to 1") from error
        return faults

    def set(self, name: str, rate: float) -> None:
        """Let it fire at this rate from now on; 0 stops it.

        Raises:
            UnknownFault: no such name, or a rate that is none.
        """
        _check(name)
        if not 0 <= rate <= 1:
            raise UnknownFault(f"{name}: the rate is a number from 0 to 1")
        self._rates[name] = rate

    def next(self, name: str, times: int = 1) -> None:
        """Let it fire the next `times` that it can, whatever its rate; faults so ordered go first.

        Raises:
            UnknownFault: no such name.
        """
        _check(name)
        self._next[name] += times

    def clear(self) -> None:
        """No fault fires from now on."""
        self._rates.clear()
        self._next.clear()

    def fires(self, name: str) -> bool:
        """Decide now; an order for the next time is used up by it."""
        return self.ordered(name) or self.rolled(name)

    def ordered(self, name: str) -> bool:
        """True where it was ordered for the next time, which is used up."""
        if self._next[name] <= 0:
            return False
        self._next[name] -= 1
        return True

    def rolled(self, name: str) -> bool:
        """Decide by its rate alone."""
        rate = self._rates.get(name, 0.0)
        return rate > 0 and self._random.random() < rate

    def pick(self, names: Sequence[str]) -> str | None:
        """The first of these that fires, those ordered before those by rate."""
        for decide in (self.ordered, self.rolled):
            for name in names:
                if decide(name):
                    return name
        return None


def _check(name: str) -> None:
    if name not in NAMES:
        raise UnknownFault(
            f"unknown fault {name!r}; there are {', '.join(FAULTS)}; "
            f"and after {', '.join(f'{action}:' for action in READS)} also {', '.join(ANYWHERE)}"
        )
