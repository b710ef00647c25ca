"""The HTTP side of the gateway, composed: what `gateway serve` runs."""

import contextlib
import functools
import os
from collections.abc import AsyncIterator
from typing import cast

import msgspec
from litestar import Litestar

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
from gateway.api.redis_alert import RedisAlert
from gateway.api.reference import pages
from gateway.api.routing import ASGIApp, switch
from gateway.api.v1 import failures
from gateway.api.v1.router import ROUTER
from gateway.catalog.quality.board import REFRESH_S, QualityBoard
from gateway.catalog.snapshot import Catalog
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.egress import open_session
from gateway.errors import ConfigurationError
from gateway.keyring import Keyring
from gateway.logs import Logger
from gateway.orders.ordering import Ordering
from gateway.orders.placement import Placement
from gateway.orders.reading import OrderReader
from gateway.processes import spare_garbage_collector
from gateway.providers.upstream import Upstreams
from gateway.ratelimit.limiter import RateLimiter
from gateway.ratelimit.pipeline import check_redis_url
from gateway.request_log import request_log
from gateway.settings import PREFIX, Settings, load_settings, require_secret_key
from gateway.telemetry import configure_logging

USAGE_INTERVAL_S = 10.0
REFRESH_INTERVAL_S = 60.0
ALERT_INTERVAL_S = 2.0
CLOSE_TIMEOUT_S = 5.0
UPSTREAM_CONNECTIONS_MAX = 16
"""Of operators' questions to providers; orders go out from the worker."""
DATABASE_ACQUIRE_S = 2.0
DATABASE_ANSWER_S = 4.0
"""A database that hangs is told apart before clients, many of which wait 10 s, give up."""

_log = Logger(__name__)


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
    upstreams: Upstreams
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

    panel: ASGIApp | None = None

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        nonlocal panel
        async with _open_parts(settings, addresses, keyring) as parts:
            app.state.parts = parts
            panel = parts.panel
            spare_garbage_collector()
            yield

    litestar = Litestar(
        route_handlers=[*health.HANDLERS, *pages.HANDLERS, ROUTER],
        lifespan=[lifespan],
        exception_handlers=failures.HANDLERS,
        openapi_config=None,
        logging_config=None,
    )

    def find_panel() -> ASGIApp:
        assert panel is not None, "a request before the lifespan began"
        return panel

    return logged(switch(find_panel, cast("ASGIApp", litestar)), request_log(settings))


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
        session = open_session(allow_private=settings.allow_private_addresses, limit=UPSTREAM_CONNECTIONS_MAX)
        stack.push_async_callback(closed_within, CLOSE_TIMEOUT_S, session.close)
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
            upstreams=Upstreams(db, keyring, session, settings),
            keyring=keyring,
            settings=settings,
        )


def _limits(settings: Settings) -> dict[str, int]:
    return {"basic": settings.rate_basic, "pro": settings.rate_pro, "enterprise": settings.rate_enterprise}
