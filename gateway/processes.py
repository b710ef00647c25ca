"""Child processes that never outlive their parent: started, awaited and ended within a bound.

Run as a script it is the launcher that stands between `spawn` and the program: it takes on the
program's user, ties itself to the parent and becomes the program. A program of its own, because
code between fork and exec is unsafe as soon as the parent has threads.
"""

import ctypes
import dataclasses
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn, TypeVar

Answer = TypeVar("Answer")
Stream = IO[bytes] | int | None

_LAUNCH_FAILED = 126
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_WATCH_INTERVAL_S = 0.2
_GARBAGE_THRESHOLDS = (50_000, 20, 100)


@dataclasses.dataclass(frozen=True)
class Identity:
    """Whom a child runs as: the parent's own user, another one, or an unprivileged user that
    exists only in a namespace, where files of the parent's user appear as its own."""

    uid: int | None = None
    gid: int | None = None
    namespace: bool = False


def spare_garbage_collector() -> None:
    """Let it pass over all that was made so far, and come less often: each full pass stops every request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


def spawn(
    argv: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGKILL,
    identity: Identity | None = None,
    directory: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, which gets `death_signal` once this process is gone.

    The terminal's Ctrl-C does not reach it. `directory` is entered as the child's user: where
    that user cannot, the child ends with a line on its stderr. Linux ties the signal to the
    thread that spawns, so only the main one may.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread only")
    plan = {
        "parent": os.getpid(),
        "signal": int(death_signal),
        "identity": dataclasses.asdict(identity or Identity()),
        "directory": str(directory) if directory else None,
    }
    launcher = [sys.executable, "-I", "-S", __file__, json.dumps(plan)]
    return subprocess.Popen(
        [*launcher, *(os.fspath(word) for word in argv)],
        env=None if env is None else dict(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def die_with_parent(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Let this process get `death_signal` when `parent` is gone, at once if it already is.

    For processes that `spawn` did not start; call it after any change of user, which clears it.
    """
    if sys.platform == "linux":
        _tie_to_parent(death_signal)
    else:
        threading.Thread(target=_watch_parent, args=(parent, death_signal), daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), death_signal)


def terminate(
    process: subprocess.Popen[bytes], *, grace_s: float = 10.0, first: signal.Signals = signal.SIGTERM
) -> int:
    """Ask a spawned child to end, kill its group after `grace_s`; its exit code, negative for a signal."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def wait_until(condition: Callable[[], Answer | None], *, within_s: float, what: str) -> Answer:
    """The first answer of `condition` that is neither None nor False.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + within_s
    pause_s = 0.002
    while True:
        answer = condition()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.05)


def find_free_port(preferred: int | None = None) -> int:
    """A loopback port nobody listens on at this moment, the preferred one if it is free."""
    if preferred is not None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", preferred))
                return preferred
            except OSError:
                pass
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tie_to_parent(death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _watch_parent(parent: int, death_signal: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_INTERVAL_S)
    os.kill(os.getpid(), death_signal)


def _enter_namespace() -> None:
    """Become `nobody` in a user namespace; outside it the process is still whom it was."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"65534 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"65534 {gid} 1")


def _take_on(identity: Identity) -> None:
    if identity.namespace:
        _enter_namespace()
    elif identity.uid is not None and identity.gid is not None:
        os.setgroups([])
        os.setgid(identity.gid)
        os.setuid(identity.uid)


def _supervise(argv: list[str], parent: int, death_signal: int) -> int:
    """Where the kernel has no parent-death signal: stay between parent and program."""
    child = subprocess.Popen(argv)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while True:
        try:
            code = child.wait(_WATCH_INTERVAL_S)
            return code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.send_signal(death_signal)


def _launch(plan: str, argv: list[str]) -> NoReturn:
    orders = json.loads(plan)
    try:
        _take_on(Identity(**orders["identity"]))
        if orders["directory"]:
            os.chdir(orders["directory"])
        for name in ("SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        if sys.platform != "linux":
            sys.exit(_supervise(argv, orders["parent"], orders["signal"]))
        _tie_to_parent(orders["signal"])
        if os.getppid() != orders["parent"]:
            sys.exit(_LAUNCH_FAILED)
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"cannot start {argv[0]}: {error}", file=sys.stderr)
        sys.exit(_LAUNCH_FAILED)


if __name__ == "__main__":
    _launch(sys.argv[1], sys.argv[2:])
