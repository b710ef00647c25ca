"""`make bench` in its shortest form: that it works and proves its figures, not how fast anything is."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import pages
from benchmarks.lists import ASKS_UPSTREAM
from benchmarks.report import GOALS, RATIOS
from benchmarks.year_report import GOALS as YEAR_GOALS
from gateway.api.v1.router import OPERATIONS
from tests.support.processes import plain_environment

PROJECT = Path(__file__).parents[2]
NAMED = {"status", "add", "add_hot_wallet", "add_hot_wallet_pgbench", "services"}


@pytest.mark.timeout(240)
async def test_requests_are_measured_and_each_answer_that_promised_an_order_has_one(tmp_path: Path) -> None:
    out = tmp_path / "results" / "latest.json"
    said = await bench("--shortest", "--out", str(out))

    found = json.loads(out.read_bytes())
    assert found["orders"]["in_database"] == found["orders"]["answered"] > 0
    assert found["orders"]["ledger_verify"] == "the ledger is clean"
    assert set(found["ratios"]) == set(RATIOS) >= NAMED
    assert all(value > 0 for value in found["ratios"].values())
    assert all(least <= most for least, most in found["spread"].values())
    assert set(found["goals"]) == GOALS
    assert all(figure["a_second"] > 0 for figure in found["figures"].values())
    assert {"processor", "cores", "sync_ms", "python", "libraries"} <= set(found["machine"])
    assert {"commit", "at", "options"} <= set(found)
    assert out.with_suffix(".svg").read_text().startswith("<svg")
    assert all(name in said for name in RATIOS)


@pytest.mark.timeout(240)
async def test_what_a_worker_does_is_measured_and_each_order_is_proved(tmp_path: Path) -> None:
    out = tmp_path / "behind.json"
    said = await bench("behind", "--shortest", "--out", str(out))

    found = json.loads(out.read_bytes())
    placed = found["options"]["orders"] + found["options"]["orders"] // 10 + found["options"]["wallets"]
    clocked = round(found["options"]["seconds"] * found["options"]["a_second"])
    assert found["orders"] == {"proved": placed + clocked, "ledger_verify": "the ledger is clean"}
    figures = {"floor", "sends", "polls", "polls_moved", "settles", "latency_p50_ms", "latency_p99_ms"}
    assert figures <= set(found["figures"])
    assert all(found["figures"][name]["median"] > 0 for name in figures)
    assert set(found["goals"]) == {"sends_of_floor", "latency_p50_ms", "polls", "settles"}
    assert "F4" in said


@pytest.mark.timeout(300)
async def test_a_past_is_loaded_with_books_that_are_right_and_every_list_of_it_answers(tmp_path: Path) -> None:
    out = tmp_path / "year.json"
    said = await bench("year", "--shortest", "--out", str(out))

    found = json.loads(out.read_bytes())
    size = found["options"]["size"]
    assert found["ledger_verify"] == {"full": "the ledger is clean", "empty": "the ledger is clean"}
    assert all(there == told > 0 for there, told in found["orders"].values())
    assert found["orders"]["full"][0] > size["orders"]
    rows = {table["name"]: table["rows"] for table in found["tables"]}
    assert rows["orders"] == size["orders"]
    assert rows["ledger"] == rows["ledger_references"] > 1.9 * size["orders"]
    assert {"refills", "events", "webhook_deliveries", "dispatch_attempts"} <= {name for name in rows if rows[name]}
    asked = {each["shape"].partition("?")[0] for each in found["lists"]}
    lists = {f"GET {each.path}" for each in OPERATIONS if each.method == "GET" and each.id not in ASKS_UPSTREAM}
    assert lists < asked
    assert set(found["goals"]) == YEAR_GOALS
    assert all(0 < least <= most for least, most in found["spread"].values())
    assert "| orders |" in said


@pytest.mark.timeout(240)
async def test_what_webhooks_take_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "webhooks.json"
    await bench("webhooks", "--shortest", "--out", str(out))
    found = json.loads(out.read_bytes())
    assert [row["median"] > 0 for row in found["rows"]] == [True] * 6


def test_the_page_of_figures_is_made_of_the_results_that_are_there() -> None:
    assert pages.PAGE.read_text() == pages.compose()


async def bench(*words: str) -> str:
    """What the command prints, once it succeeded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks", *words,
        cwd=PROJECT, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    said, complaints = await process.communicate()
    assert process.returncode == 0, (said + complaints).decode()[-5000:]
    return said.decode()
