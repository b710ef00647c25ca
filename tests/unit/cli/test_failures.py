"""What an operator reads when a command fails."""

import pytest

from gateway.cli.failures import explain
from gateway.errors import ConfigurationError, InsufficientFunds, NotFound, Unavailable


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (NotFound("user a@b.c"), ["user a@b.c not found"]),
        (InsufficientFunds(), ["What can be spent does not cover the price."]),
        (ConfigurationError(["one", "two"]), ["one", "two"]),
        (ConnectionRefusedError(111, "Connection refused"), ["Connection refused"]),
        (FileNotFoundError(2, "No such file or directory", "x"), ["x: No such file or directory"]),
        (ExceptionGroup("both", [NotFound("it"), NotFound("it")]), ["it not found"]),
    ],
)
def test_a_failure_that_can_be_foreseen_has_a_line_for_each_fault(error: Exception, lines: list[str]) -> None:
    assert explain(error) == lines


def test_a_refused_connection_is_told_with_its_cause() -> None:
    error = Unavailable("the database does not answer")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert explain(error) == ["the database does not answer: Connection refused"]


def test_a_bug_is_not_explained_away() -> None:
    assert explain(KeyError("x")) == []
