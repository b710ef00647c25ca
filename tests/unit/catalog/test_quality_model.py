"""Histograms of times, their quantiles, and what is said from them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.quality.model import (
    BOUNDS,
    RELATIVE_ERROR,
    Counts,
    Histogram,
    Summary,
    average_time,
    bucket_of,
    in_words,
    merge,
    quantile,
    summarise,
)

YEAR_S = 365 * 86_400
times = st.floats(min_value=0, max_value=YEAR_S, allow_nan=False)
shares = st.sampled_from([0.01, 0.1, 0.5, 0.9, 0.99, 1.0])


def histogram(seconds: list[float]) -> Histogram:
    counts = [0] * (len(BOUNDS) + 1)
    for each in seconds:
        counts[bucket_of(each)] += 1
    return tuple(counts)


@given(st.lists(times, min_size=1, max_size=200), shares)
def test_a_quantile_is_within_the_stated_error_of_the_order_of_that_rank(seconds: list[float], q: float) -> None:
    true = sorted(seconds)[max(1, math.ceil(round(q * len(seconds), 6))) - 1]
    told = quantile(histogram(seconds), q)
    assert told is not None
    assert abs(told - true) <= max(true * RELATIVE_ERROR * 1.000001, 0.5)


@given(st.lists(st.lists(times, max_size=20), max_size=5))
def test_days_counted_apart_and_merged_are_the_days_counted_together(days: list[list[float]]) -> None:
    merged = merge(Counts(completed=len(day), finishes=histogram(day)) for day in days)
    together = [each for day in days for each in day]
    assert merged.completed == len(together)
    assert sum(merged.finishes) == len(together)
    for q in (0.5, 0.9):
        assert quantile(merged.finishes, q) == quantile(histogram(together), q)


def test_histograms_of_different_lengths_are_merged_from_their_low_end() -> None:
    assert merge([Counts(starts=(1, 2)), Counts(starts=(0, 0, 5)), Counts()]).starts == (1, 2, 5)


def test_the_buckets_reach_from_below_a_second_past_a_year() -> None:
    assert (bucket_of(-5), bucket_of(0.99), bucket_of(1)) == (0, 0, 1)
    assert BOUNDS[-1] >= YEAR_S
    assert quantile(histogram([1e12]), 0.5) == BOUNDS[-1]
    assert quantile((), 0.5) is None
    assert quantile((0, 0), 0.5) is None


def test_nothing_is_said_under_ten_orders() -> None:
    nine, ten = histogram([60.0] * 9), histogram([60.0] * 10)
    assert summarise(Counts(completed=5, partial=2, cancelled=2, finishes=nine)) is None
    summary = summarise(Counts(completed=8, partial=1, cancelled=1, refills=3, starts=ten, finishes=nine))
    assert summary is not None
    assert (summary.orders, summary.completed_share, summary.partial_share, summary.refills) == (10, 0.8, 0.1, 3)
    assert summary.start_median_s == pytest.approx(60, rel=0.06)
    assert (summary.finish_median_s, summary.finish_p90_s) == (None, None)
    assert average_time(summary) is None
    assert average_time(None) is None


def test_the_average_time_is_the_median_in_words() -> None:
    summary = Summary(10, 1.0, 0.0, 0.0, 0, 1.0, 1.0, 4800.0, 9000.0)
    assert average_time(summary) == "1 hour 20 minutes"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "1 minute"),
        (89, "1 minute"),
        (150, "2 minutes"),
        (3570, "1 hour"),
        (3660, "1 hour 1 minute"),
        (86_340, "23 hours 59 minutes"),
        (86_380, "1 day"),
        (90_000, "1 day 1 hour"),
        (180_000, "2 days 2 hours"),
        (14 * 86_400, "14 days"),
    ],
)
def test_a_time_is_told_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
