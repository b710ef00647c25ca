"""Every refusal of the gateway has its words on the panel's wire."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import gateway
from compat.errors import PanelError
from gateway.api.errors import PANEL, panel_words, to_panel_error
from gateway.errors import (
    CannotCancel,
    Conflict,
    GatewayError,
    InsufficientFunds,
    InvalidKey,
    OrderNotCompleted,
    QuantityTooHigh,
    QuantityTooLow,
    RefillDisabled,
    RefillTooEarly,
    TooManyRequests,
    Unavailable,
)


def kinds_of(parent: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for child in parent.__subclasses__():
        yield child
        yield from kinds_of(child)


def test_no_refusal_below_the_command_line_is_missing_from_the_table() -> None:
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not module.name.startswith(("gateway.cli", "gateway.__main__")):
            importlib.import_module(module.name)
    known = [kind for kind in kinds_of(GatewayError) if not kind.__module__.startswith("gateway.cli")]
    assert [kind for kind in known if not set(kind.__mro__) & set(PANEL)] == []


@pytest.mark.parametrize(
    ("error", "text", "status"),
    [
        (InvalidKey(), "Invalid API key", 200),
        (InsufficientFunds(), "Not enough funds on balance", 200),
        (QuantityTooLow(50), "Quantity less than minimal 50", 200),
        (QuantityTooHigh(10_000), "Quantity more than maximum 10000", 200),
        (TooManyRequests({}), "Too many requests", 429),
        (Unavailable("the database"), "Service temporarily unavailable", 503),
        (CannotCancel(), "Incorrect request", 200),
        (RefillDisabled(), "Refill is disabled for this service", 200),
        (OrderNotCompleted(), "The order is not completed", 200),
        (
            RefillTooEarly(),
            "The order was completed or refill was requested less than 24 hours ago",
            200,
        ),
        (Conflict("a secret of the operator"), "Incorrect request", 200),
    ],
)
def test_a_refusal_is_told_in_the_words_that_clients_match(error: GatewayError, text: str, status: int) -> None:
    refusal = to_panel_error(error)
    assert (refusal.text, refusal.status) == (text, status)


def test_a_reached_limit_says_when_to_come_back() -> None:
    assert to_panel_error(TooManyRequests({"Retry-After": "7"})).headers == {"Retry-After": "7"}


@pytest.mark.parametrize("placed", [None, False])
def test_an_outage_says_whether_anything_was_written(placed: bool | None) -> None:
    assert to_panel_error(Unavailable("the database", placed=placed)).placed is placed


def test_a_block_raises_the_gateways_refusals_as_the_panels() -> None:
    with pytest.raises(PanelError, match="Invalid API key"), panel_words():
        raise InvalidKey
