"""Composes the loops that send, follow and tidy up; `gateway work` runs it."""

import asyncio
import contextlib
import functools
import random
import signal
from collections.abc import Awaitable, Callable, Collection

from gateway.accounts.spending import store as spending
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.alerts.watch import Watch
from gateway.catalog.quality import measuring
from gateway.catalog.sync.syncing import sync_due
from gateway.db import partitions
from gateway.db.engine import Database, Transaction
from gateway.db.listener import Listener
from gateway.dispatch import upkeep
from gateway.dispatch.cancels import act_on_cancels
from gateway.dispatch.refills import send_refills
from gateway.dispatch.resend import resend_unknown
from gateway.dispatch.sender import Dispatcher
from gateway.dispatch.unknowns.pausing import pause_doubtful
from gateway.dispatch.unknowns.probing import probe_unknown
from gateway.dispatch.unknowns.teaching import apply_taught
from gateway.egress import open_session
from gateway.errors import ConfigurationError
from gateway.keyring import Keyring
from gateway.ledger.verify import claim_verifying, verify
from gateway.logs import Logger
from gateway.orders.families.runs import start_due_runs
from gateway.orders.margin.adding_up import add_up_days
from gateway.orders.replays import store as replays
from gateway.processes import spare_garbage_collector
from gateway.providers.lanes import Lanes
from gateway.providers.money.balances import learn_balances, learn_short_balances, purge_readings
from gateway.providers.money.days.reconciling import reconcile_days
from gateway.providers.upstream import Upstreams
from gateway.request_log import sent_log
from gateway.settings import Settings
from gateway.tracking.poller import Poller
from gateway.tracking.refills import follow_refills
from gateway.webhooks.calling import Caller
from gateway.webhooks.relay import relay_events
from gateway.webhooks.sending import IN_FLIGHT_MAX, Deliverer
from gateway.webhooks.upkeep import drop_outdated, drop_unwanted

log = Logger(__name__)

REFRESH_S = 2.0
UPKEEP_S = 2.0
RUNS_S = 1.0
SYNC_S = 5.0
DAYS_S = 600.0
PURGED_AT_ONCE = 1000
AFTERCARE_S = 1.0
RELAY_S = 0.25
PARTITIONS_S = 3600.0
VERIFY_S = 86_400.0
CONNECTIONS_MAX = 1000
CANCELS_MAX = 10
CANCEL_AGAIN_S = 0.5


async def run_worker(settings: Settings) -> None:
    """Until SIGTERM or SIGINT: sends in flight finish within the grace, or stay `sending`.

    Raises:
        ConfigurationError: no database is named.
    """
    if settings.database_url is None:
        raise ConfigurationError(["GATEWAY_DATABASE_URL is not set"])
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        db = await Database.open(settings.database_url, size=settings.pool_size, application="gateway work")
        stack.push_async_callback(db.close)
        session = open_session(allow_private=settings.allow_private_addresses, limit=CONNECTIONS_MAX)
        stack.push_async_callback(session.close)
        upstreams = Upstreams(db, Keyring(settings.secret_key), session, settings)
        dispatcher = Dispatcher(
            db,
            upstreams,
            lease_s=settings.send_lease_s,
            first_check_s=settings.check_interval_min_s,
            tell_sent=sent_log(settings),
        )
        poller = Poller(
            db,
            upstreams,
            check_interval_min_s=settings.check_interval_min_s,
            check_interval_max_s=settings.check_interval_max_s,
        )
        aftercare = [Lanes(), Lanes(), Lanes(), Lanes(), Lanes()]
        calls = open_session(
            allow_private=settings.allow_private_addresses, limit=IN_FLIGHT_MAX, keepalive_s=15.0, decompress=False
        )
        stack.push_async_callback(calls.close)
        deliverer = Deliverer(
            db,
            Caller(calls, Keyring(settings.secret_key)),
            each=settings.webhook_in_flight,
            delays_s=settings.webhook_retries_s,
            lease_s=settings.webhook_lease_s,
        )
        listener = Listener(settings.database_direct_url or settings.database_url)
        listener.on("orders_queued", dispatcher.wake)
        listener.on_reconnect(dispatcher.wake)
        await _survive("providers", upstreams.refresh)
        await listener.start()
        stack.push_async_callback(listener.stop)
        loops = [
            asyncio.create_task(dispatcher.run(), name="dispatcher"),
            asyncio.create_task(poller.run(), name="poller"),
            asyncio.create_task(deliverer.run(), name="webhooks"),
            *_upkeep(settings, db, upstreams, aftercare),
            asyncio.create_task(_every(RELAY_S, "events", lambda: _relay(db, deliverer)), name="events"),
        ]
        watch = Watch(db, settings, "work")
        loops += [asyncio.create_task(_every(seconds, name, job), name=name) for name, seconds, job in watch.jobs()]
        spare_garbage_collector()
        log.info("working")
        failed = await _until_stopped(stopping, loops)
        grace_s = settings.shutdown_grace_s
        await asyncio.gather(
            dispatcher.stop(grace_s), deliverer.stop(grace_s), *(lanes.stop(grace_s) for lanes in aftercare)
        )
        await poller.stop()
        await end_loops(loops)
        if not failed:
            await watch.leave()
    log.info("stopped")
    if failed:
        raise SystemExit(1)


