"""The data directory: its one owner, what the servers keep in it, and its removal."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.data_dir import make_data_dir
from gateway.errors import ConfigurationError
from gateway.settings import SECRET_KEY, SETTINGS_ENV

LOCK = "lock"
MARKER = "embedded.json"
POSTGRES = "postgres"
POSTGRES_LOG = "postgres.log"
VALKEY_LOG = "valkey.log"
_LOG_BYTES_MAX = 8 * 1024 * 1024
_IN_POSTGRES = ("data", "new", "password")
_FILES = (
    SETTINGS_ENV,
    SECRET_KEY,
    *(name + suffix for name in (POSTGRES_LOG, VALKEY_LOG) for suffix in ("", ".1")),
)


class Remembered(msgspec.Struct):
    """What outlives a restart, so that addresses already given out keep working."""

    postgres_password: str
    valkey_password: str
    postgres_port: int | None = None
    valkey_port: int | None = None


class DataDirLock:
    """One owner a data directory; the kernel frees it when the owner dies, however it dies."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises ConfigurationError when another process is the owner."""
        while self._descriptor is None:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            except PermissionError:
                raise ConfigurationError([f"{self._path} belongs to another user: run as that user"]) from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 32).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise ConfigurationError([self._refusal(owner)]) from None
            if self._still_ours(descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def release(self, *, remove: bool = False) -> None:
        if self._descriptor is not None:
            if remove:
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _still_ours(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _refusal(self, owner: str) -> str:
        who = f"process {owner}" if owner else "another process"
        return f"{self._path.parent} is in use by {who}: stop it, or give another GATEWAY_DATA_DIR"


def load_remembered(data_dir: Path) -> Remembered:
    path = data_dir / MARKER
    if path.exists():
        try:
            return msgspec.json.decode(path.read_bytes(), type=Remembered)
        except msgspec.DecodeError as error:
            raise ConfigurationError([f"{path} is damaged: {error}"]) from None
    return Remembered(postgres_password=secrets.token_hex(16), valkey_password=secrets.token_hex(16))


def save_remembered(data_dir: Path, remembered: Remembered) -> None:
    """Replace the file in one step, readable by its owner only."""
    part = data_dir / f"{MARKER}.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(remembered)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(data_dir / MARKER)


def open_log(path: Path) -> int:
    """A descriptor that appends; a log grown too long is first set aside as `.1`."""
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def remove_data(data_dir: Path, *, also: Iterable[str] = ()) -> None:
    """Delete what the gateway made in a data directory, by name, and the directory if that empties it.

    A directory in which no embedded server ever ran is left as it is. `also` names further files
    the caller made there.

    Raises:
        ConfigurationError: a process owns the directory.
    """
    data_dir = data_dir.absolute()
    if not (data_dir / MARKER).is_file():
        return
    lock = DataDirLock(data_dir)
    lock.acquire()
    try:
        _remove_postgres(data_dir / POSTGRES)
        for name in (*_FILES, *also, f"{MARKER}.part", MARKER):
            (data_dir / name).unlink(missing_ok=True)
    finally:
        lock.release(remove=True)
    if not any(data_dir.iterdir()):
        data_dir.rmdir()


def prepare_data_dir(data_dir: Path) -> None:
    """Raises ConfigurationError when the directory cannot be made or written."""
    try:
        make_data_dir(data_dir)
    except OSError as error:
        raise ConfigurationError([f"cannot make {data_dir}: {error.strerror}"]) from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise ConfigurationError(
            [f"{data_dir} is not writable by this user: give another GATEWAY_DATA_DIR or run as its owner"]
        )


def _remove_postgres(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in _IN_POSTGRES:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
