"""`gateway serve`: the HTTP side on a socket, in one process or several, until a signal ends it."""

import contextlib
import functools
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from gateway.api.protocol import PanelProtocol
from gateway.api.routing import ASGIApp
from gateway.app import create_app
from gateway.errors import ConfigurationError
from gateway.processes import die_with_parent
from gateway.settings import PREFIX, Settings
from gateway.telemetry import configure_logging

BACKLOG = 2048


def serve(settings: Settings, *, as_json: bool = False) -> None:
    """Answer requests until SIGTERM or SIGINT; those in flight are answered before it returns.

    Runs in the main thread. One line on stdout, `{"url": …}` where `as_json`, tells the address
    once it can be connected to.

    Raises:
        ConfigurationError: an address or the secret key is missing, or `BIND` cannot be had.
        SystemExit: the app did not start.
    """
    app = create_app(settings)
    with _bind(settings.bind) as listening, _signals_end_the_block():
        configure_logging(settings)
        announce = functools.partial(_announce, _address(listening), as_json)
        if settings.workers == 1:
            _Server(_config(settings, app), announce).run([listening])
        else:
            worker = functools.partial(_create_worker_app, settings, os.getpid())
            announce()
            supervisor = Multiprocess(_config(settings, worker, workers=settings.workers), [listening])
            supervisor.run()
            if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
                raise SystemExit(STARTUP_FAILURE)


class _Server(uvicorn.Server):
    """Tells its address once it answers there."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def _config(settings: Settings, app: Any, workers: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=workers is not None,
        workers=workers,
        loop="uvloop",
        http=PanelProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
    )


def _create_worker_app(settings: Settings, parent: int) -> ASGIApp:
    """Called in each worker process, which does not outlive its supervisor."""
    die_with_parent(parent)
    configure_logging(settings)
    return create_app(settings)


def _bind(address: str) -> socket.socket:
    """A listening socket; what connects before the app has started waits."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError([f"{PREFIX}BIND: cannot listen on {address}: {error.strerror}"]) from error


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(address: str, as_json: bool) -> None:
    print(msgspec.json.encode({"url": address}).decode() if as_json else f"listening on {address}", flush=True)


@contextlib.contextmanager
def _signals_end_the_block() -> Iterator[None]:
    """uvicorn raises the signals that ended it once more: take them for the end of serving, not of the process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
