"""Ranges of ids as lists go through them: nothing left out, nothing twice, the newest months alone at first."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.db.partitions import EACH_MONTH, FIRST_ID, LAST_ID, MONTHS_BACK, id_at, month_floor, newest_first

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
IDS = st.one_of(
    st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number)),
    st.datetimes(datetime(1970, 1, 2), datetime(2050, 1, 1), timezones=st.just(UTC)).map(id_at),
    st.dates(date(1970, 1, 1), date(2050, 1, 1)).map(lambda day: month_floor(day.replace(day=1))),
)


@pytest.mark.parametrize("months_back", [MONTHS_BACK, EACH_MONTH])
@given(low=IDS, high=IDS, now=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_they_are_the_whole_range_from_its_end_to_its_beginning(
    months_back: Sequence[int], low: UUID, high: UUID, now: datetime
) -> None:
    ranges = [*newest_first(low, high, now, months_back)]
    at = high
    for begin, end in ranges:
        assert (begin < end, end) == (True, at)
        at = begin
    assert (at == low) if low < high else (ranges == [])
    assert len(ranges) <= len(months_back) + 1


def test_the_newest_month_is_the_first_with_whatever_is_dated_later() -> None:
    months = [month_floor(date(*month, 1)) for month in ((2026, 3), (2025, 12), (2024, 12))]
    assert [*newest_first(FIRST_ID, LAST_ID, NOW)] == [
        (months[0], LAST_ID),
        (months[1], months[0]),
        (months[2], months[1]),
        (FIRST_ID, months[2]),
    ]


def test_of_the_past_its_last_month_is_the_first() -> None:
    march = month_floor(date(2025, 3, 1))
    before, since = id_at(datetime(2025, 3, 2, tzinfo=UTC)), id_at(datetime(2025, 2, 1, tzinfo=UTC))
    assert [*newest_first(since, before, NOW)] == [(march, before), (since, march)]
    assert [*newest_first(since, march, NOW)] == [(since, march)]
    assert next(newest_first(FIRST_ID, march, NOW)) == (month_floor(date(2025, 2, 1)), march)


def test_what_is_dated_after_a_clock_that_is_slow_is_there_too() -> None:
    slow = NOW - timedelta(days=400)
    assert next(newest_first(FIRST_ID, LAST_ID, slow))[1] == LAST_ID
