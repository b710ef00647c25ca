"""The one pool of connections and the transaction that everything else is handed."""

import asyncio
import contextlib
import contextvars
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, TypeAlias

import asyncpg
import msgspec

from gateway.db.arrays import tell_arrays
from gateway.errors import Unavailable
from gateway.logs import Logger

log = Logger(__name__)

Transaction: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
"""A connection with a transaction open on it."""

_open: contextvars.ContextVar[bool] = contextvars.ContextVar("transaction_open", default=False)

CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asked after the server said that it goes away, and before it closed
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
)
"""What tells that the database did not answer, so that the fate of a commit is not known."""

LOST_ON_RELEASE: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, asyncpg.PostgresError)

ROLLED_BACK: tuple[type[BaseException], ...] = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.InvalidCachedStatementError,
)
"""What undid a transaction as a whole through no fault of its own: it may simply be tried again."""


def forbid_transaction() -> None:
    """Called where a network call begins: none is ever made with a transaction open."""
    if _open.get():
        raise RuntimeError("a network call inside a database transaction")


async def read_by_index(tx: Transaction) -> None:
    """For the rest of the transaction: rows are found by an index, and come in its order, wherever there is one.

    For queues. They are empty most of the time, and a plan that was made for an empty one would read it from end to
    end, once for every row, from the moment it fills until it is analyzed. By an index one plan serves all values, and
    is made once: with partitions to look at, making it takes longer than what it is made for.
    """
    await tx.execute(_BY_INDEX)


_BY_INDEX = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_generic_plan"
)


@contextlib.asynccontextmanager
async def reading_by_index(connection: Transaction) -> AsyncIterator[None]:
    """A transaction for reads alone in which `read_by_index` holds; within another it holds until that one ends.

    Begun and set in one round trip. However it goes, COMMIT ends it: of one that failed it is the same as ROLLBACK.
    """
    if connection.is_in_transaction():
        await read_by_index(connection)
        yield
        return
    await connection.execute(f"BEGIN READ ONLY; {_BY_INDEX}")
    try:
        yield
    finally:
        await connection.execute("COMMIT")


_LOOK_AGAIN_S = 0.02
_IS_ANOTHER = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND pid <> pg_backend_pid())"
"""A session that can be asked has ended what it was sent before."""


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def _prepare(connection: asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=_encode, decoder=msgspec.json.decode, schema="pg_catalog")
    # As text: asyncpg takes a Decimal to pieces for the binary form, which is three times the work.
    await connection.set_type_codec("numeric", encoder=str, decoder=Decimal, schema="pg_catalog")
    tell_arrays(connection)


async def _leave_as_it_is(connection: asyncpg.Connection) -> None:
    """No statement leaves anything behind in its session, and asking for a reset would be a round trip more for each.

    What is set is set for a transaction, locks are a transaction's too, and notifications come on a connection that
    is no pool's. A transaction that was left open asyncpg rolls back before.
    """


@contextlib.contextmanager
def _marked_open() -> Iterator[None]:
    token = _open.set(True)
    try:
        yield
    finally:
        _open.reset(token)


class Database:
    """A pool that acts as one role."""

    def __init__(self, pool: asyncpg.Pool, acquire_timeout_s: float, actor: str = "") -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        self._actor = actor

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        size: int = 10,
        role: str = "gateway_service",
        application: str = "gateway",
        acquire_timeout_s: float = 5.0,
        command_timeout_s: float = 30.0,
    ) -> "Database":
        """Connect lazily: the pool is made even while the database is down, and recovers by itself."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            init=_prepare,
            reset=_leave_as_it_is,
            timeout=acquire_timeout_s,
            command_timeout=command_timeout_s,
            server_settings={
                "role": role,
                "application_name": application,
                "lock_timeout": "3s",
                "idle_in_transaction_session_timeout": "15s",
                "jit": "off",  # what is compiled for a list of many months takes longer than the list
            },
        )
        await pool
        return cls(pool, acquire_timeout_s)

    def acting_as(self, actor: str) -> "Database":
        """The same pool, in whose transactions every change that is audited is put down to `actor`.

        That is `Actor.to_setting()`; an empty text is nobody, whose changes are not audited.
        """
        return Database(self._pool, self._acquire_timeout_s, actor)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Transaction]:
        """A connection without a transaction, for what is one statement.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
        except CONNECTION_ERRORS as error:
            raise Unavailable("the database does not answer", placed=False) from error
        try:
            yield connection
        except ROLLED_BACK as error:
            raise Unavailable("the database is busy", placed=False) from error
        except CONNECTION_ERRORS as error:
            raise Unavailable("the database went away") from error
        finally:
            await self._release(connection)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits at the end of the block.

        Raises:
            Unavailable: the database did not answer; `placed` False where nothing was begun.
        """
        async with self.connection() as connection:
            with _marked_open():
                async with connection.transaction():
                    if self._actor:
                        await connection.execute("SELECT set_config('gateway.actor', $1, true)", self._actor)
                    yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        """A read-only transaction in which every statement sees the same moment."""
        async with self.connection() as connection:
            with _marked_open():
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield connection

    async def has_ended(self, session: int, within_s: float = 3.0) -> bool:
        """Whether the server has ended the session with this process id, so that what was sent there is over.

        A connection that is lost here may live there: what was sent before may arrive and begin at any time.

        Raises:
            Unavailable: the database does not answer.
        """
        deadline = time.monotonic() + within_s
        while True:
            async with self.connection() as connection:
                if not await connection.fetchval(_IS_ANOTHER, session):
                    return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)  # between two looks: the server tells nobody that a session ended

    async def _release(self, connection: Transaction) -> None:
        """Give the connection back. Never raises: by then what was to be done is done, and must not look undone."""
        try:
            await self._pool.release(connection, timeout=self._acquire_timeout_s)
        except LOST_ON_RELEASE as error:
            log.warning("a connection was lost on its way back", error=repr(error))

    async def close(self) -> None:
        try:
            await self._pool.close()
        except CONNECTION_ERRORS:
            self._pool.terminate()
