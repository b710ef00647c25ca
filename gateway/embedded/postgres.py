"""One PostgreSQL server: its cluster made once, started on loopback, stopped with a checkpoint."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.embedded.data import open_log
from gateway.embedded.identity import hand_over
from gateway.errors import ConfigurationError
from gateway.processes import Identity, find_free_port, spawn, terminate, wait_until

USER = DATABASE = "gateway"
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_MAKE_S = 120.0
_START_S = 60.0
_PREVIOUS_S = 30.0
_STOP_S = 20.0
_IMMEDIATE_STOP_S = 5.0
_ATTEMPTS_MAX = 60
_ATTEMPT_PAUSE_S = 0.25
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_QUICK_LOGIN = ("--set", "scram_iterations=1")
"""More rounds only make guessing slower, and nobody guesses 128 random bits; each connection would pay for them."""
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Cluster(msgspec.Struct, frozen=True):
    """Where a cluster lies and whose it is; `durable` off is for tests."""

    folder: Path
    binaries: Path
    log: Path
    identity: Identity
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"


def make_cluster(cluster: Cluster, password: str) -> None:
    """Make the cluster with its superuser and database, unless it is there; all of it or nothing."""
    if cluster.data.exists():
        return
    new = cluster.folder / "new"
    if new.exists():
        shutil.rmtree(new)
    password_file = cluster.folder / "password"
    password_file.unlink(missing_ok=True)
    with open(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password + "\n")
    hand_over(password_file, cluster.identity)
    options = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    sync = [] if cluster.durable else ["--no-sync"]
    _run(cluster, ["initdb", "-D", str(new), *options, *locale, *_QUICK_LOGIN, *sync, "--no-instructions"])
    _run(
        cluster,
        ["postgres", "--single", "-D", str(new), "postgres"],
        f'CREATE DATABASE "{DATABASE}" OWNER "{USER}";\n',
    )
    password_file.unlink()
    new.rename(cluster.data)


def start_postgres(cluster: Cluster, preferred_port: int | None) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server and wait until it takes connections; with it, its port.

    A server of an owner that was killed may still be shutting down: its end is awaited.

    Raises:
        ConfigurationError: it does not start; the line has the server's own reason.
    """
    port = find_free_port(preferred_port)
    for _ in range(_ATTEMPTS_MAX):
        _await_previous(cluster)
        log_start = cluster.log.stat().st_size if cluster.log.exists() else 0
        process = _spawn_server(cluster, port)
        if _becomes_ready(cluster, process):
            return process, port
        said = cluster.log.read_bytes()[log_start:].decode("utf-8", "replace")
        if "could not create any TCP/IP sockets" in said:
            port = find_free_port()
        elif "lock file" not in said and "shared memory block" not in said:
            break
        time.sleep(_ATTEMPT_PAUSE_S)
    raise ConfigurationError([f"PostgreSQL does not start: {_reason(said)} (see {cluster.log})"])


def stop_postgres(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown; if that hangs an immediate one, after which the next start recovers."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            terminate(process, grace_s=_IMMEDIATE_STOP_S, first=signal.SIGQUIT)


def _spawn_server(cluster: Cluster, port: int) -> subprocess.Popen[bytes]:
    settings = {**_SETTINGS, "port": str(port), **({} if cluster.durable else _NOT_DURABLE)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _spawn(cluster, ["postgres", "-D", str(cluster.data), *options], signal.SIGQUIT)


def _spawn(
    cluster: Cluster, argv: list[str], death_signal: signal.Signals, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    log = open_log(cluster.log)
    try:
        return spawn(
            [cluster.binaries / argv[0], *argv[1:]],
            death_signal=death_signal,
            identity=cluster.identity,
            directory=cluster.folder,
            env=_ENVIRONMENT,
            stdin=stdin,
            stdout=log,
            stderr=log,
        )
    finally:
        os.close(log)


def _run(cluster: Cluster, argv: list[str], text: str = "") -> None:
    log_start = cluster.log.stat().st_size if cluster.log.exists() else 0
    process = _spawn(cluster, argv, signal.SIGKILL, subprocess.PIPE)
    try:
        process.communicate(text.encode(), timeout=_MAKE_S)
    finally:
        terminate(process, grace_s=_IMMEDIATE_STOP_S)
    if process.returncode != 0:
        said = cluster.log.read_bytes()[log_start:].decode("utf-8", "replace")
        raise ConfigurationError([f"{argv[0]} failed: {_reason(said)} (see {cluster.log})"])


def _becomes_ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> bool:
    """Whether it takes connections; False once it has ended. Other outcomes end it and raise."""
    try:
        wait_until(
            lambda: process.poll() is not None or _is_ready(cluster, process.pid),
            within_s=_START_S,
            what="PostgreSQL's start",
        )
    except BaseException as error:  # raised again: a server that was begun is not left behind
        stop_postgres(process)
        if isinstance(error, TimeoutError):
            raise ConfigurationError([f"{error} (see {cluster.log})"]) from None
        raise
    return process.poll() is None


def _is_ready(cluster: Cluster, launched_pid: int) -> bool:
    """`postmaster.pid` is written by the server alone; a dead one's may lie there until then."""
    lines = _pid_file_lines(cluster)
    if len(lines) < 8 or lines[7].strip() != "ready":
        return False
    pid = int(lines[0])
    return pid == launched_pid or _parent_of(pid) == launched_pid


def _await_previous(cluster: Cluster) -> None:
    """Wait for a server that still works on this cluster.

    The data directory's lock is held, so no one but a dead owner can have started it. PostgreSQL
    itself clears up after a dead server, but takes a stranger with the same number for a live one.
    """
    lines = _pid_file_lines(cluster)
    if not lines or not lines[0].strip().isdigit():
        return
    pid = int(lines[0])
    serves = _server_check(cluster, pid)
    try:
        wait_until(lambda: not serves(), within_s=_PREVIOUS_S, what=f"the end of PostgreSQL, process {pid},")
    except TimeoutError as error:
        raise ConfigurationError([f"{error}: it still works on {cluster.data}"]) from None
    if _exists(pid):
        cluster.pid_file.unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _server_check(cluster: Cluster, pid: int) -> Callable[[], bool]:
    def serves() -> bool:
        if Path("/proc/self/cwd").exists():
            try:
                return Path(f"/proc/{pid}/cwd").samefile(cluster.data)
            except OSError:
                return False
        return str(cluster.data) in _ps(pid, "command=")

    return serves


def _parent_of(pid: int) -> int:
    text = _ps(pid, "ppid=").strip()
    return int(text) if text.isdigit() else 0


def _ps(pid: int, column: str) -> str:
    """Only asked where a supervisor stands between us and the server, so not on Linux."""
    if Path("/proc/self/cwd").exists():
        return ""
    return subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True).stdout


def _pid_file_lines(cluster: Cluster) -> list[str]:
    try:
        return cluster.pid_file.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    for line in lines:
        for word in ("FATAL:", "PANIC:", "error:", "cannot start"):
            if word in line:
                return line[line.index(word) :].strip()
    return lines[-1].strip() if lines else "it said nothing"
