"""What the demo keeps in `demo.json` between two runs, and where its files lie."""

import os
import secrets
from pathlib import Path

import msgspec

from gateway.errors import ConfigurationError
from gateway.processes import find_free_port

STATE = "demo.json"
UPSTREAM_LOG = "upstream.log"
CHILDREN = ("simulate", "serve", "work")
ADMIN_EMAIL = "admin@demo.example"
RESELLER_EMAIL = "reseller@demo.example"
_PORTS = range(20_000, 32_000)
"""Below those that systems lend to outgoing connections, so that the port is still free tomorrow."""


class Example(msgspec.Struct, frozen=True):
    """A service to try out, and a quantity that it allows."""

    service: int
    name: str
    quantity: int


class DemoState(msgspec.Struct):
    """Passwords and keys of the demo; `api_key` is empty until its users are in the database."""

    admin_password: str
    reseller_password: str
    upstream_key: str
    upstream_port: int
    api_key: str = ""
    example: Example | None = None
    """Known once the catalogue is there too."""

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}/api/v2"


def files_of_demo() -> list[str]:
    """Names in the data directory that `--fresh` removes beside those of the servers."""
    logs = [f"{name}.log" for name in CHILDREN]
    return [STATE, f"{STATE}.part", UPSTREAM_LOG, f"{UPSTREAM_LOG}.asked", *logs, *(f"{name}.1" for name in logs)]


def load_state(data_dir: Path) -> DemoState:
    """The state of the last run, or a new one with fresh secrets and a free port for the upstream.

    Raises:
        ConfigurationError: the file is damaged, or the upstream's port is taken by now.
    """
    path = data_dir / STATE
    if not path.exists():
        return DemoState(secrets.token_urlsafe(12), secrets.token_urlsafe(12), secrets.token_hex(16), _choose_port())
    try:
        state = msgspec.json.decode(path.read_bytes(), type=DemoState)
    except msgspec.DecodeError as error:
        raise ConfigurationError([f"{path} is damaged ({error}); gateway demo --fresh starts over"]) from None
    if find_free_port(state.upstream_port) != state.upstream_port:
        raise ConfigurationError(
            [f"port {state.upstream_port} of the demo's upstream is taken: free it, or start with --fresh"]
        )
    return state


def save_state(data_dir: Path, state: DemoState) -> None:
    """Replace the file in one step, readable by its owner only."""
    part = data_dir / f"{STATE}.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(data_dir / STATE)


def _choose_port() -> int:
    for _ in range(100):
        port = secrets.choice(_PORTS)
        if find_free_port(port) == port:
            return port
    return find_free_port()
