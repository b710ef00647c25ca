"""What all benchmarks share: a migrated database, and a table with medians and spread."""

import datetime
import statistics
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from gateway.db import migrate


class Table(msgspec.Struct):
    """Rows of `(what, values, unit)`, and what is to be read from them."""

    rows: list[tuple[str, Sequence[float], str]]
    notes: list[str]

    def show(self, name: str) -> None:
        print(f"\n## {name}\n\n| | median | least | most | |\n| --- | --- | --- | --- | --- |")
        for what, values, unit in self.rows:
            print(f"| {what} | {statistics.median(values):.3g} | {min(values):.3g} | {max(values):.3g} | {unit} |")
        for note in self.notes:
            print(f"\n{note}")

    def write(self, path: Path, machine: dict[str, Any], commit: str) -> None:
        """As JSON: each row with its median and spread."""
        rows = [
            {"what": what, "unit": unit, "median": statistics.median(values), "least": min(values), "most": max(values)}
            for what, values, unit in self.rows
        ]
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        found = {"at": at, "commit": commit, "machine": machine, "rows": rows, "notes": self.notes}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


def rate(times: Sequence[float]) -> float:
    """What is done a second between the first tenth and the last."""
    ordered = sorted(times)
    tenth = len(ordered) // 10
    within = ordered[tenth : len(ordered) - tenth]
    return (len(within) - 1) / max(within[-1] - within[0], 1e-6)


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """The URL of a migrated database that is gone after the block."""
    name = f"bench_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"CREATE DATABASE {name}")
    url = f"{server_url.rpartition('/')[0]}/{name}"
    try:
        await migrate.upgrade(url)
        yield url
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
