"""Starting the demo: servers first, then what depends on them, as much at once as can be."""

import asyncio
import contextlib
import http.client
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.demo_children import Children
from gateway.cli.demo_state import (
    ADMIN_EMAIL,
    UPSTREAM_LOG,
    DemoState,
    Example,
    files_of_demo,
    load_state,
    save_state,
)
from gateway.data_dir import create_secret_key, write_settings_env
from gateway.db.version import is_current
from gateway.embedded import EmbeddedServers, remove_data
from gateway.errors import ConfigurationError, GatewayError
from gateway.processes import find_free_port, wait_until
from gateway.settings import PREFIX, SETTINGS_ENV, load_settings

if TYPE_CHECKING:
    from gateway.settings import Settings

_READY_S = 60.0
_ANSWER_S = 5.0
_SEED = "1"
_DECIDED = ("DATABASE_URL", "DATABASE_DIRECT_URL", "REDIS_URL", "BIND", "DATA_DIR", "ALLOW_PRIVATE_ADDRESSES")
"""Settings that the demo decides, whatever the environment says."""


class ServerEnded(GatewayError):
    """PostgreSQL or Valkey ended by itself."""

    def __init__(self, name: str, data_dir: Path) -> None:
        Exception.__init__(self, f"{name} ended by itself (see {data_dir / name.lower()}.log)")


class RunningDemo:
    """The demo once all is ready."""

    def __init__(
        self,
        data_dir: Path,
        settings: "Settings",
        servers: EmbeddedServers,
        children: Children,
        state: DemoState,
        example: Example,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._servers = servers
        self._children = children
        self._state = state
        self._example = example

    def check(self) -> None:
        """Raises ChildEnded or ServerEnded where a part of it has ended by itself."""
        self._children.check()
        if ended := self._servers.find_ended():
            raise ServerEnded(ended, self._data_dir)

    def facts(self) -> dict[str, Any]:
        """What `--json` prints."""
        host, port = _split(self._settings.bind)
        url = f"http://{host}:{port}"
        return {
            "url": url,
            "panel_url": f"{url}/api/v2",
            "api_key": self._state.api_key,
            "admin_email": ADMIN_EMAIL,
            "admin_password": self._state.admin_password,
            "upstream_url": self._state.upstream_url,
            "database_url": self._servers.database_url,
            "redis_url": self._servers.redis_url,
        }

    def welcome(self) -> str:
        """For people: where everything is, and three commands that can be pasted as they stand."""
        facts = self.facts()
        example = self._example
        call = f"curl -s {facts['panel_url']} -d key={facts['api_key']}"
        return f"""
The gateway is running.

  address     {facts["url"]}
  panel       {facts["panel_url"]}
  API key     {facts["api_key"]}
  operator    {facts["admin_email"]} / {facts["admin_password"]}  (for the dashboard, which is not served yet)
  upstream    {facts["upstream_url"]}  (simulated)
  data, logs  {self._data_dir}

What is sold:

  {call} -d action=services

Order {example.quantity} of "{example.name}"; the number is printed and kept for the next command:

  ORDER=$({call} -d action=add -d service={example.service} \
-d link=https://example.com/p/1 -d quantity={example.quantity} | tr -dc 0-9); echo "$ORDER"

How it is going (Completed after some seconds):

  {call} -d action=status -d order="${{ORDER:-100001}}"

Ctrl-C stops all of it; the data stay.
"""


def start_demo(stack: contextlib.ExitStack, port: int | None, fresh: bool) -> RunningDemo:
    """Start all, and wait until the API is ready; the stack stops it again.

    Raises:
        ConfigurationError: a port is taken, the data directory has an owner, or a server cannot run.
        ChildEnded: a process ended while it was waited for.
    """
    settings = load_settings(os.environ, stored=not fresh)
    data_dir = settings.data_dir.absolute()
    bind = _choose_address(settings.bind, port)
    if fresh:
        remove_data(data_dir, also=files_of_demo())
        load_settings(os.environ)
    servers = stack.enter_context(EmbeddedServers(data_dir))
    state = load_state(data_dir)
    save_state(data_dir, state)
    environment = _write_settings(data_dir, bind, servers)
    settings = load_settings(environment)
    children = stack.enter_context(Children(data_dir))
    upstream = [f"--port={state.upstream_port}", "--key-stdin", f"--seed={_SEED}"]
    children.start(["simulate", *upstream, f"--log={data_dir / UPSTREAM_LOG}"], environment, f"{state.upstream_key}\n")
    _migrate(servers.database_url)
    if state.example is not None:
        _start_gateway(children, environment)
    _await_answer(children, state.upstream_port, "/", "the simulated upstream")
    example = state.example
    if example is None:
        example = asyncio.run(_stock(settings, data_dir, state))
        _start_gateway(children, environment)
    host, api_port = _split(bind)
    _await_answer(children, api_port, "/health/ready", "the API", status=200, host=host)
    return RunningDemo(data_dir, settings, servers, children, state, example)


def _choose_address(bind: str, port: int | None) -> str:
    """`HOST:PORT` on which nothing listens now.

    Raises:
        ConfigurationError: something does.
    """
    host, _, given = bind.rpartition(":")
    wanted = find_free_port() if port == 0 else port or int(given)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), wanted), family=family).close()
    except OSError as error:
        raise ConfigurationError(
            [f"cannot listen on {host}:{wanted} ({os.strerror(error.errno or 0)}): give another --port"]
        ) from None
    return f"{host}:{wanted}"


