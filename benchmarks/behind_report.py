"""What the benchmark `behind` found: medians, ratios, spread and goals, as a table and as JSON."""

import datetime
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import Table
from benchmarks.report import describe_machine, find_commit
from benchmarks.stage import Stage, sync_ms

NAMES = {
    "floor": ("F4: aiohttp's bare client, the same orders", "orders a second"),
    "sends": ("one worker process sends", "orders a second"),
    "sends_of_floor": ("sends, of F4", ""),
    "sends_worker_us": ("of it the worker", "µs an order"),
    "sends_postgres_us": ("of it PostgreSQL", "µs an order"),
    "simulator": ("aiohttp's bare client to the simulator", "orders a second"),
    "simulated": ("one worker process sends to the simulator", "orders a second"),
    "simulated_of_simulator": ("sends to the simulator, of that client", ""),
    "latency_p50_ms": ("from `add` to the upstream, median", "ms"),
    "latency_p99_ms": ("from `add` to the upstream, p99", "ms"),
    "polls": ("polls, nothing new", "states a second"),
    "polls_worker_us": ("of it the worker", "µs a state"),
    "polls_postgres_us": ("of it PostgreSQL", "µs a state"),
    "polls_moved": ("polls, each with other remains", "states a second"),
    "polls_moved_worker_us": ("of it the worker", "µs a state"),
    "polls_moved_postgres_us": ("of it PostgreSQL", "µs a state"),
    "settles": ("settles", "orders a second"),
    "settles_worker_us": ("of it the worker", "µs an order"),
    "settles_postgres_us": ("of it PostgreSQL", "µs an order"),
}
RATIOS = (("sends", "floor"), ("simulated", "simulator"))
GOALS = {
    "sends_of_floor": 0.5,
    "simulated_of_simulator": 0.5,
    "latency_p50_ms": 50.0,
    "polls": 10_000.0,
    "settles": 5_000.0,
}


class Report(msgspec.Struct):
    commit: str
    at: str
    machine: dict[str, Any]
    options: dict[str, Any]
    figures: dict[str, dict[str, Any]]
    goals: dict[str, dict[str, Any]]
    orders: dict[str, Any]
    samples: dict[str, list[float]]

    @classmethod
    def of(
        cls, samples: Mapping[str, list[float]], options: dict[str, Any], stage: Stage, placed: int, verified: str
    ) -> "Report":
        every = dict(samples)
        for ours, bare in RATIOS:
            if ours in samples:
                pairs = zip(samples[ours], samples[bare], strict=True)
                every[f"{ours}_of_{bare}"] = [one / other for one, other in pairs]
        every = {name: every[name] for name in NAMES if name in every}
        figures = {
            name: {
                "median": statistics.median(values),
                "least": min(values),
                "most": max(values),
                "unit": NAMES[name][1],
            }
            for name, values in every.items()
        }
        goals = {
            name: {"goal": goal, "found": (found := figures[name]["median"]), "met": _is_met(name, found, goal)}
            for name, goal in GOALS.items()
            if name in figures
        }
        return cls(
            commit=find_commit(),
            at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            machine=describe_machine(stage.cores.told, [sync_ms(stage.folder)]),
            options=options,
            figures=figures,
            goals=goals,
            orders={"proved": placed, "ledger_verify": verified},
            samples=every,
        )

    def show(self) -> None:
        rows = [(NAMES[name][0], values, NAMES[name][1]) for name, values in self.samples.items()]
        notes = [
            f"{self.options['orders']} orders a round, {self.options['connections']} connections; "
            f"{self.machine['cores']}; a commit waits for {self.machine['sync_ms']} ms of disk.",
            f"{self.orders['proved']} orders, each sent once and here as its upstream said; "
            f"{self.orders['ledger_verify']}.",
            *(f"{NAMES[name][0]}: {each['found']:.3g}, goal {each['goal']:g}, {'met' if each['met'] else 'NOT met'}."
              for name, each in self.goals.items()),
        ]  # fmt: skip
        Table(rows, notes).show("behind")

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def _is_met(name: str, found: float, goal: float) -> bool:
    return found <= goal if name.endswith("_ms") else found >= goal
