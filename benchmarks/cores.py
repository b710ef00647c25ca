"""Which cores the parts of a measurement run on, and who else was busy there meanwhile."""

import contextlib
import os
import time
from pathlib import Path

import msgspec

_TICKS_A_S = os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS = (3, 4)
"""Of a line of /proc/stat: idle, and waiting for a disk."""


class Cores(msgspec.Struct, frozen=True):
    """`api` for what is measured, `rest` for load and servers, the same core where there is but one.

    `two` is for two processes: without a third core they share that of load and servers.
    """

    api: frozenset[int]
    rest: frozenset[int]
    two: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.api | self.rest | self.two

    @property
    def told(self) -> str:
        if not self.api:
            return "not pinned: this system does not let a process choose its cores"
        if self.api == self.rest:
            return "one core for everything: the ratios say little"
        shared = ", which load and servers need too" if self.two & self.rest else ""
        return (
            f"measured process on core {_named(self.api)}, load and servers on {_named(self.rest)}, "
            f"two processes on {_named(self.two)}{shared}"
        )


def find_cores() -> Cores:
    """The first core of this process for the API, the second for load and servers. None where nothing can be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(frozenset(), frozenset(), frozenset())
    first, *others = sorted(os.sched_getaffinity(0))
    rest = others[:1] or [first]
    return Cores(frozenset([first]), frozenset(rest), frozenset([first, *(others[1:2] or rest)]))


def pin(pid: int, cores: frozenset[int]) -> None:
    """All threads of the process, and what it starts from now on; not the processes that it has started."""
    if cores:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def pin_family(pid: int, cores: frozenset[int]) -> None:
    """The process, those that it started and those that they did, and what they start from now on."""
    pin(pid, cores)
    for child in children_of(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            pin_family(child, cores)


def children_of(pid: int) -> list[int]:
    """Processes that it started; none where the system does not tell."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def parent_of(pid: int) -> int:
    """0 where the system does not tell."""
    path = Path(f"/proc/{pid}/stat")
    return int(path.read_text().rpartition(")")[2].split()[1]) if path.exists() else 0


class Usage(msgspec.Struct, frozen=True):
    """Processor seconds since some start: of a process and its children, of this one's family, of whole cores."""

    at: float
    process: float
    family: float
    everyone: float

    def since(self, before: "Usage") -> tuple[float, float]:
        """In cores: what the process used, and what strangers did on the cores that were looked at."""
        passed = self.at - before.at
        strangers = (self.everyone - before.everyone) - (self.family - before.family)
        return (self.process - before.process) / passed, max(0.0, strangers / passed)


def usage(pid: int, cores: frozenset[int]) -> Usage:
    """All zero where the system does not tell."""
    if not Path("/proc/self/stat").exists():
        return Usage(time.monotonic(), 0, 0, 0)
    spent, parents = _processes()
    return Usage(
        time.monotonic(), _of_family(pid, spent, parents), _of_family(os.getpid(), spent, parents), _busy(cores)
    )


def _processes() -> tuple[dict[int, float], dict[int, int]]:
    """Time spent by each process and its children that ended, and who its parent is."""
    spent, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        spent[pid] = sum(map(int, fields[11:15])) / _TICKS_A_S
    return spent, parents


def _of_family(pid: int, spent: dict[int, float], parents: dict[int, int]) -> float:
    members, added = {pid}, True
    while added:
        more = {child for child, parent in parents.items() if parent in members} - members
        members |= more
        added = bool(more)
    return sum(spent.get(member, 0.0) for member in members)


def _busy(cores: frozenset[int]) -> float:
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    wanted = {f"cpu{core}" for core in cores}
    ticks = 0
    for name, *values in lines:
        if name in wanted:
            ticks += sum(int(value) for place, value in enumerate(values[:8]) if place not in _IDLE_FIELDS)
    return ticks / _TICKS_A_S


def _named(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
