"""The gateway's own commands as real processes: started, awaited by condition, killed, and none left behind."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gateway.keyring import Keyring
from gateway.processes import find_free_port, spawn, wait_until
from gateway.settings import Settings, load_settings

GATEWAY = Path(sys.executable).with_name("gateway")
UPSTREAM_KEY = "simulated-upstream-key"
SECRET = "a-secret-for-the-tests-of-processes-0123456789"
START_S_MAX = 30.0

Answer = TypeVar("Answer")


async def eventually(condition: Callable[[], Awaitable[Answer | None]], *, what: str, within_s: float = 20.0) -> Answer:
    """The first answer of `condition` that counts as true.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = await condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(0.03)


@dataclass
class Running:
    """A process; `output` holds its stdout and stderr."""

    name: str
    popen: subprocess.Popen[bytes]
    output: Path
    url: str = ""

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.popen.kill()
        self.popen.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM; it goes on until it is done."""
        self.popen.terminate()

    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def has_said(self, text: str) -> str | None:
        """The line with `text` in it, once it is written to its end; fails where the process ended."""
        for line in self.said().splitlines(keepends=True):
            if text in line and line.endswith("\n"):
                return line.strip()
        if self.popen.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.popen.returncode}:\n{self.said()}")
        return None


@dataclass
class Simulator:
    """A simulated upstream panel; its accept log, which outlives it, is the truth of what was ordered."""

    folder: Path
    port: int
    key: str = UPSTREAM_KEY

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2"

    @property
    def log(self) -> Path:
        return self.folder / "accepted.jsonl"

    def accepted(self) -> list[dict[str, Any]]:
        """Every `add` that it ever accepted, in order; a line that is still being written is left out."""
        if not self.log.exists():
            return []
        lines = self.log.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def orders_by_link(self) -> dict[str, list[str]]:
        """The ids under which each link was accepted; more than one means that it was sent twice."""
        found: dict[str, list[str]] = {}
        for line in self.accepted():
            found.setdefault(line["fields"]["link"], []).append(str(line["order"]))
        return found


@dataclass
class Processes:
    """Starts processes in a folder and ends them all with its context."""

    folder: Path
    started: list[Running] = field(default_factory=list)

    def start(self, name: str, words: Sequence[str], environ: Mapping[str, str]) -> Running:
        output = self.folder / f"{len(self.started)}-{name}.log"
        with output.open("wb") as file:
            popen = spawn([GATEWAY, *words], env=environ, stdout=file, stderr=subprocess.STDOUT)
        running = Running(name, popen, output)
        self.started.append(running)
        return running

    def simulate(self, simulator: Simulator, *faults: str) -> Running:
        """Serve the simulator's panel; it answers when this returns."""
        words = ["simulate", "--port", str(simulator.port), "--key", simulator.key]
        words += ["--log", str(simulator.log)]
        for fault in faults:
            words += ["--fault", fault]
        running = self.start("simulate", words, plain_environment())
        wait_until(lambda: running.has_said("http"), within_s=START_S_MAX, what="the simulator")
        return running

    def simulator(self, *faults: str, folder: Path | None = None) -> Simulator:
        """A new simulator that answers already; one in a folder of its own has a log of its own."""
        simulator = Simulator(folder or self.folder, find_free_port())
        self.simulate(simulator, *faults)
        return simulator


@dataclass
class Installation:
    """One gateway: its database, its environment, and the processes that serve and work for it."""

    processes: Processes
    database_url: str
    redis_url: str
    name: str = "gateway"
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        given = {
            "GATEWAY_DATABASE_URL": self.database_url,
            "GATEWAY_REDIS_URL": self.redis_url,
            "GATEWAY_SECRET_KEY": SECRET,
            "GATEWAY_DATA_DIR": str(self.processes.folder / self.name),
            "GATEWAY_BIND": "127.0.0.1:0",
            "GATEWAY_ALLOW_PRIVATE_ADDRESSES": "true",
            "GATEWAY_RATE_WRONG_KEYS": "100000",
            "GATEWAY_RATE_ENTERPRISE": "100000",
            "GATEWAY_CHECK_INTERVAL_MIN_S": "0.1",
            "GATEWAY_CHECK_INTERVAL_MAX_S": "0.2",
            **{f"GATEWAY_{name.upper()}": str(value) for name, value in self.extra.items()},
        }
        return plain_environment() | given

    @property
    def settings(self) -> Settings:
        return load_settings({k: v for k, v in self.environ.items() if k.startswith("GATEWAY_")})

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.settings.secret_key)

    def begin_serving(self, **more: str) -> Running:
        """An API process that may not answer yet; `more` are settings of this one alone."""
        given = {f"GATEWAY_{name.upper()}": value for name, value in more.items()}
        return self.processes.start(f"{self.name}-serve", ["serve"], self.environ | given)

    def serve(self, **more: str) -> Running:
        """An API process that answers already, at `url`."""
        return answering(self.begin_serving(**more))

    def work(self) -> Running:
        """A worker; what it does is waited for by its effects."""
        return self.processes.start(f"{self.name}-work", ["work"], self.environ)

    async def command(self, *words: str) -> str:
        """What a command says on stdout.

        Raises:
            AssertionError: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            GATEWAY, *words, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, f"gateway {' '.join(words)}: {err.decode()}"
        return out.decode().strip()


def answering(api: Running) -> Running:
    """The same API process, once it listens."""
    line = wait_until(lambda: api.has_said("listening on "), within_s=START_S_MAX, what=api.name)
    api.url = line.rpartition("listening on ")[2] + "/api/v2"
    return api


def plain_environment() -> dict[str, str]:
    """Ours without the gateway's settings; no bytecode and no warnings turned to errors are wanted there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "PYTEST_"))}


@contextmanager
def running_processes(folder: Path) -> Iterator[Processes]:
    """Whatever was started in the block is gone after it; where it fails, what they said is shown."""
    processes = Processes(folder)
    try:
        yield processes
    except BaseException:
        for running in processes.started:
            print(f"--- {running.name} ({running.popen.poll()}):\n{running.said()[-3000:]}")
        raise
    finally:
        for running in processes.started:
            running.kill()
