"""Whether the process lives, and whether it can serve."""

import asyncio
from typing import Any, Protocol

import asyncpg
import msgspec
from litestar import Response, get
from litestar.datastructures import State

from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import Unavailable
from gateway.ratelimit.limiter import RateLimiter

CHECK_TIMEOUT_S = 2.0
PROBE_ADDRESS = "readiness"
"""Counts as a caller of its own, so that nobody's limit is spent."""


class Checked(Protocol):
    """The parts that readiness looks at."""

    @property
    def db(self) -> Database: ...
    @property
    def limiter(self) -> RateLimiter: ...
    @property
    def listener(self) -> Listener: ...


class Readiness(msgspec.Struct, frozen=True):
    """`status` is `ok`, `degraded` (all requests are answered, but something is down) or `down`."""

    status: str
    database: str
    redis: str
    listener: str


@get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@get("/health/ready")
async def ready(state: State) -> Response[Readiness]:
    readiness = await check(state.parts)
    return Response(readiness, status_code=503 if readiness.status == "down" else 200)


async def check(parts: Checked) -> Readiness:
    """Ask the database and Redis, both within `CHECK_TIMEOUT_S`.

    Redis counts as down once the limiter stopped asking it, which takes three failures in a row.
    """
    database, _ = await asyncio.gather(_answers(parts.db), parts.limiter.admit_wrong_key(PROBE_ADDRESS))
    others = (parts.limiter.healthy, parts.listener.healthy)
    status = "down" if not database else "ok" if all(others) else "degraded"
    return Readiness(status, *(_word(is_up) for is_up in (database, *others)))


async def _answers(db: Database) -> bool:
    """Whether a transaction can be opened and closed in time, as the role that serves."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S), db.transaction():
            return True
    except (Unavailable, TimeoutError, asyncpg.PostgresError):
        return False


def _word(is_up: bool) -> str:
    return "ok" if is_up else "down"


HANDLERS: list[Any] = [live, ready]
