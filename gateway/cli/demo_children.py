"""The demo's processes: started from the main thread, watched, and stopped together."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.data import open_log
from gateway.errors import GatewayError
from gateway.processes import spawn, terminate

_GRACE_S = 15.0
_KILL_S = 1.0


class ChildEnded(GatewayError):
    """A process of the demo ended by itself."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        said = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        last = f": {said[-1].removeprefix('gateway: ')}" if said else ""
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        Exception.__init__(self, f"gateway {name} ended {how}{last} (see {log})")


class Children:
    """Commands of the gateway as processes of their own, for as long as the context lasts.

    Their output goes to a log each. None outlives this process, whatever ends it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask all to end at once, and wait for each; what does not end in time is killed."""
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0))
            terminate(process, grace_s=_KILL_S)

    def start(self, arguments: list[str], environment: Mapping[str, str], stdin: str = "") -> None:
        """Run `gateway ARGUMENTS`; the first of them names it. `stdin` is a short text, as a key."""
        name = arguments[0]
        command = [sys.executable, "-m", "gateway", *arguments]
        log = open_log(self._log(name))
        try:
            with tempfile.TemporaryFile() as given:
                given.write(stdin.encode())
                given.seek(0)
                self._running[name] = spawn(command, env=environment, stdin=given, stdout=log, stderr=log)
        finally:
            os.close(log)

    def check(self) -> None:
        """Raises ChildEnded where one has ended by itself."""
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                raise ChildEnded(name, code, self._log(name))

    def _log(self, name: str) -> Path:
        return self._data_dir / f"{name}.log"
