"""`gateway demo` as a user starts it, in a folder with a space in its name: orders complete, nothing is left behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.processes import spawn, terminate, wait_until

READY_S_MAX = 60.0
COMPLETED_S_MAX = 20.0
GONE_S_MAX = 20.0
FACTS = {
    "url",
    "panel_url",
    "api_key",
    "admin_email",
    "admin_password",
    "upstream_url",
    "database_url",
    "redis_url",
}

Process = tuple[int, str]
"""Its id and when it started, so that a later one with the same id is another."""


@dataclass
class Demo:
    popen: subprocess.Popen[bytes]
    facts: dict[str, Any]

    def call(self, **fields: object) -> Any:
        body = urllib.parse.urlencode({"key": self.facts["api_key"], **fields}).encode()
        with urllib.request.urlopen(self.facts["panel_url"], body, timeout=10) as reply:
            return json.load(reply)

    def status(self, order: int) -> str:
        return str(self.call(action="status", order=order)["status"])

    def order_to_completion(self) -> int:
        link, quantity = "https://example.com/p/1", 100
        order: int = self.call(action="add", service=1, link=link, quantity=quantity)["order"]
        wait_until(lambda: self.status(order) == "Completed", within_s=COMPLETED_S_MAX, what="Completed")
        return order

    def end(self, number: signal.Signals) -> bytes:
        """Send the signal to the demo alone, and see all its processes gone; what it still printed."""
        family = descendants(self.popen.pid)
        assert len(family) >= 5
        self.popen.send_signal(number)
        said, _ = self.popen.communicate(timeout=GONE_S_MAX)
        wait_until(lambda: not any(map(is_alive, family)), within_s=GONE_S_MAX, what=f"the end of {family}")
        return said


def environment(folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return inherited | {"GATEWAY_DATA_DIR": str(folder / ".gateway")}


def launch(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "gateway", "demo", "--json", *options]
    return spawn(words, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextlib.contextmanager
def running_demo(folder: Path, *options: str) -> Iterator[Demo]:
    popen = launch(folder, "--port", "0", *options)
    try:
        assert popen.stdout is not None
        assert popen.stderr is not None
        line = popen.stdout.readline()
        assert line, popen.stderr.read().decode()
        yield Demo(popen, json.loads(line))
    finally:
        terminate(popen, grace_s=GONE_S_MAX, first=signal.SIGINT)
        for stream in (popen.stdout, popen.stderr):
            if stream is not None:
                stream.close()


def descendants(root: int) -> list[Process]:
    parents: dict[int, int] = {}
    started: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat_of(int(entry.name))):
            parents[int(entry.name)], started[int(entry.name)] = int(fields[1]), fields[19]
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append((pid, started[pid]))
        waiting.extend(child for child, parent in parents.items() if parent == pid)
    return found


def is_alive(process: Process) -> bool:
    pid, started = process
    fields = stat_of(pid)
    return bool(fields) and fields[0] not in "ZX" and fields[19] == started


def stat_of(pid: int) -> list[str]:
    """The fields after the name: state, parent, …; none for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a folder"
    path.mkdir()
    return path


linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@linux_only
def test_an_order_completes_and_outlives_a_stop_and_a_kill(folder: Path) -> None:
    with running_demo(folder) as demo:
        assert set(demo.facts) == FACTS
        key = json.loads((folder / ".gateway" / "demo.json").read_bytes())["upstream_key"].encode()
        assert not any(key in Path(f"/proc/{pid}/cmdline").read_bytes() for pid, _ in descendants(demo.popen.pid))
        first = demo.order_to_completion()
        assert demo.end(signal.SIGINT) == b""
        assert demo.popen.returncode == 0
    with running_demo(folder) as again:
        assert again.facts["api_key"] == demo.facts["api_key"]
        assert again.facts["upstream_url"] == demo.facts["upstream_url"]
        assert again.status(first) == "Completed"
        again.end(signal.SIGKILL)
    with running_demo(folder) as recovered:
        assert recovered.status(first) == "Completed"
        assert recovered.order_to_completion() > first
        verified = subprocess.run(
            [sys.executable, "-m", "gateway", "ledger", "verify"],
            env=environment(folder),
            capture_output=True,
            text=True,
        )
        assert verified.stdout == "the ledger is clean\n"


@linux_only
def test_fresh_starts_over_and_keeps_what_others_put_there(folder: Path) -> None:
    data_dir = folder / ".gateway"
    with running_demo(folder) as demo:
        (data_dir / "notes.txt").write_text("mine")
        assert (data_dir / "demo.json").stat().st_mode & 0o077 == 0
        assert (data_dir / "settings.env").stat().st_mode & 0o077 == 0
    (data_dir / "settings.env").write_text("GATEWAY_NO_LONGER=1\n'damaged")
    with running_demo(folder, "--fresh") as other:
        assert other.facts["api_key"] != demo.facts["api_key"]
        assert (data_dir / "notes.txt").read_text() == "mine"


@linux_only
def test_a_part_that_dies_ends_the_demo_with_one_line(folder: Path) -> None:
    with running_demo(folder) as demo:
        family = descendants(demo.popen.pid)
        worker = next(pid for pid, _ in family if b"\0work" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(worker, signal.SIGKILL)
        _, said = demo.popen.communicate(timeout=GONE_S_MAX)
        assert demo.popen.returncode == 1
        assert said.startswith(b"gateway: gateway work ended by signal 9")
        assert said.count(b"\n") == 1
        assert not any(map(is_alive, family))


def test_a_port_that_is_taken_is_told_before_anything_is_made(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        popen = launch(folder, "--port", port)
        out, said = popen.communicate(timeout=READY_S_MAX)
    assert (popen.returncode, out) == (1, b"")
    assert said.decode().startswith(f"gateway: cannot listen on 127.0.0.1:{port}")
    assert said.count(b"\n") == 1
    assert not (folder / ".gateway").exists()
