"""What is printed for people and for programs."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.cli.output import print_json, print_table, show


def test_amounts_in_json_are_strings_in_plain_digits(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"amount": Decimal("0E-8"), "more": [Decimal("1.50000000")]})
    assert capsys.readouterr().out == '{"amount":"0","more":["1.5"]}\n'


def test_a_table_that_is_piped_is_never_cut_nor_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[bold] " + "long " * 100
    print_table({"name": "NAME", "on": "ON"}, [{"name": name, "on": True}])
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "ON"]
    assert row.rstrip() == " ".join(name.split()) + "  yes"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (False, "no"),
        (Decimal("100.00000000"), "100"),
        ("two\nlines", "two lines"),
        ({"a": Decimal("1.10")}, '{"a":"1.1"}'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02 03:04:05+00:00"),
    ],
)
def test_a_value_is_one_line(value: object, text: str) -> None:
    assert show(value) == text
