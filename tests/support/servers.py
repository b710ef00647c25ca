"""Real servers for a test session: one PostgreSQL and one Valkey a process, gone with it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded import EmbeddedServers, remove_data
from gateway.errors import ConfigurationError

PREFIX = "gateway-tests-"
SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES_MIN = 2 * 1024**3


@dataclass(frozen=True)
class ServerUrls:
    """`database_url` is of the superuser, in an empty database."""

    database_url: str
    redis_url: str


@contextlib.contextmanager
def start_test_servers() -> Iterator[ServerUrls]:
    """Start them in a temporary directory, without fsync; call it in the main thread."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=_memory()) as folder:
        if os.geteuid() == 0:
            Path(folder).chmod(0o711)
        with EmbeddedServers(Path(folder) / "data", durable=False) as servers:
            yield ServerUrls(servers.database_url, servers.redis_url)


def _memory() -> Path | None:
    """A database for each test is hundreds of files made and removed, which costs a disk more than the tests
    themselves; none where memory has no folder of enough room, as in a container."""
    if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK):
        _remove_what_was_left()
        return SHARED_MEMORY if shutil.disk_usage(SHARED_MEMORY).free >= ROOM_BYTES_MIN else None
    return None


def _remove_what_was_left() -> None:
    """Of sessions that were killed, so that memory does not fill with them; one that lives holds its data's lock."""
    for data in SHARED_MEMORY.glob(f"{PREFIX}*/data"):
        with contextlib.suppress(ConfigurationError, OSError):
            remove_data(data)
            data.parent.rmdir()
