"""The benchmark `causes`: where a request's processor time goes, what a process takes of memory, how soon it is there.

py-spy looks at the API process while it is loaded, hundreds of times a second; each time the innermost frame that
belongs to a part of `PARTS` counts. Shares of these, times the processor time of a request, are microseconds. What
the event loop and the parser do in C is put down to the server. It ends with `gateway ledger verify` and with the count
of orders beside that of the answers that promised one.
"""

import asyncio
import collections
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks import serving, subjects
from benchmarks.contenders import Asked
from benchmarks.cores import children_of
from benchmarks.load import fetch
from benchmarks.report import Proof, describe_machine, find_commit
from benchmarks.stage import Stage, open_stage, port_of, sync_ms
from benchmarks.stock import Size
from gateway.db import migrate
from gateway.processes import spawn
from tests.support.processes import GATEWAY, Installation, Running, plain_environment

PARTS: dict[str, tuple[str, ...]] = {
    "log line": ("gateway/api/access.py", "gateway/request_log.py", "structlog/"),
    "way to the panel": ("gateway/api/routing.py", "gateway/app.py", "compat/server.py", "gateway/api/panel.py"),
    "parse": ("compat/forms.py", "compat/codec.py", "compat/wire.py"),
    "key": ("gateway/accounts/", "gateway/keyring.py", "gateway/api/callers.py"),
    "limit": ("gateway/ratelimit/", "limits/", "redis/"),
    "database": ("asyncpg/", "gateway/db/", "gateway/orders/store.py", "gateway/ledger/store.py"),
    "order and money": ("gateway/orders/", "gateway/ledger/", "gateway/catalog/", "compat/money.py", "gateway/events/"),
    "encode": ("compat/encode.py",),
    "sharing of round trips": ("gateway/batching.py",),
    "server": ("uvicorn/", "gateway/api/protocol.py", "gateway/serving.py", "asyncio/"),
}
"""By the beginnings of the files' names, as py-spy shows them; the first part that fits."""
ASKED = ("status", "add")
SAMPLES_A_S = 400
HELP_TIMES = 9
STARTS = 5


class Options(msgspec.Struct, frozen=True):
    """Of each subject: samples by turns with the floor, then a look for `look_s`."""

    rounds: int = 5
    seconds: float = 3.0
    look_s: float = 15.0
    connections: int = 64
    size: Size = Size()


QUICK = Options(rounds=2, seconds=1.0, look_s=5.0)
SHORTEST = Options(rounds=1, seconds=0.2, look_s=1.0, connections=16, size=Size(50, 200, 5, 100))


class Cost(msgspec.Struct, frozen=True):
    """Of one subject, in µs of the process for a request; `of_floor` is what F1's costs, as a part of it."""

    total_us: float
    of_floor: float
    parts_us: dict[str, float]


class Figures(msgspec.Struct, frozen=True):
    """Medians, with the least and the most."""

    median: float
    least: float
    most: float
    goal: float

    @property
    def is_met(self) -> bool:
        return self.median <= self.goal


class Causes(msgspec.Struct, kw_only=True):
    """All that one run found. `figures` are of memory (MiB) and of time (s)."""

    commit: str
    machine: dict[str, Any]
    options: Options
    costs: dict[str, Cost]
    figures: dict[str, Figures]
    orders: Proof

    def show(self) -> None:
        names = list(self.costs)
        print(f"\n| µs of a request | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}")
        for part in PARTS:
            print(f"| {part} | {' | '.join(f'{self.costs[name].parts_us[part]:.1f}' for name in names)} |")
        print(f"| in all | {' | '.join(f'{self.costs[name].total_us:.1f}' for name in names)} |")
        print(f"| of F1's | {' | '.join(f'{self.costs[name].of_floor:.2f}' for name in names)} |")
        print("\n| | median | least | most | goal |\n|" + " --- |" * 5)
        for name, each in self.figures.items():
            print(f"| {name} | {each.median:.3g} | {each.least:.3g} | {each.most:.3g} | ≤ {each.goal:g} |")
        print(f"\n{self.orders.told}")

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


def run(options: Options) -> Causes:
    """In the main thread; starts everything, looks, and ends everything.

    Raises:
        BrokenLoad: an answer was wrong or lost.
        AssertionError: the books are not clean, or orders and answers do not agree.
        OSError: py-spy may not look at processes here, or is not there.
    """
    with open_stage() as stage, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(stage, options))


