"""One Valkey server on loopback, in memory only."""

import os
import signal
import socket
import subprocess
from pathlib import Path

from gateway.embedded.data import open_log
from gateway.errors import ConfigurationError
from gateway.processes import Identity, find_free_port, spawn, terminate, wait_until

_START_S = 20.0
_STOP_S = 5.0
_ANSWER_S = 2.0
_ATTEMPTS_MAX = 4


def start_valkey(
    program: Path, log: Path, identity: Identity, password: str, preferred_port: int | None
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server and wait until it answers to the password; with it, its port.

    Raises:
        ConfigurationError: it does not start.
    """
    port = find_free_port(preferred_port)
    for _ in range(_ATTEMPTS_MAX):
        process = _spawn_server(program, log, identity, password, port)
        if _becomes_ready(process, port, password):
            return process, port
        port = find_free_port()
    raise ConfigurationError([f"Valkey does not start (see {log})"])


def stop_valkey(process: subprocess.Popen[bytes]) -> None:
    terminate(process, grace_s=_STOP_S)


def _spawn_server(program: Path, log: Path, identity: Identity, password: str, port: int) -> subprocess.Popen[bytes]:
    """The configuration goes through stdin: an argument would show the password to every user."""
    settings = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        "daemonize no",
        "set-proc-title no",
    ]
    descriptor = open_log(log)
    try:
        process = spawn(
            [program, "-"],
            death_signal=signal.SIGKILL,
            identity=identity,
            directory=Path("/"),
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=descriptor,
            stderr=descriptor,
        )
    finally:
        os.close(descriptor)
    if process.stdin is not None:
        try:
            process.stdin.write("\n".join(settings).encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            process.wait(_START_S)
    return process


def _becomes_ready(process: subprocess.Popen[bytes], port: int, password: str) -> bool:
    try:
        wait_until(
            lambda: process.poll() is not None or _answers(port, password),
            within_s=_START_S,
            what="Valkey's start",
        )
    except BaseException as error:  # raised again: a server that was begun is not left behind
        stop_valkey(process)
        if isinstance(error, TimeoutError):
            raise ConfigurationError([str(error)]) from None
        raise
    return process.poll() is None


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as replies:
                return replies.readline() == b"+OK\r\n" and replies.readline() == b"+PONG\r\n"
    except OSError:
        return False
