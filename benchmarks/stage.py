"""Everything that a measurement of requests runs on: servers that keep what they are told, gateways, floors."""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from benchmarks.cores import Cores, children_of, find_cores, pin, pin_family
from gateway.embedded import EmbeddedServers
from gateway.processes import spawn, wait_until
from tests.support.processes import START_S_MAX, Installation, Processes, Running, plain_environment, running_processes

PROJECT = Path(__file__).parents[1]
SERVER = {"max_wal_size": "4GB", "random_page_cost": "1.1"}
"""Beside a quarter of the memory for its buffers: what `docs/operations.md` tells operators to set."""
STARTED = "Application startup complete"
SYNCS = 10


class Stage:
    """Real PostgreSQL with fsync on and real Valkey, in a folder on disk; they and whoever loads them stay off
    the core of what is measured."""

    def __init__(self, folder: Path, cores: Cores, processes: Processes, servers: EmbeddedServers) -> None:
        self.folder, self.cores, self._processes = folder, cores, processes
        self.database_url = servers.database_url
        self._redis_url = servers.redis_url

    def gateway(self, url: str) -> Installation:
        """On that database, with the settings of production; limits are as an operator sets them who wants none."""
        limits = {"rate_wrong_keys": 1_000_000, "rate_enterprise": 1_000_000}
        usual = {"check_interval_min_s": 5, "check_interval_max_s": 900, "log_format": "json"}
        return Installation(self._processes, url, self._redis_url, extra=limits | usual)

    def serve(self, gateway: Installation, workers: int = 1) -> Running:
        """`gateway serve`, of which every process answers by now: one on its own core, two on theirs."""
        with self._all_cores():
            api = gateway.begin_serving(workers=str(workers))
        self.answering(api, self.cores.api if workers == 1 else self.cores.two)
        wait_until(lambda: api.said().count(STARTED) == workers, within_s=START_S_MAX, what="all processes")
        for child in children_of(api.popen.pid):
            pin(child, self.cores.two)
        return api

    def begin_floor(self, name: str, answer: bytes = b"") -> Running:
        """A server of `floors.py` in the place of the gateway, not yet `answering`; `answer` is what `bytes` sends."""
        output, given = self.folder / f"floor-{name}.log", self.folder / f"floor-{name}.bytes"
        given.write_bytes(answer)
        words = [sys.executable, "-m", "benchmarks.floors", name, given]
        with output.open("wb") as out, self._all_cores():
            popen = spawn(words, env=plain_environment(), directory=PROJECT, stdout=out, stderr=out)
        floor = Running(f"floor {name}", popen, output)
        self._processes.started.append(floor)
        return floor

    def answering(self, server: Running, cores: frozenset[int] | None = None) -> Running:
        """The same, once it listens: on the one core for what is measured, where no others are named."""
        said = wait_until(lambda: server.has_said("listening on "), within_s=START_S_MAX, what=server.name)
        server.url = said.rpartition(" ")[2]
        pin(server.popen.pid, self.cores.api if cores is None else cores)
        return server

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """All cores for this process, the servers and whatever they start: nothing is measured in the block."""
        pin_family(os.getpid(), self.cores.all)
        try:
            yield
        finally:
            pin_family(os.getpid(), self.cores.rest)

    @contextlib.contextmanager
    def _all_cores(self) -> Iterator[None]:
        """For what is started in the block, which would else inherit the core of the load."""
        pin(os.getpid(), self.cores.all)
        try:
            yield
        finally:
            pin(os.getpid(), self.cores.rest)


def count_lines(server: Running, text: bytes) -> int:
    """How many lines with the text it has said so far; a log of requests is long, so never all of it at once."""
    with server.output.open("rb") as lines:
        return sum(text in line for line in lines)


def port_of(server: Running) -> int:
    return int(server.url.rpartition(":")[2])


@contextlib.contextmanager
def open_stage() -> Iterator[Stage]:
    """Call it in the main thread, which stays on the core of load and servers."""
    cores = find_cores()
    before = os.sched_getaffinity(0) if cores.rest else set()
    pin(os.getpid(), cores.rest)
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
            folder = Path(name)
            if os.geteuid() == 0:
                folder.chmod(0o711)
            with EmbeddedServers(folder / "data", valkey=False) as servers:
                asyncio.run(_set(servers.database_url, SERVER | {"shared_buffers": f"{_memory_mb() // 4}MB"}))
            with EmbeddedServers(folder / "data") as servers, running_processes(folder) as processes:
                yield Stage(folder, cores, processes, servers)
    finally:
        pin(os.getpid(), frozenset(before))


async def _set(url: str, settings: dict[str, str]) -> None:
    """In force from the server's next start."""
    connection = await asyncpg.connect(url)
    try:
        for name, value in settings.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    finally:
        await connection.close()


def _memory_mb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def sync_ms(folder: Path) -> float:
    """The median time that the disk takes to keep a page just now: what a commit cannot go below."""
    taken = []
    descriptor = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(SYNCS):
            os.pwrite(descriptor, os.urandom(8192), 0)
            started = time.perf_counter()
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
    return statistics.median(taken) * 1000
