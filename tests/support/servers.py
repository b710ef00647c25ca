"""Real servers for a test session: one PostgreSQL and one Valkey a process, gone with it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded import EmbeddedServers


@dataclass(frozen=True)
class ServerUrls:
    """`database_url` is of the superuser, in an empty database."""

    database_url: str
    redis_url: str


@contextmanager
def start_test_servers() -> Iterator[ServerUrls]:
    """Start them in a temporary directory, without fsync; call it in the main thread."""
    with tempfile.TemporaryDirectory(prefix="gateway-tests-") as folder:
        if os.geteuid() == 0:
            Path(folder).chmod(0o711)
        with EmbeddedServers(Path(folder) / "data", durable=False) as servers:
            yield ServerUrls(servers.database_url, servers.redis_url)
