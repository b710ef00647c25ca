"""The servers together: started in the order they are needed, stopped in the other."""

import contextlib
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.binaries import find_postgres_binaries, find_valkey_server
from gateway.embedded.data import (
    POSTGRES,
    POSTGRES_LOG,
    VALKEY_LOG,
    DataDirLock,
    load_remembered,
    prepare_data_dir,
    save_remembered,
)
from gateway.embedded.identity import choose_identity
from gateway.embedded.postgres import DATABASE, USER, Cluster, make_cluster, start_postgres, stop_postgres
from gateway.embedded.valkey import start_valkey, stop_valkey
from gateway.errors import ConfigurationError
from gateway.processes import Identity


class EmbeddedServers:
    """PostgreSQL and Valkey for as long as the context lasts, and never longer than this process.

    Enter it in the main thread. Data, passwords and, where they are still free, ports outlive a
    restart. `durable=False` trades safety against power loss for speed; for tests.

    Raises on entering:
        ConfigurationError: the directory has an owner, or a server cannot run here.
    """

    def __init__(self, data_dir: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True) -> None:
        self._data_dir = data_dir.expanduser().absolute()
        self._wanted = (postgres, valkey)
        self._durable = durable
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        prepare_data_dir(self._data_dir)
        try:
            with contextlib.ExitStack() as stack:
                lock = DataDirLock(self._data_dir)
                lock.acquire()
                stack.callback(lock.release)
                self._start(stack)
                self._exit = stack.pop_all()
        except PermissionError as error:
            remedy = f"run as the user who made {self._data_dir}, or give another GATEWAY_DATA_DIR"
            raise ConfigurationError([f"{error.filename}: permission denied: {remedy}"]) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()
        self._running.clear()

    @property
    def database_url(self) -> str:
        """Of the superuser; only while the server runs."""
        self._require("PostgreSQL")
        return self._database_url

    @property
    def redis_url(self) -> str:
        """Only while the server runs."""
        self._require("Valkey")
        return self._redis_url

    def find_ended(self) -> str | None:
        """The name of a server that has ended by itself."""
        return next((name for name, process in self._running.items() if process.poll() is not None), None)

    def _start(self, stack: contextlib.ExitStack) -> None:
        postgres, valkey = self._wanted
        self._remembered = load_remembered(self._data_dir)
        save_remembered(self._data_dir, self._remembered)
        binaries = find_postgres_binaries() if postgres else None
        program = find_valkey_server() if valkey else None
        tried = binaries / "postgres" if binaries else program
        if tried is None:
            return
        identity = choose_identity(self._data_dir / POSTGRES, tried)
        if binaries is not None:
            self._start_postgres(stack, binaries, identity)
        if program is not None:
            self._start_valkey(stack, program, identity)
        save_remembered(self._data_dir, self._remembered)

    def _start_postgres(self, stack: contextlib.ExitStack, binaries: Path, identity: Identity) -> None:
        remembered = self._remembered
        folder, log = self._data_dir / POSTGRES, self._data_dir / POSTGRES_LOG
        cluster = Cluster(folder, binaries, log, identity, self._durable)
        make_cluster(cluster, remembered.postgres_password)
        process, port = start_postgres(cluster, remembered.postgres_port)
        stack.callback(stop_postgres, process)
        self._running["PostgreSQL"] = process
        remembered.postgres_port = port
        self._database_url = f"postgresql://{USER}:{remembered.postgres_password}@127.0.0.1:{port}/{DATABASE}"

    def _start_valkey(self, stack: contextlib.ExitStack, program: Path, identity: Identity) -> None:
        remembered = self._remembered
        log = self._data_dir / VALKEY_LOG
        password = remembered.valkey_password
        process, port = start_valkey(program, log, identity, password, remembered.valkey_port)
        stack.callback(stop_valkey, process)
        self._running["Valkey"] = process
        remembered.valkey_port = port
        self._redis_url = f"redis://:{password}@127.0.0.1:{port}/0"

    def _require(self, name: str) -> None:
        if name not in self._running:
            raise RuntimeError(f"the embedded {name} does not run")
