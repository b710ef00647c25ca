"""Services, routes, prices and providers by the real command line."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from compat.simulator import Simulator
from gateway.db.engine import Database
from tests.integration.test_cli import Done, Gateway, gateway, is_one_line

__all__ = ["gateway"]


@pytest.fixture
async def panel() -> AsyncIterator[Simulator]:
    panel = Simulator(key="k")
    yield panel
    await panel.stop()


@pytest.fixture
async def north(gateway: Gateway, panel: Simulator) -> str:
    """A provider whose service 1 costs 0.9, sold with a markup of a quarter."""
    added = await gateway("provider", "add", "North", await panel.start(), "--key-stdin", "--markup", "25", stdin="k\n")
    assert added.code == 0, added.err
    assert (await gateway("provider", "sync", "North")).code == 0
    return "North"


def done(result: Done) -> str:
    assert (result.code, result.err) == (0, ""), result.err
    return result.out


async def show(gateway: Gateway, *words: str) -> Any:
    return (await gateway(*words, "--json")).json()


async def test_a_service_is_set_and_shown(gateway: Gateway, north: str) -> None:
    words = ["--name", "Fans", "--description", "", "--price", "2", "--policy", "cheapest", "--max", "900"]
    assert done(await gateway("service", "set", "1", *words)) == "service 1 is set\n"
    shown = await show(gateway, "service", "show", "1")
    assert (shown["name"], shown["description"], shown["price"], shown["max"]) == ("Fans", None, "2", 900)
    assert (shown["policy"], shown["hand_set"]) == ("cheapest", ["description", "max", "name", "price"])
    [route] = shown["routes"]
    assert (route["provider"], route["id"], route["cost"], route["state"]) == (north, "1", "0.9", "ready")
    assert (route["margin_percent"], route["is_source"]) == ("55", True)
    done(await gateway("provider", "sync", north))
    assert await show(gateway, "service", "show", "1") == shown
    followed = await show(gateway, "service", "set", "1", "--follow", "price", "--follow", "max")
    assert (followed["price"], followed["hand_set"]) == ("1.125", ["description", "name"])
    for_people = done(await gateway("service", "show", "1"))
    assert "hand_set       description, name\n" in for_people
    assert "ready" in for_people


async def test_what_is_hardly_meant_is_a_note_on_stderr(gateway: Gateway, north: str) -> None:
    low = await gateway("service", "set", "1", "--price", "0.5")
    assert (low.code, low.err) == (0, "gateway: note: the price is below the cost\n")
    await gateway("user", "add", "ann@example.com", "--role", "reseller")
    gift = await gateway("price", "set", "ann@example.com", "0.1", "--service", "2", "--json")
    assert gift.err == "gateway: note: 1 services would be sold below their cost, the first of them 2\n"
    assert gift.json() == {"email": "ann@example.com", "service": 2, "price": "0.1", "percent": None}


async def test_markups_are_set_listed_and_dropped(gateway: Gateway, north: str) -> None:
    assert (await show(gateway, "markup", "set", "100%", "--fixed", "0.1", "--service", "1")) == {"changed": 1}
    done(await gateway("markup", "set", "-50%", "--category", "Instagram", "--provider", north))
    assert (await show(gateway, "service", "show", "1"))["price"] == "1.9"
    listed = await show(gateway, "markup", "list")
    assert {"provider": None, "category": None, "service": 1, "percent": "100", "fixed": "0.1"} in listed
    assert {"provider": north, "category": "Instagram", "service": None, "percent": "-50", "fixed": "0"} in listed
    done(await gateway("markup", "drop", "--service", "1"))
    assert (await show(gateway, "service", "show", "1"))["price"] == "0.45"
    assert "Instagram" in done(await gateway("markup", "list"))


async def test_prices_of_users_are_set_listed_and_dropped(gateway: Gateway, north: str) -> None:
    await gateway("user", "add", "ann@example.com", "--role", "reseller")
    done(await gateway("price", "set", "Ann@Example.com", "-10%"))
    done(await gateway("price", "set", "ann@example.com", "1.5", "--service", "1"))
    listed = await show(gateway, "price", "list", "ann@example.com")
    assert [(row["service"], row["price"], row["percent"], row["price_for_all"]) for row in listed] == [
        (None, None, "-10", None),
        (1, "1.5", None, "1.125"),
    ]
    assert await show(gateway, "price", "list") == listed
    assert (await show(gateway, "service", "show", "1"))["custom_prices"] == 1
    done(await gateway("price", "drop", "ann@example.com", "--service", "1"))
    assert len(await show(gateway, "price", "list")) == 1
    unsigned = await gateway("price", "set", "ann@example.com", "10%")
    assert (unsigned.code, "give +10% or -10%" in unsigned.err) == (2, True)


async def test_routes_are_added_set_rested_and_accepted(gateway: Gateway, north: str, db: Database) -> None:
    added = await gateway("route", "add", "1", north, "2", "--cost", "0.12", "--priority", "3")
    assert (added.code, added.err) == (0, "")
    assert (await gateway("route", "add", "1", north, "8", "--cost", "1")).err.count("Package") == 1
    done(await gateway("route", "set", "1", north, "1", "--off", "--weight", "7"))
    rows = await show(gateway, "route", "list", "1")
    assert [(row["id"], row["priority"], row["weight"], row["state"]) for row in rows] == [
        ("2", 3, 1, "ready"),
        ("1", 0, 7, "it is switched off"),
    ]
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE service_routes SET offered_cost = 1.8, offered_at = now(), paused_until = now() + interval '1 h' "
            "WHERE cost_per_1000 = 0.9"
        )
    [waiting] = await show(gateway, "route", "quarantine", "--provider", north)
    assert (waiting["service"], waiting["cost"], waiting["offered_cost"], waiting["change_percent"]) == (
        1,
        "0.9",
        "1.8",
        "100",
    )
    assert "1.8" in done(await gateway("route", "quarantine"))
    assert len(await show(gateway, "route", "accept", "1")) == 1
    assert (await show(gateway, "service", "show", "1"))["price"] == "2.25"
    assert await show(gateway, "route", "resume", "1", north) == {"service": 1, "resumed": 1}
    assert done(await gateway("route", "accept", "--all")) == "0 costs accepted\n"
    assert (await gateway("route", "accept")).code == 2


async def test_the_terms_of_a_provider_are_set_and_shown(gateway: Gateway, north: str) -> None:
    words = ["--markup", "100%", "--price-step", "0.5", "--floor", "10%", "--guard", "30", "--sends-per-second", "2.5"]
    more = ["--in-flight", "4", "--low-balance", "50", "--hold-new", "--priority", "2", "--markup-fixed", "-0.1"]
    done(await gateway("provider", "set", north, *words, *more))
    assert (await show(gateway, "service", "show", "1"))["price"] == "2"
    shown = await show(gateway, "provider", "show", north)
    terms = {"markup_percent": "100", "markup_fixed": "-0.1", "price_step": "0.5", "floor_percent": "10",
             "guard_percent": "30", "sends_per_second": "2.5", "in_flight": 4, "low_balance": "50", "hold_new": True,
             "priority": 2, "is_active": True, "sync_error": None, "paused_until": None, "quarantined": 0}  # fmt: skip
    assert {name: shown[name] for name in terms} == terms
    assert shown["synced_at"] is not None
    assert shown["routes"] == shown["listed"] > 0
    after = await show(gateway, "provider", "set", north, "--price-step", "none", "--floor", "none", "--off")
    assert (after["price_step"], after["floor_percent"], after["is_active"]) == (None, None, False)
    assert not any(row["is_active"] for row in await show(gateway, "service", "list"))
    assert (await gateway("provider", "set", north)).code == 2
    assert is_one_line((await gateway("provider", "set", north, "--url", "none")).err)


async def test_another_key_is_read_from_stdin(gateway: Gateway, north: str) -> None:
    done(await gateway("provider", "set", north, "--key-stdin", stdin="wrong\n"))
    refused = await gateway("provider", "sync", north)
    assert (refused.code, "Invalid API key" in refused.err) == (1, True)
    assert "Invalid API key" in (await show(gateway, "provider", "show", north))["sync_error"]


async def test_a_provider_rests_for_a_time_and_is_resumed(gateway: Gateway, north: str) -> None:
    rest = await show(gateway, "provider", "pause", north, "--for", "1h", "--reason", "holiday")
    assert rest["paused_reason"] == "holiday"
    assert "holiday" in (await show(gateway, "route", "list", "1"))[0]["state"]
    assert (await gateway("provider", "resume", north)).code == 0
    assert (await show(gateway, "provider", "show", north))["paused_until"] is None
    assert (await gateway("provider", "pause", north, "--for", "soon")).code == 2


async def test_prices_in_another_currency_need_a_rate(gateway: Gateway, panel: Simulator) -> None:
    words = ["provider", "add", "East", await panel.start(), "--key-stdin", "--currency", "eur"]
    refused = await gateway(*words, stdin="k\n")
    assert refused.err == "gateway: prices in EUR need an exchange rate: what 1 EUR is in USD\n"
    done(await gateway(*words, "--exchange-rate", "1.5", "--json", stdin="k\n"))
    done(await gateway("provider", "sync", "East"))
    shown = await show(gateway, "service", "show", "1")
    assert (shown["price"], shown["currency"], shown["routes"][0]["currency"]) == ("1.35", "USD", "EUR")


@pytest.mark.parametrize(
    "words",
    [
        ["service", "show", "9"],
        ["service", "set", "9", "--name", "A"],
        ["route", "list", "9"],
        ["route", "resume", "9"],
        ["route", "quarantine", "--provider", "nobody"],
        ["route", "accept", "9"],
        ["markup", "set", "5", "--service", "9"],
        ["price", "set", "nobody@example.com", "+5%"],
        ["price", "list", "nobody@example.com"],
        ["provider", "set", "nobody", "--on"],
        ["provider", "show", "nobody"],
        ["provider", "pause", "nobody", "--for", "1h"],
        ["order", "explain", "100001"],
    ],
    ids=" ".join,
)
async def test_what_there_is_not_is_one_line(gateway: Gateway, words: list[str]) -> None:
    result = await gateway(*words)
    assert (result.code, result.out) == (1, "")
    assert is_one_line(result.err)
    assert "not found" in result.err