def _split(bind: str) -> tuple[str, int]:
    """Where to connect to what is bound there."""
    host, _, port = bind.rpartition(":")
    return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host), int(port)


def _write_settings(data_dir: Path, bind: str, servers: EmbeddedServers) -> dict[str, str]:
    """Let every command find this demo's servers; the environment of its own processes."""
    create_secret_key(data_dir)
    write_settings_env(
        data_dir / SETTINGS_ENV,
        {
            f"{PREFIX}DATABASE_URL": servers.database_url,
            f"{PREFIX}REDIS_URL": servers.redis_url,
            f"{PREFIX}ALLOW_PRIVATE_ADDRESSES": "1",
            f"{PREFIX}CHECK_INTERVAL_MIN_S": "1",
        },
    )
    decided = {PREFIX + name + suffix for name in _DECIDED for suffix in ("", "_FILE")}
    inherited = {name: value for name, value in os.environ.items() if name not in decided}
    return inherited | {f"{PREFIX}DATA_DIR": str(data_dir), f"{PREFIX}BIND": bind}


def _migrate(database_url: str) -> None:
    """Alembic takes a second to import, so a database that is current is left in peace."""
    if asyncio.run(is_current(database_url)):
        return
    from gateway.db.migrate import upgrade

    asyncio.run(upgrade(database_url))


async def _stock(settings: "Settings", data_dir: Path, state: DemoState) -> Example:
    from gateway.cli.demo_stock import stock

    return await stock(settings, data_dir, state)


def _start_gateway(children: Children, environment: dict[str, str]) -> None:
    children.start(["serve"], environment)
    children.start(["work"], environment)


def _await_answer(
    children: Children, port: int, path: str, what: str, *, status: int | None = None, host: str = "127.0.0.1"
) -> None:
    """Raises ChildEnded where a process ended meanwhile, ConfigurationError where no answer came in time."""

    def answers() -> bool:
        children.check()
        connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=_ANSWER_S)
        try:
            connection.request("GET", path)
            return status in (None, connection.getresponse().status)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    try:
        wait_until(answers, within_s=_READY_S, what=what)
    except TimeoutError as error:
        raise ConfigurationError([f"{error} (see the logs beside the data)"]) from None
