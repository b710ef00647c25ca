"""`make bench` in its shortest form: that it works and proves its figures, not how fast anything is."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import GOALS, RATIOS
from tests.support.processes import plain_environment

PROJECT = Path(__file__).parents[2]
NAMED = {"status", "add", "add_hot_wallet", "add_hot_wallet_pgbench", "services"}


@pytest.mark.timeout(240)
async def test_requests_are_measured_and_each_answer_that_promised_an_order_has_one(tmp_path: Path) -> None:
    out = tmp_path / "results" / "latest.json"
    words = [sys.executable, "-m", "benchmarks", "--shortest", "--out", str(out)]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=PROJECT, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, (said + complaints).decode()[-5000:]

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
    assert all(name in said.decode() for name in RATIOS)


@pytest.mark.timeout(240)
async def test_what_a_worker_does_is_measured_and_each_order_is_proved(tmp_path: Path) -> None:
    out = tmp_path / "behind.json"
    words = [sys.executable, "-m", "benchmarks", "behind", "--shortest", "--out", str(out)]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=PROJECT, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, (said + complaints).decode()[-5000:]

    found = json.loads(out.read_bytes())
    placed = found["options"]["orders"] + found["options"]["orders"] // 10 + found["options"]["wallets"]
    clocked = round(found["options"]["seconds"] * found["options"]["a_second"])
    assert found["orders"] == {"proved": placed + clocked, "ledger_verify": "the ledger is clean"}
    figures = {"floor", "sends", "polls", "polls_moved", "settles", "latency_p50_ms", "latency_p99_ms"}
    assert figures <= set(found["figures"])
    assert all(found["figures"][name]["median"] > 0 for name in figures)
    assert set(found["goals"]) == {"sends_of_floor", "latency_p50_ms", "polls", "settles"}
    assert "F4" in said.decode()
