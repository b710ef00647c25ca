"""Which ids a probe asks about, what is a candidate among them, and how many unknown orders are too many; pure."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from uuid import UUID

import msgspec

from compat.errors import Fault
from compat.replies import UNKNOWN_WORDS, classify_add
from compat.status import UpstreamStatus
from compat.transport import read_evidence
from compat.wire import Refused, UpstreamReport

IDS_MAX = 1000
"""Ids that one probe asks about."""
ROUNDS_MAX = 5
ENDED_SHORT = (UpstreamStatus.PARTIAL, UpstreamStatus.CANCELED, UpstreamStatus.FAILED, UpstreamStatus.REFUNDED)
SHARE = "sends in ten minutes are unknown"
"""How the words end in which a provider is paused for a share of its sends."""
SENDS_MIN = 200
"""Sends in ten minutes below which a share of them says nothing: one unknown order pauses nobody."""


def wait_after(round_number: int) -> timedelta:
    """From the n-th probe of an attempt to the next: 1, 4, 16 … minutes."""
    return timedelta(minutes=4.0 ** (min(max(round_number, 1), ROUNDS_MAX) - 1))


class Window(msgspec.Struct, frozen=True):
    """The upstream's ids between which an order must lie that it took: of orders sent surely before and after it.

    None where no such order is known.
    """

    above: int | None
    below: int | None

    def ids(self, most: int) -> range | None:
        """The ids to ask about; None where nothing is known before, or they are more than `most`.

        Where nothing is known after, they are the next `most`.
        """
        if self.above is None:
            return None
        below = self.above + most + 1 if self.below is None else self.below
        ids = range(self.above + 1, below)
        return ids if 0 < len(ids) <= most else None

    def may_hold(self, upstream_id: int) -> bool:
        above, below = self.above or 0, self.below
        return above < upstream_id and (below is None or upstream_id < below)


class Sought(msgspec.Struct, frozen=True):
    """An unknown attempt that is looked for; `cost` in `currency`, which is the provider's."""

    attempt_id: UUID
    provider_id: UUID
    number: int
    quantity: int
    cost: Decimal
    currency: str
    resends: int
    is_parent: bool = False


def fits(report: UpstreamReport, sought: Sought) -> bool:
    """Whether what the upstream says of one of its orders can be said of the order that is looked for."""
    return (
        report.error is None
        and report.charge is not None
        and is_charge_of(report.charge, sought.cost)
        and report.currency in (None, sought.currency)
        and (report.remains is None or report.remains <= sought.quantity)
        and report.quantity in (None, sought.quantity)
        and (sought.is_parent or not report.orders)
    )


def is_charge_of(charge: Decimal, cost: Decimal) -> bool:
    """Whether a charge is the cost, exactly or rounded as panels print it, to two places or more.

    Nothing at all is nobody's charge: it is also that of every cancelled order.
    """
    if charge <= 0:
        return False
    return charge == cost or any(
        charge == cost.quantize(Decimal(1).scaleb(-places), rounding=rounding)
        for places in range(2, 8)
        for rounding in (ROUND_HALF_EVEN, ROUND_HALF_UP)
    )


def may_be_of(report: UpstreamReport, cost: Decimal | None) -> bool:
    """Whether an upstream's order can be one of this cost, of which no more is known.

    The charge of one that ended short is less than its cost.
    """
    if cost is None or report.charge is None:
        return cost is None
    return is_charge_of(report.charge, cost) or (report.status in ENDED_SHORT and report.charge < cost)


def orders_in(reports: Mapping[str, UpstreamReport], runs: Collection[str] = ()) -> dict[str, UpstreamReport]:
    """What are orders there: neither an error nor an answer without content, nor a run of another, given or told."""
    told = {run for report in reports.values() for run in report.orders} | set(runs)
    return {
        upstream_id: report
        for upstream_id, report in sorted(reports.items())
        if report.error is None and (report.charge is not None or report.status is not None) and upstream_id not in told
    }


def refusal_in(reason: str | None, answer: str | None, taught: Mapping[str, Fault]) -> Refused | None:
    """What the stored answer of an unknown attempt means with the words that were taught; None for anything else."""
    found = read_evidence(answer) if answer is not None and reason == UNKNOWN_WORDS else None
    if found is None:
        return None
    status, body = found
    outcome = classify_add(status, body.encode(), taught=taught)
    return outcome if isinstance(outcome, Refused) else None


class Doubt(msgspec.Struct, frozen=True):
    """A provider's unknown orders that nobody acknowledged: all, and those among the last ten minutes' sends.

    `rests` is that it is paused already for the share that they are.
    """

    provider_id: UUID
    open: int
    recent: int
    sends: int
    rests: bool = False


def too_many(doubt: Doubt, open_max: int, percent_max: float) -> str | None:
    """Why the provider is to rest, in words; None where it is not.

    The sends of one that rests only grow old, so that becoming few is no reason to end its rest.
    """
    if doubt.open > open_max:
        return f"{doubt.open} orders are unknown"
    if (
        (doubt.sends >= SENDS_MIN or doubt.rests)
        and doubt.recent > 1
        and doubt.recent * 100 > doubt.sends * percent_max
    ):
        return f"{doubt.recent} of {doubt.sends} {SHARE}"
    return None
