"""Where an order's number can be: the months that are closed and can hold it, and all that is not closed."""

import itertools
from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.db.partitions import FIRST_ID, LAST_ID, NumberMap, month_floor

MARCH, APRIL, MAY, JUNE = (date(2026, month, 1) for month in (3, 4, 5, 6))


def test_without_closed_months_everything_is_open() -> None:
    assert NumberMap().ranges(1) == [(FIRST_ID, LAST_ID)]


def test_a_month_between_closed_ones_stays_open() -> None:
    numbers = NumberMap([(MARCH, 1, 10), (MAY, 20, 30)])
    assert numbers.ranges(15) == [
        (month_floor(JUNE), LAST_ID),
        (month_floor(APRIL), month_floor(MAY)),
        (FIRST_ID, month_floor(MARCH)),
    ]


def test_a_closed_month_that_has_such_numbers_is_the_first_else_what_is_open_now() -> None:
    numbers = NumberMap([(MARCH, 1, 10), (APRIL, 9, 30)])
    assert [low for low, _ in numbers.ranges(5)] == [month_floor(MARCH), month_floor(MAY), FIRST_ID]
    assert [low for low, _ in numbers.ranges(9)] == [month_floor(MARCH), month_floor(APRIL), month_floor(MAY), FIRST_ID]
    assert [low for low, _ in numbers.ranges(31)] == [month_floor(MAY), FIRST_ID]


@given(st.sets(st.dates(date(2020, 1, 1), date(2027, 12, 1)).map(lambda day: day.replace(day=1))))
def test_the_ranges_of_a_number_that_every_month_may_hold_cover_each_id_once(months: set[date]) -> None:
    ranges = sorted(NumberMap((month, 1, 9) for month in months).ranges(5))
    assert ranges[0][0] == UUID(int=0)
    assert ranges[-1][1] == LAST_ID
    assert all(above == low for (_, above), (low, _) in itertools.pairwise(ranges))
