"""No JSON whatever makes the reading of replies raise anything but ValueError."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.replies import classify_add, read_balance, read_services
from compat.reports import read_statuses
from compat.values import read_id, read_whole
from compat.wire import Accepted, NotSent, Refused, Unknown

NAMES = st.sampled_from(
    [
        "order",
        "order_id",
        "id",
        "error",
        "errors",
        "data",
        "status",
        "msg",
        "services",
        "service",
        "name",
        "rate",
        "min",
        "max",
        "remains",
        "charge",
        "balance",
        "currency",
        "start_count",
        "success",
        "1",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["1", "0", "Incorrect link", "Completed", "error", "-5", "1e9", "٣", "1" * 70]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)  # fmt: skip


@given(VALUES, st.sampled_from([200, 201, 302, 400, 429, 500, 503]), st.booleans())
def test_any_json_has_a_class_and_only_an_id_at_200_is_accepted(value: object, status: int, honours: bool) -> None:
    outcome = classify_add(status, msgspec.json.encode(value), honours_extension=honours)
    assert isinstance(outcome, Accepted | Refused | NotSent | Unknown)
    if isinstance(outcome, Accepted):
        assert status == 200
        assert read_id(outcome.order) == outcome.order
    if isinstance(outcome, NotSent):
        assert (status, honours) == (503, True)
    if isinstance(outcome, Refused):
        assert status < 500


@given(st.binary(max_size=60))
def test_any_bytes_have_a_class(body: bytes) -> None:
    assert isinstance(classify_add(200, body), Accepted | Refused | Unknown)


@given(VALUES)
def test_any_json_is_a_report_or_a_value_error(value: object) -> None:
    try:
        reports = read_statuses(value, ["1", "2"])
    except ValueError:
        return
    assert set(reports) <= {"1", "2"}


@given(VALUES)
def test_any_json_is_services_a_balance_or_a_value_error(value: object) -> None:
    for read in (read_services, read_balance):
        try:
            read(value)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ("157", 157),
        ("157.0", 157),
        (157.0, 157),
        (" 1,570 ", 1570),
        ("1,570.0", 1570),
        ("-3", -3),
        ("0,90", None),
        ("157,0", None),
        ("1570,000", None),
        (-3, -3),
        (None, None),
        ("many", None),
        (True, None),
        ("1e3", None),
        ("1" * 16, None),
        ("12" + " " * 40 + "9", None),
        (1e300, None),
    ],
)
def test_whole_numbers_are_read_in_every_spelling(value: object, whole: int | None) -> None:
    assert read_whole(value) == whole
