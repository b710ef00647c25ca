"""Spends a request from a key's or an address's limit: in Redis, or in this process while Redis is gone."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.ratelimit.model import Breaker, Verdict, site_of, verdict
from gateway.ratelimit.pipeline import pipelined_storage
from gateway.ratelimit.refused import Refused

_FAILURES_TO_OPEN = 3
_PROBE_INTERVAL_S = 1.0
_LOCAL_WINDOWS_MAX = 20_000
_LIMITS_KNOWN_MAX = 1024
_NAMES_KNOWN_MAX = 20_000

Answer = TypeVar("Answer", bound=Verdict | None)
Hit = Callable[[SlidingWindowCounterRateLimiter, RateLimitItem, str], Awaitable[Answer]]

_log = Logger(__name__)


class _KeyLimit(RateLimitItemPerMinute):
    """Counted under the key alone and not, as by itself, under key and limit: another limit is no new minute."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        return _name(self.namespace, *identifiers)


@functools.lru_cache(maxsize=_NAMES_KNOWN_MAX)
def _name(*parts: bytes | str | int | float) -> str:
    return "/".join(map(str, parts))


@functools.lru_cache(maxsize=_LIMITS_KNOWN_MAX)
def _item(limit: int) -> RateLimitItem:
    return _KeyLimit(limit, namespace="key")


class RateLimiter:
    """The same limits for every process on one Redis; never an error, and seldom longer than the time-out.

    Who arrives while a call hangs waits for that one's end and for his own: twice the time-out at most.

    While Redis fails, each process counts for itself with the same limits. After three failures
    in a row that answer comes at once: one request a second probes, all others leave Redis alone.
    """

    def __init__(
        self,
        redis_url: str,
        wrong_keys_per_minute: int,
        timeout_ms: int,
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        """`on_change` is told `healthy` at the first answer, and whenever it changes."""
        self._on_change = on_change
        self._told: bool | None = None
        storage, self._pipeline = pipelined_storage(redis_url, timeout_ms / 1000)
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._memory = MemoryStorage()
        self._local = SlidingWindowCounterRateLimiter(self._memory)
        self._breaker = Breaker(_FAILURES_TO_OPEN, _PROBE_INTERVAL_S, time.monotonic)
        self._refused = Refused(time.monotonic)
        self._wrong_keys = RateLimitItemPerMinute(wrong_keys_per_minute, namespace="wrong-key")

    @property
    def healthy(self) -> bool:
        """Whether limits are shared with the other processes right now."""
        return self._breaker.closed

    async def spend(self, identity: str, limit: int) -> Verdict:
        """One request of `limit` a minute. Where the limit changes, what was spent before it still counts."""
        item = _item(limit)
        refusal = self._refused.find(item, identity)
        return await self._spend(item, identity, _hit) if refusal is None else refusal

    async def admit(self, identity: str, limit: int) -> Verdict | None:
        """As `spend`, at half its cost: None where the request may go on, and nothing of what is left."""
        item = _item(limit)
        return self._refused.find(item, identity) or await self._spend(item, identity, _admit)

    async def admit_wrong_key(self, address: str) -> Verdict | None:
        """As `admit`."""
        item, site = self._wrong_keys, site_of(address)
        return self._refused.find(item, site) or await self._spend(item, site, _admit)

    async def close(self) -> None:
        await self._pipeline.close()

    async def _spend(self, item: RateLimitItem, identity: str, hit: Hit[Answer]) -> Answer:
        if self._breaker.admits():
            try:
                answer = await hit(self._shared, item, identity)
            except (Unavailable, StorageError) as error:
                self._failed(error)
            else:
                self._succeeded()
                if answer is not None:
                    self._refused.note(item, identity, answer)
                return answer
        return await self._spend_locally(item, identity, hit)

    async def _spend_locally(self, item: RateLimitItem, identity: str, hit: Hit[Answer]) -> Answer:
        # Forgetting all is the bound: callers with ever new addresses may not fill the memory.
        if len(self._memory.expirations) >= _LOCAL_WINDOWS_MAX:
            await self._memory.reset()
        return await hit(self._local, item, identity)

    def _failed(self, error: Exception) -> None:
        if self._breaker.failed():
            _log.warning("rate limits are local: redis does not answer", reason=str(error) or "timeout")
            self._tell(False)

    def _succeeded(self) -> None:
        if self._breaker.succeeded():
            _log.info("rate limits are shared again: redis answers")
        if self._told is not True and self.healthy:
            self._tell(True)

    def _tell(self, healthy: bool) -> None:
        self._told = healthy
        if self._on_change is not None:
            self._on_change(healthy)


async def _hit(strategy: SlidingWindowCounterRateLimiter, item: RateLimitItem, identity: str) -> Verdict:
    """Both calls wait at the same moment, hit first, and so share a pipeline."""
    allowed, window = await asyncio.gather(strategy.hit(item, identity), strategy.get_window_stats(item, identity))
    return verdict(allowed, item.amount, window.remaining, window.reset_time - time.time())


async def _admit(strategy: SlidingWindowCounterRateLimiter, item: RateLimitItem, identity: str) -> Verdict | None:
    """One call where the limit is not reached, which is nearly always."""
    if await strategy.hit(item, identity):
        return None
    window = await strategy.get_window_stats(item, identity)
    return verdict(False, item.amount, window.remaining, window.reset_time - time.time())
