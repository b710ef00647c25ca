"""Whose fault a refusal is, by its words."""

import re
from pathlib import Path

import pytest

from compat import errors
from compat.errors import Fault, PanelError, fault_of, is_lack_of_funds, is_unknown_order, is_unknown_refill


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Incorrect link", Fault.ORDER),
        (" incorrect  LINK. ", Fault.ORDER),
        ("Bad Link", Fault.ORDER),
        ("Quantity out of bounds", Fault.ORDER),
        ("Quantity less than minimal 50", Fault.ORDER),
        ("quantity more than maximum 1000.", Fault.ORDER),
        ("You have active order with this link. Please wait until order being completed.", Fault.ORDER),
        ("neworder.error.link_duplicate", Fault.ORDER),
        ("neworder.error.comment", Fault.ORDER),
        ("Not enough funds on balance", Fault.PROVIDER),
        ("neworder.error.insufficient_balance", Fault.PROVIDER),
        ("Invalid API key", Fault.PROVIDER),
        ("API key is incorrect", Fault.PROVIDER),
        ("API is disable for this user or it is not allowed", Fault.PROVIDER),
        ("Incorrect service ID", Fault.PROVIDER),
        ("Disabled service ID", Fault.PROVIDER),
        ("Service ID does not exists", Fault.PROVIDER),
        ("This action is invalid", Fault.PROVIDER),
        ("Too many requests", Fault.PASSING),
        ("too many requests!", Fault.PASSING),
        ("Service temporarily unavailable.", Fault.PASSING),
    ],
)
def test_known_words_tell_whose_fault_it_is(text: str, fault: Fault) -> None:
    assert fault_of(text) is fault


def words_of_upstreams() -> list[str]:
    """Those that rule 3.2 of docs/protocol.md says are recognised, the raw keys in full."""
    text = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
    rule = text[text.index("**3.2**") : text.index("an `error` that is an array")]
    words = []
    for quoted in re.findall(r"`([^`]+)`", rule):
        stem, _, ends = quoted.partition("{")
        words += [stem + end.strip() for end in ends.rstrip("}").split(",")] if ends else [quoted]
    return words


def test_every_word_of_the_protocol_is_recognised() -> None:
    words = words_of_upstreams()
    assert len(words) == 19
    strange = [word for word in words if not (fault_of(word) or is_unknown_order(word) or is_unknown_refill(word))]
    assert strange == []


@pytest.mark.parametrize("text", ["", "Something went wrong", "Service unavailable in your country", "Not enough"])
def test_words_that_nobody_taught_us_tell_nothing(text: str) -> None:
    assert fault_of(text) is None


def test_lack_of_funds_is_known_in_each_wording() -> None:
    assert is_lack_of_funds("not enough funds on BALANCE.")
    assert is_lack_of_funds("neworder.error.not_enough_funds")
    for taught in ("Insufficient balance", "You don't have enough credit!", "Your balance is too low", "Low funds"):
        assert is_lack_of_funds(taught)
        assert fault_of(taught) is None
    for other in ("Invalid API key", "Not enough drivers", "Your balance is blocked", "Quantity too low", ""):
        assert not is_lack_of_funds(other)


def test_an_unknown_order_is_known_in_each_wording() -> None:
    assert is_unknown_order("Incorrect order ID")
    assert is_unknown_order("order not found.")
    assert is_unknown_order("error.incorrect_order_id")
    assert not is_unknown_order("Incorrect service ID")


def test_an_unknown_refill_is_known_in_each_wording() -> None:
    assert is_unknown_refill("Refill not found")
    assert is_unknown_refill("error.incorrect_refill_id")
    assert not is_unknown_refill("Incorrect order ID")


def test_a_refusal_is_http_200_unless_it_says_otherwise() -> None:
    error = PanelError(errors.INCORRECT_LINK)
    assert (error.text, error.status, error.headers, error.placed) == ("Incorrect link", 200, {}, None)


def test_the_words_are_those_that_clients_match() -> None:
    words = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    assert words == {
        "Incorrect request", "Invalid API key", "Incorrect service ID", "Disabled service ID",
        "Not enough funds on balance", "Incorrect link", "Quantity less than minimal {}",
        "Quantity more than maximum {}",
        "You have active order with this link. Please wait until order being completed.",
        "Incorrect order ID", "Refill not found", "Refill is disabled for this service",
        "The order is not completed",
        "The order was completed or refill was requested less than 24 hours ago", "Too many requests",
        "Incorrect quantity", "Too many orders in one request", "Request too large",
        "Service temporarily unavailable", "Idempotency key was used with other fields",
    }  # fmt: skip
