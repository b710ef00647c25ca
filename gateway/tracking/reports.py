"""What an upstream's report means to us, with its numbers inside what a row can hold; pure."""

from decimal import Decimal

from compat.money import LIMIT
from compat.status import UpstreamStatus
from compat.wire import UpstreamReport
from gateway.orders.families.model import Family, Mode
from gateway.orders.triggers import Reported

START_COUNT_MAX = 2**63 - 1
REMAINS_MAX = 2**31 - 1
_TAKEN_BACK = (UpstreamStatus.CANCELED, UpstreamStatus.FAILED, UpstreamStatus.REFUNDED)


def reported(report: UpstreamReport) -> Reported:
    """The trigger."""
    start_count = report.start_count
    if start_count is not None and not 0 <= start_count <= START_COUNT_MAX:
        start_count = None
    remains = report.remains
    if remains is not None:
        remains = max(0, min(remains, REMAINS_MAX))
    charge = report.charge if report.charge is not None and report.charge < LIMIT else None
    return Reported(report.word, report.status, remains, start_count, report.error, charge)


def quantity_of(family: Family, report: UpstreamReport, cost: Decimal | None) -> int:
    """How much a child that an upstream began is of.

    A run of a drip-feed is as large as the others. Of a post the upstream says it, or its charge
    does at the `cost` of the largest post; where neither can be read it counts as the largest.
    Of one that ended short the charge is for what was delivered, and what remains comes on top.
    """
    most = family.run_quantity
    if family.mode is not Mode.SUBSCRIPTION:
        return most
    if report.quantity is not None and 1 <= report.quantity <= most:
        return report.quantity
    if not cost or not report.charge or report.status in _TAKEN_BACK:
        return most
    remains = 0
    if report.status is UpstreamStatus.PARTIAL:
        remains = most if report.remains is None else max(0, report.remains)
    return max(1, min(most, round(report.charge * most / cost) + remains))
