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
    """One order; `ending` is settled when its status is first asked for, `stopped` is what remained at its cancel.

    `charge` is what was taken for it, `kept` what of that was not paid back. One that `falls_back` is
    told Completed, then Partial, In progress, and Partial for good.
    """

    accepted: Acceptance
    charge: Decimal
    seconds: float
    start_count: int
    kept: Decimal
    ending: PanelStatus | None = None
    falls_back: bool = False
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
    is_first = run.ending is None
    for name, ending in (("partial", PanelStatus.PARTIAL), ("cancel", PanelStatus.CANCELED)):
        if (is_first and faults.rolled(name)) or faults.ordered(name):
            run.ending = ending
    if is_first:
        run.ending = run.ending or PanelStatus.COMPLETED
        run.falls_back = faults.rolled("backwards-status")


def look(run: Run, elapsed_s: float) -> Now:
    """The order after `elapsed_s` of the panel's own time."""
    status, remains = _progress(run, elapsed_s / run.seconds)
    return Now(status, remains, charge_of(run, status, remains))


def tell(run: Run, now: Now, faults: Faults) -> Now:
    """What `status` says of it: the same, but for an order that goes backwards once it was told Completed."""
    if now.status is PanelStatus.COMPLETED:
        if not run.completed_seen:
            run.completed_seen = True
            return now
        if not (run.falls_back or faults.ordered("backwards-status")):
            return now
        run.went_back = 1
        return look(run, run.seconds)
    if run.went_back == 1:
        run.went_back = 2
        return Now(PanelStatus.IN_PROGRESS, now.remains, run.charge)
    return now


def end_of(run: Run) -> Now | None:
    """How it ends, or will unless it is cancelled; None where that is not decided yet."""
    if run.ending is None and run.stopped is None:
        return None
    now = look(run, run.seconds)
    if now.status is PanelStatus.COMPLETED and run.falls_back:
        remains = _half(run.accepted.quantity)
        return Now(PanelStatus.PARTIAL, remains, charge_of(run, PanelStatus.PARTIAL, remains))
    return now


def remains_now(run: Run, elapsed_s: float) -> int:
    """What is undelivered by the clock alone."""
    quantity, done = run.accepted.quantity, elapsed_s / run.seconds
    return quantity if done < 0.25 else max(0, quantity - int(quantity * (done - 0.25) / 0.75))


def _progress(run: Run, done: float) -> tuple[PanelStatus, int]:
    quantity = run.accepted.quantity
    if run.stopped is not None:
        return (PanelStatus.CANCELED if run.stopped == quantity else PanelStatus.PARTIAL), run.stopped
    if done < 0.25:
        return PanelStatus.PENDING, quantity
    if done < 1.0:
        return PanelStatus.IN_PROGRESS, remains_now(run, done * run.seconds)
    if run.ending is PanelStatus.CANCELED:
        return PanelStatus.CANCELED, quantity
    if run.ending is PanelStatus.PARTIAL or run.went_back:
        return PanelStatus.PARTIAL, _half(quantity)
    return PanelStatus.COMPLETED, 0


def _half(quantity: int) -> int:
    """What remains of a partial one."""
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
