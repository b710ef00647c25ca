"""What a run of the benchmark `year` found: as tables and as JSON."""

import datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.lists import P99_MS_MAX, Taken
from benchmarks.report import Goal, Samples, figures, median_rate, short
from benchmarks.sizes import ESTIMATED, MB, Table

COMPARED = ("status", "status_100", "add", "add_hot_wallet")
"""Asked of the full database and of an empty one in turn."""
RATIO_MIN = 0.87
LOAD_S_MAX = 600.0
GOALS = {*COMPARED, "load_s", "lists_beyond_20_ms"}


class YearReport(msgspec.Struct):
    """All that one run found; `seconds` by part, `load_processor_s` what it took on all cores together."""

    commit: str
    machine: dict[str, Any]
    options: Any
    seconds: dict[str, float]
    load_processor_s: float
    lists: list[Taken]
    samples: Samples
    tables: list[Table]
    orders: dict[str, tuple[int, int]]
    """By database: how many there are, and how many were loaded or promised by answers."""
    verified: dict[str, str]
    retaken: int

    def ratios(self) -> dict[str, float]:
        return {
            name: round(median_rate(self.samples[f"{name}_full"]) / median_rate(self.samples[f"{name}_empty"]), 4)
            for name in COMPARED
        }

    def spread(self) -> dict[str, tuple[float, float]]:
        """The least and the most of each ratio, round by round."""
        found = {}
        for name in COMPARED:
            both = zip(self.samples[f"{name}_full"], self.samples[f"{name}_empty"], strict=True)
            each = [full.rate / empty.rate for full, empty in both]
            found[name] = (round(min(each), 4), round(max(each), 4))
        return found

    def beyond(self) -> list[Taken]:
        return sorted((each for each in self.lists if each.p99_ms > P99_MS_MAX), key=lambda each: -each.p99_ms)

    def goals(self) -> dict[str, Goal]:
        found = {name: Goal(f"≥ {RATIO_MIN}", value, value >= RATIO_MIN) for name, value in self.ratios().items()}
        load_s, beyond = self.seconds["load"], len(self.beyond())
        found["load_s"] = Goal(f"≤ {LOAD_S_MAX:g}", load_s, load_s <= LOAD_S_MAX)
        found["lists_beyond_20_ms"] = Goal("≤ 0", beyond, beyond == 0)
        return found

    def to_builtins(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(
            {
                "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "commit": self.commit,
                "machine": self.machine,
                "options": self.options,
                "seconds": self.seconds,
                "load_processor_s": self.load_processor_s,
                "ratios": self.ratios(),
                "spread": self.spread(),
                "goals": self.goals(),
                "figures": {name: figures(samples) for name, samples in self.samples.items()},
                "lists": self.lists,
                "tables": [
                    {**msgspec.structs.asdict(table), "row_bytes": table.row_bytes, "of_estimate": table.of_estimate}
                    for table in self.tables
                ],
                "orders": self.orders,
                "ledger_verify": self.verified,
                "retaken": self.retaken,
            }
        )
        return plain

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self.to_builtins())) + b"\n")

    def show(self) -> None:
        self._show_lists()
        self._show_tables()
        spread, ratios = self.spread(), self.ratios()
        print("\n| of the empty database's rate | full, a second | empty, a second | ratio | least | most |")
        print("|" + " --- |" * 6)
        for name in COMPARED:
            full, empty = (median_rate(self.samples[f"{name}_{which}"]) for which in ("full", "empty"))
            least, most = spread[name]
            print(f"| {name} | {short(full)} | {short(empty)} | {ratios[name]:.2f} | {least:.2f} | {most:.2f} |")
        print("\n| goal | | | |\n| --- | --- | --- | --- |")
        for name, met in self.goals().items():
            print(f"| {name} | {met.goal} | {met.value:.5g} | {'met' if met.met else 'missed'} |")
        for each in self.beyond():
            print(
                f"\nBeyond {P99_MS_MAX:g} ms: {each.shape}, {each.p50_ms:g} ms at the median, {each.p99_ms:g} at p99."
            )
        parts = ", ".join(f"{name} {value:g}" for name, value in self.seconds.items())
        print(f"\nSeconds: {parts}; loading took {self.load_processor_s:.0f} s of processors.")
        for name, (there, told) in self.orders.items():
            print(f"{name}: {there} orders, {told} loaded or promised; ledger verify: {self.verified[name]}.")

    def _show_lists(self) -> None:
        print(
            "\n| list, search or filter, one client alone | p50 ms | p99 ms | most ms | processors ms |\n|"
            + " --- |" * 5
        )
        for each in self.lists:
            print(f"| {each.shape} | {each.p50_ms:g} | {each.p99_ms:g} | {each.most_ms:g} | {each.cost_ms:g} |")

    def _show_tables(self) -> None:
        print("\n| table | partitions | rows | bytes a row | of the estimate's | heap MB | toast MB | indexes MB | |")
        print("|" + " --- |" * 9)
        for table in self.tables:
            if table.rows:
                of = "" if table.of_estimate is None else f"{table.of_estimate:.2f}"
                mb = " | ".join(f"{size / MB:.1f}" for size in (table.heap, table.toast, table.indexes))
                print(
                    f"| {table.name} | {table.partitions} | {table.rows} | {table.row_bytes:.0f} | {of} | {mb} | "
                    f"{table.index_count} indexes |"
                )
        named = [table for table in self.tables if table.name in ESTIMATED]
        size, estimated = sum(table.heap + table.toast for table in named), sum(size for _, size in ESTIMATED.values())
        everything = sum(table.heap + table.toast + table.indexes for table in self.tables)
        print(
            f"\nThe estimate's tables without indexes: {size / MB:.0f} MB, estimated {estimated / MB:.0f} MB; "
            f"all tables with indexes: {everything / MB:.0f} MB."
        )