async def _until_stopped(stopping: asyncio.Event, loops: list[asyncio.Task[None]]) -> bool:
    """Wait for the signal. A loop that ends by itself is a bug: True then, so that the worker is restarted."""
    signalled = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([signalled, *loops], return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    failed = [task for task in loops if task in done]
    for task in failed:
        log.error("a loop ended", loop=task.get_name(), exc_info=None if task.cancelled() else task.exception())
    return bool(failed)


async def end_loops(loops: Collection[asyncio.Task[None]]) -> None:
    """Cancel until they end: `asyncio.wait_for` of Python 3.11 loses a cancel that comes as its wait is over."""
    pending = set(loops)
    for _ in range(CANCELS_MAX):
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
        if not pending:
            break
    else:
        log.error("loops did not end", loops=sorted(task.get_name() for task in pending))
    await asyncio.gather(*(task for task in loops if task.done()), return_exceptions=True)


async def _relay(db: Database, deliverer: Deliverer) -> None:
    """What was relayed is due at once."""
    if await relay_events(db):
        deliverer.wake()


def _upkeep(settings: Settings, db: Database, upstreams: Upstreams, aftercare: list[Lanes]) -> list[asyncio.Task[None]]:
    cancels, refills, statuses, copies, probes = aftercare
    shortest_s, longest_s = settings.check_interval_min_s, settings.check_interval_max_s
    jobs: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
        ("providers", REFRESH_S, upstreams.refresh),
        ("drip-feeds", RUNS_S, lambda: start_due_runs(db)),
        ("cancels", AFTERCARE_S, lambda: act_on_cancels(db, upstreams, cancels)),
        ("refills", AFTERCARE_S, lambda: send_refills(db, upstreams, shortest_s, refills)),
        ("refill statuses", AFTERCARE_S, lambda: follow_refills(db, upstreams, shortest_s, longest_s, statuses)),
        ("balances", settings.balance_interval_s, lambda: learn_balances(db, upstreams)),
        ("catalogues", SYNC_S, lambda: sync_due(db, upstreams, settings.sync_interval_s)),
        ("short balances", settings.balance_interval_s / 10, lambda: learn_short_balances(db, upstreams)),
        ("balance readings", PARTITIONS_S, lambda: purge_readings(db)),
        ("provider days", DAYS_S, lambda: reconcile_days(db)),
        ("margins", DAYS_S, lambda: add_up_days(db)),
        (
            "copies",
            UPKEEP_S,
            functools.partial(
                resend_unknown,
                db,
                upstreams,
                lease_s=settings.send_lease_s,
                first_check_s=settings.check_interval_min_s,
                lanes=copies,
            ),
        ),
        ("idempotency keys", PARTITIONS_S, lambda: purge(db, replays.purge)),
        ("spending of keys", PARTITIONS_S, lambda: purge(db, spending.purge)),
        ("leases", UPKEEP_S, lambda: upkeep.expire_leases(db)),
        ("unknown orders", UPKEEP_S, lambda: upkeep.give_up_unknown(db, settings.unknown_max_age_s)),
        ("probes", UPKEEP_S, lambda: probe_unknown(db, upstreams, probes)),
        ("taught words", UPKEEP_S, lambda: apply_taught(db)),
        (
            "pauses",
            UPKEEP_S,
            lambda: pause_doubtful(db, settings.unknown_open_max, settings.unknown_percent_max),
        ),
        ("queued orders", UPKEEP_S, lambda: upkeep.fail_queued(db, settings.queued_max_age_s)),
        ("quality", measuring.INTERVAL_S, lambda: measuring.measure(db)),
        ("unwanted deliveries", UPKEEP_S, lambda: drop_unwanted(db)),
        ("partitions", PARTITIONS_S, lambda: keep_partitions(db)),
    ]
    loops = [asyncio.create_task(_every(seconds, name, job), name=name) for name, seconds, job in jobs]
    return [*loops, asyncio.create_task(_verify_daily(db), name="ledger")]


async def _every(seconds: float, name: str, job: Callable[[], Awaitable[object]]) -> None:
    while True:
        await _survive(name, job)
        await asyncio.sleep(seconds)


async def _survive(name: str, job: Callable[[], Awaitable[object]]) -> None:
    """Run a job of upkeep; its failure is logged and it is tried again at its next turn."""
    try:
        await job()
    except Exception as error:  # of any job: the loop goes on, and so do the other jobs
        log.error("upkeep failed", job=name, error=str(error), kind=type(error).__name__)


async def purge(db: Database, delete: Callable[[Transaction, int], Awaitable[int]]) -> None:
    """Delete rows whose time is over, a thousand a transaction."""
    deleted = PURGED_AT_ONCE
    while deleted == PURGED_AT_ONCE:
        async with db.transaction() as tx:
            deleted = await delete(tx, PURGED_AT_ONCE)


async def keep_partitions(db: Database) -> None:
    """In transactions of their own, so that rows which keep a month from being made are told of first."""
    async with db.transaction() as tx:
        used = [table for table, is_used in (await partitions.rows_in_default(tx)).items() if is_used]
        message = "{}_default holds rows: a month was missing; see docs/operations.md"
        await alerts.raise_(tx, [Alert("default_partition", table, message.format(table)) for table in used])
    async with db.transaction() as tx:
        await partitions.ensure(tx)
    await drop_outdated(db)
    async with db.transaction() as tx:
        await partitions.keep_days(tx)
    async with db.transaction() as tx:
        await partitions.close_months(tx)


async def _verify_daily(db: Database) -> None:
    """The first time after one to two hours: starting is no reason to read the whole ledger."""
    await asyncio.sleep(VERIFY_S / 24 * random.uniform(1, 2))
    await _every(VERIFY_S, "ledger", lambda: verify_books(db))


async def verify_books(db: Database) -> None:
    """Raise an alert where the books are wrong; left to the other process where one is at it."""
    async with db.snapshot() as tx:
        if not await claim_verifying(tx):
            return
        problems = await verify(tx)
    if problems:
        async with db.transaction() as tx:
            await alerts.raise_(tx, [Alert("ledger", "ledger", f"{len(problems)} faults: {problems[0].what}")])
