"""Times counted by their logarithm, and what is said of a service from them; pure.

A histogram says how many orders fell into each bucket: bucket 0 is below a second, the last one is
a year and more, and each between is `_GROWTH` times as wide as the one before.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, zip_longest
from typing import TypeAlias

import msgspec

RELATIVE_ERROR = 0.05
"""Of a quantile from 1 second to a year; below a second it is off by at most half of one."""
ORDERS_MIN = 10
"""Of fewer orders nothing is said."""

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_YEAR_S = 365 * 86_400
_ROUNDING = 1e-9
BOUNDS: tuple[float, ...] = tuple(_GROWTH**power for power in range(math.ceil(math.log(_YEAR_S, _GROWTH)) + 1))
"""The lower ends, in seconds, of the buckets from 1 on; PostgreSQL's `width_bucket` counts by the same."""

Histogram: TypeAlias = tuple[int, ...]


def bucket_of(seconds: float) -> int:
    """Which bucket a time falls into; below zero counts as zero."""
    return bisect_right(BOUNDS, seconds)


def quantile(histogram: Histogram, q: float) -> float | None:
    """The time that a share `q` of the orders did not exceed, in seconds; None of an empty histogram.

    Of n times in order it is the one of rank ⌈q × n⌉, within `RELATIVE_ERROR`.
    """
    count = sum(histogram)
    if count == 0:
        return None
    rank = max(1, math.ceil(q * count - _ROUNDING))
    return _middle(bisect_left(tuple(accumulate(histogram)), rank))


def _middle(bucket: int) -> float:
    """The value from which both ends of the bucket are equally far, as a share of each."""
    if bucket == 0:
        return BOUNDS[0] / 2
    if bucket >= len(BOUNDS):
        return BOUNDS[-1]
    return 2 * BOUNDS[bucket] / (_GROWTH + 1)


class Counts(msgspec.Struct, frozen=True):
    """What was counted of orders that ended; `starts` and `finishes` are the times since the upstream took them."""

    completed: int = 0
    partial: int = 0
    cancelled: int = 0
    refills: int = 0
    starts: Histogram = ()
    finishes: Histogram = ()

    @property
    def orders(self) -> int:
        return self.completed + self.partial + self.cancelled


def merge(parts: Iterable[Counts]) -> Counts:
    """Counted together: of several days, or of a service's routes."""
    total = Counts()
    for part in parts:
        total = Counts(
            total.completed + part.completed,
            total.partial + part.partial,
            total.cancelled + part.cancelled,
            total.refills + part.refills,
            _added(total.starts, part.starts),
            _added(total.finishes, part.finishes),
        )
    return total


def _added(one: Histogram, other: Histogram) -> Histogram:
    return tuple(a + b for a, b in zip_longest(one, other, fillvalue=0))


class Summary(msgspec.Struct, frozen=True):
    """What is said of a service or a route. Times in seconds, to three digits, since the upstream took the order.

    Shares are of the orders that ended, from 0 to 1. A time is None where fewer than ten orders have it.
    """

    orders: int
    completed_share: float
    partial_share: float
    cancelled_share: float
    refills: int
    start_median_s: float | None
    start_p90_s: float | None
    finish_median_s: float | None
    finish_p90_s: float | None


def summarise(counts: Counts) -> Summary | None:
    """None under ten orders."""
    if counts.orders < ORDERS_MIN:
        return None
    return Summary(
        orders=counts.orders,
        completed_share=round(counts.completed / counts.orders, 4),
        partial_share=round(counts.partial / counts.orders, 4),
        cancelled_share=round(counts.cancelled / counts.orders, 4),
        refills=counts.refills,
        start_median_s=_told(counts.starts, 0.5),
        start_p90_s=_told(counts.starts, 0.9),
        finish_median_s=_told(counts.finishes, 0.5),
        finish_p90_s=_told(counts.finishes, 0.9),
    )


def _told(histogram: Histogram, q: float) -> float | None:
    value = quantile(histogram, q) if sum(histogram) >= ORDERS_MIN else None
    return None if value is None else float(f"{value:.3g}")


def average_time(summary: Summary | None) -> str | None:
    """What panels show as a service's average time: the median until completion, in words."""
    if summary is None or summary.finish_median_s is None:
        return None
    return in_words(summary.finish_median_s)


def in_words(seconds: float) -> str:
    """`1 hour 20 minutes`: the two largest units of days, hours and minutes; a minute at least."""
    minutes = max(1, round(seconds / 60))
    if minutes >= 24 * 60:
        hours = round(minutes / 60)
        parts = [(hours // 24, "day"), (hours % 24, "hour")]
    else:
        parts = [(minutes // 60, "hour"), (minutes % 60, "minute")]
    return " ".join(f"{number} {unit}{'s' if number != 1 else ''}" for number, unit in parts if number)