async def _run(stage: Stage, options: Options) -> Causes:
    floor = stage.begin_floor("form")
    await migrate.upgrade(stage.database_url)
    gateway = stage.gateway(stage.database_url)
    stock = await serving.add_stock_to(gateway, options.size)
    starts = [await _start_s(stage, gateway) for _ in range(STARTS)]
    api = stage.serve(gateway)
    at_rest = [memory_mib(api)]
    asked = {
        each.name: each
        for each in subjects.subjects(api, stage.cores, stock, options.connections)
        if each.name in ASKED
    }
    form = subjects.floor("form", stage.answering(floor), stage.cores, options.connections)
    costs = {name: await _cost_of(asked[name], form, api, stage, options) for name in ASKED}
    under_load = [memory_mib(api)]
    placed = sum(each.placed for each in asked.values() if each.places)
    orders = await serving.prove_orders(gateway, stock.placed + placed)
    return Causes(
        commit=find_commit(),
        machine=describe_machine(stage.cores.told, [sync_ms(stage.folder)]),
        options=options,
        costs=costs,
        figures={
            "memory of a process at rest, MiB": _figures(at_rest, 130),
            "memory of a process under load, MiB": _figures(under_load, 130),
            "start to ready, s": _figures(starts, 1.5),
            "`gateway --help`, s": _figures([_help_s(stage) for _ in range(HELP_TIMES)], 0.3),
        },
        orders=orders,
    )


async def _cost_of(subject: Asked, floor: Asked, api: Running, stage: Stage, options: Options) -> Cost:
    await floor.sample(options.seconds)
    await subject.sample(options.seconds)
    ours, theirs = list[float](), list[float]()
    for _ in range(options.rounds):
        theirs.append((await floor.sample(options.seconds)).cost_us or 0.0)
        ours.append((await subject.sample(options.seconds)).cost_us or 0.0)
    total = statistics.median(ours)
    counted = count_parts(await _look(subject, api, stage.folder / f"{subject.name}.stacks", options.look_s))
    seen = sum(counted.values()) or 1
    parts = {part: round(total * counted[part] / seen, 2) for part in PARTS}
    return Cost(total_us=round(total, 1), of_floor=round(statistics.median(theirs) / total, 3), parts_us=parts)


async def _look(subject: Asked, api: Running, output: Path, seconds: float) -> Path:
    """Where is written what py-spy saw: a line for each stack, the innermost frame last, and how often it was seen."""
    words = [Path(sys.executable).with_name("py-spy"), "record", "--format", "raw", "--rate", str(SAMPLES_A_S)]
    words += ["--duration", f"{max(1, round(seconds))}", "--output", output, "--pid", str(api.popen.pid)]
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    await subject.sample(seconds + 0.5)
    said, _ = await process.communicate()
    if process.returncode:
        raise OSError(f"py-spy: {said.decode(errors='replace').strip()[-300:]}")
    return output


def count_parts(seen: Path) -> collections.Counter[str]:
    """How often each part was seen. Stacks of other threads, which serve no request, are left out."""
    counted: collections.Counter[str] = collections.Counter()
    for line in seen.read_text().splitlines():
        stack, _, times = line.rpartition(" ")
        frames = [frame.rpartition("(")[2].partition(":")[0] for frame in stack.split(";")]
        if not any(frame.startswith("uvicorn/") for frame in frames):
            continue
        counted[next(part for frame in reversed(frames) if (part := _part_of(frame)))] += int(times)
    return counted


def _part_of(frame: str) -> str | None:
    return next((part for part, files in PARTS.items() if frame.startswith(files)), None)


def memory_mib(process: Running) -> float:
    """What the process and its children would free by their end, with their share of what they share."""
    pids = [process.popen.pid, *children_of(process.popen.pid)]
    return sum(_proportional_kib(pid) for pid in pids) / 1024


def _proportional_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


async def _start_s(stage: Stage, gateway: Installation) -> float:
    """From the command to where it answers that it is ready."""
    started = time.perf_counter()
    api = stage.serve(gateway)
    head, _ = await fetch(port_of(api), b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head.decode()
    taken = time.perf_counter() - started
    api.ask_to_stop()
    api.popen.wait()
    return taken


def _help_s(stage: Stage) -> float:
    started = time.perf_counter()
    with (stage.folder / "help.log").open("wb") as output:
        process = spawn([GATEWAY, "--help"], env=plain_environment(), stdout=output, stderr=output)
    if process.wait():
        raise OSError((stage.folder / "help.log").read_text()[-300:])
    return time.perf_counter() - started


def _figures(values: Sequence[float], goal: float) -> Figures:
    rounded = [round(value, 3) for value in values]
    return Figures(statistics.median(rounded), min(rounded), max(rounded), goal)
