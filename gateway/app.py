"""The HTTP side of the gateway, composed: what `gateway serve` runs."""

import contextlib
import functools
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import msgspec
import structlog
import uvicorn
from litestar import Litestar
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from compat import panel_app
from gateway.accounts.directory import Directory
from gateway.accounts.usage import UsageMarks
from gateway.alerts.watch import Watch
from gateway.api import health
from gateway.api.access import logged
from gateway.api.background import closed_within, repeated
from gateway.api.callers import Callers
from gateway.api.listings import Listings, NativeListings, write_natively
from gateway.api.panel import GatewayBackend
from gateway.api.protocol import PanelProtocol
from gateway.api.redis_alert import RedisAlert
from gateway.api.routing import ASGIApp, switch
from gateway.api.v1 import failures
from gateway.api.v1.router import ROUTER
from gateway.catalog.quality.board import REFRESH_S, QualityBoard
from gateway.catalog.snapshot import Catalog
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import ConfigurationError
from gateway.keyring import Keyring
from gateway.orders.ordering import Ordering
from gateway.orders.placement import Placement
from gateway.orders.reading import OrderReader
from gateway.processes import die_with_parent
from gateway.ratelimit.limiter import RateLimiter
from gateway.ratelimit.pipeline import check_redis_url
from gateway.settings import PREFIX, Settings, load_settings, require_secret_key
from gateway.telemetry import configure_logging

USAGE_INTERVAL_S = 10.0
REFRESH_INTERVAL_S = 60.0
ALERT_INTERVAL_S = 2.0
CLOSE_TIMEOUT_S = 5.0
BACKLOG = 2048
DATABASE_ACQUIRE_S = 2.0
DATABASE_ANSWER_S = 4.0
"""A database that hangs is told apart before clients, many of which wait 10 s, give up."""

_log = structlog.get_logger(__name__)


# Composition ---------------------------------------------------------------------------------


class Parts(msgspec.Struct, frozen=True):
    """What is open while the app runs."""

    db: Database
    listener: Listener
    limiter: RateLimiter
    panel: ASGIApp
    callers: Callers
    catalog: Catalog
    native_listings: NativeListings
    ordering: Ordering
    reader: OrderReader
    keyring: Keyring
    settings: Settings


class Addresses(msgspec.Struct, frozen=True):
    """Where the servers are that no request can do without."""

    database: str
    listener: str
    redis: str


def create_app(settings: Settings) -> ASGIApp:
    """The whole HTTP side as one ASGI app; its lifespan opens and closes what it needs.

    It starts while PostgreSQL or Redis is down, and recovers by itself.

    Raises:
        ConfigurationError: an address or the secret key is missing, or that of Redis cannot be read.
    """
    addresses = _require_addresses(settings)
    check_redis_url(addresses.redis)
    keyring = Keyring(require_secret_key(settings))

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with _open_parts(settings, addresses, keyring) as parts:
            app.state.parts = parts
            yield

    litestar = Litestar(
        route_handlers=[*health.HANDLERS, ROUTER],
        lifespan=[lifespan],
        exception_handlers=failures.HANDLERS,
        openapi_config=None,
        logging_config=None,
    )

    def find_panel() -> ASGIApp:
        parts: Parts = litestar.state.parts
        return parts.panel

    return logged(switch(find_panel, cast("ASGIApp", litestar)))


def create_app_from_environment() -> ASGIApp:
    """For servers that are given an import string: `uvicorn --factory gateway.app:create_app_from_environment`."""
    settings = load_settings(os.environ)
    configure_logging(settings)
    return create_app(settings)


def _require_addresses(settings: Settings) -> Addresses:
    database, redis = settings.database_url, settings.redis_url
    if database is None or redis is None:
        given = {"DATABASE_URL": database, "REDIS_URL": redis}
        raise ConfigurationError([f"{PREFIX}{name} is not set" for name, url in given.items() if url is None])
    return Addresses(database, settings.database_direct_url or database, redis)


@contextlib.asynccontextmanager
async def _open_parts(settings: Settings, addresses: Addresses, keyring: Keyring) -> AsyncIterator[Parts]:
    """Open everything without waiting for any server; what still waits to be written is written at the end."""
    async with contextlib.AsyncExitStack() as stack:
        db = await Database.open(
            addresses.database,
            size=settings.pool_size,
            application="gateway serve",
            acquire_timeout_s=DATABASE_ACQUIRE_S,
            command_timeout_s=DATABASE_ANSWER_S,
        )
        stack.push_async_callback(closed_within, CLOSE_TIMEOUT_S, db.close)
        redis_alert = RedisAlert(db)
        limiter = RateLimiter(
            addresses.redis,
            settings.rate_wrong_keys,
            settings.redis_timeout_ms,
            on_change=redis_alert.tell,
        )
        stack.push_async_callback(closed_within, CLOSE_TIMEOUT_S, limiter.close)
        listener = Listener(addresses.listener)
        directory = Directory(db, keyring, listener)
        catalog = Catalog(db, listener)
        quality = QualityBoard()
        placement, reader, usage = Placement(db), OrderReader(db), UsageMarks()
        ordering = Ordering(catalog, placement)
        stack.push_async_callback(closed_within, CLOSE_TIMEOUT_S, functools.partial(usage.flush, db))
        for close in (directory.close, catalog.close, placement.close):
            stack.push_async_callback(closed_within, CLOSE_TIMEOUT_S, close)
        await listener.start()
        stack.push_async_callback(listener.stop)
        await stack.enter_async_context(repeated("usage marks", functools.partial(usage.flush, db), USAGE_INTERVAL_S))
        await stack.enter_async_context(repeated("key hashes", directory.rehash, USAGE_INTERVAL_S))
        watch = Watch(db, settings, "serve")
        stack.push_async_callback(closed_within, CLOSE_TIMEOUT_S, watch.leave)
        for name, interval_s, job in watch.jobs():
            await stack.enter_async_context(repeated(name, job, interval_s))
        await stack.enter_async_context(repeated("redis alert", redis_alert.write, ALERT_INTERVAL_S))
        await stack.enter_async_context(repeated("order months", reader.refresh, REFRESH_INTERVAL_S))
        await stack.enter_async_context(repeated("quality", functools.partial(quality.refresh, db), REFRESH_S))
        callers = Callers(directory, limiter, usage, _limits(settings))
        backend = GatewayBackend(
            db,
            callers=callers,
            catalog=catalog,
            quality=quality,
            ordering=ordering,
            reader=reader,
            refill_wait_s=settings.refill_wait_s,
        )
        native = Listings(catalog, write_natively, lambda: quality.summaries)
        yield Parts(
            db=db,
            listener=listener,
            limiter=limiter,
            panel=panel_app(backend),
            callers=callers,
            catalog=catalog,
            native_listings=native,
            ordering=ordering,
            reader=reader,
            keyring=keyring,
            settings=settings,
        )


def _limits(settings: Settings) -> dict[str, int]:
    return {"basic": settings.rate_basic, "pro": settings.rate_pro, "enterprise": settings.rate_enterprise}


# Serving -------------------------------------------------------------------------------------


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
