"""One order of the simulated panel under way: what it says by the clock, and what it costs."""

from decimal import Decimal

import msgspec

from compat.money import format_amount, round8
from compat.simulator.faults import Faults
from compat.simulator.log import Acceptance
from compat.status import PanelStatus

CURRENCY = "USD"
SECONDS = (2.0, 6.0)
"""From acceptance to the end of an order, at speed 1."""


class Run(msgspec.Struct):
    """One order; `ending` is settled when its status is first asked for, `stopped` is what remained at its cancel."""

    accepted: Acceptance
    charge: Decimal
    seconds: float
    start_count: int
    ending: PanelStatus | None = None
    stopped: int | None = None
    settled: bool = False
    completed_seen: bool = False
    went_back: int = 0


class Now(msgspec.Struct, frozen=True):
    """What a panel says of an order at a moment."""

    status: PanelStatus
    remains: int
    charge: Decimal

    @property
    def is_over(self) -> bool:
        return self.status not in (PanelStatus.PENDING, PanelStatus.IN_PROGRESS)


def decide_ending(run: Run, faults: Faults) -> None:
    """By rate once an order, the first time; by order at any time before its end was told."""
    if run.settled:
        return
    for name, ending in (("partial", PanelStatus.PARTIAL), ("cancel", PanelStatus.CANCELED)):
        by_rate = run.ending is None and faults.rolled(name)
        if by_rate or faults.ordered(name):
            run.ending = ending
    run.ending = run.ending or PanelStatus.COMPLETED


def look(run: Run, elapsed_s: float, faults: Faults) -> Now:
    """The order after `elapsed_s` of the panel's own time."""
    status, remains = _progress(run, elapsed_s / run.seconds, faults)
    return Now(status, remains, charge_of(run, status, remains))


def remains_now(run: Run, elapsed_s: float) -> int:
    """What is undelivered by the clock alone."""
    quantity, done = run.accepted.quantity, elapsed_s / run.seconds
    return quantity if done < 0.25 else max(0, quantity - int(quantity * (done - 0.25) / 0.75))


def _progress(run: Run, done: float, faults: Faults) -> tuple[PanelStatus, int]:
    quantity = run.accepted.quantity
    if run.stopped is not None:
        return (PanelStatus.CANCELED if run.stopped == quantity else PanelStatus.PARTIAL), run.stopped
    if done < 0.25:
        return PanelStatus.PENDING, quantity
    if done < 1.0:
        return PanelStatus.IN_PROGRESS, remains_now(run, done * run.seconds)
    if run.ending is PanelStatus.CANCELED:
        return PanelStatus.CANCELED, quantity
    if run.ending is PanelStatus.PARTIAL:
        return PanelStatus.PARTIAL, _half(quantity)
    if run.completed_seen and faults.fires("backwards-status"):
        run.went_back += 1
        back = PanelStatus.PARTIAL if run.went_back % 2 else PanelStatus.IN_PROGRESS
        return back, _half(quantity)
    run.completed_seen = True
    return PanelStatus.COMPLETED, 0


def _half(quantity: int) -> int:
    return max(1, quantity // 2)


def charge_of(run: Run, status: PanelStatus, remains: int) -> Decimal:
    if status is PanelStatus.CANCELED:
        return Decimal(0)
    if status is PanelStatus.PARTIAL and remains > 0:
        return round8(run.charge * (run.accepted.quantity - remains) / run.accepted.quantity)
    return run.charge


def reply_of(run: Run, now: Now) -> dict[str, object]:
    """What `status` answers: strings all of it."""
    return {
        "charge": format_amount(now.charge),
        "start_count": str(run.start_count),
        "status": now.status.value,
        "remains": str(now.remains),
        "currency": CURRENCY,
    }
