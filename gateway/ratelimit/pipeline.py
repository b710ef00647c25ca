"""The storage of `limits` on Redis, with the script calls of all waiting requests made by one.

`limits` takes no client of one's own, so its bridge keeps the redis-py client that it made and
only the two scripts of the sliding window are put in the place of its own.
"""

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from limits.aio.storage import RedisClusterStorage, RedisStorage
from limits.errors import ConfigurationError as LimitsError
from limits.storage import storage_from_string
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from gateway.batching import Batcher
from gateway.errors import ConfigurationError, GatewayError, Unavailable
from gateway.settings import PREFIX

SCHEMES = ("redis", "rediss", "redis+cluster")
_DEFAULT_PORT = 6379
_CALLS_PER_PIPELINE_MAX = 512
_CALLS_WAITING_MAX = 20_000
_NAMES_KNOWN_MAX = 20_000
_CALLS_TOGETHER = 64
"""In one command, for whose time the server answers nobody else."""
_TOGETHER = """
local one = function(KEYS, ARGV)
%s
end
local answers, each = {}, tonumber(ARGV[1])
local same = #ARGV == 1 + each
for call = 0, #KEYS / 2 - 1 do
  local args, before = {}, same and 1 or 1 + call * each
  for at = 1, each do args[at] = ARGV[before + at] end
  answers[call + 1] = one({KEYS[call * 2 + 1], KEYS[call * 2 + 2]}, args)
end
return answers
"""
"""A script of the library, which has two keys, for many calls of it; a command for each would cost ten times that.

First how many arguments a call has, then those of all calls where they are the same, else those of each.
"""


class Script(msgspec.Struct, frozen=True):
    sha: str
    text: str


class Call(msgspec.Struct, frozen=True):
    """One script call. Past `deadline` (the loop's clock) nobody waits for it and it is not sent."""

    script: Script
    keys: list[Any]
    args: list[Any]
    deadline: float


class SharedPipeline:
    """One round trip under way at a time; what arrives meanwhile goes together in the next.

    In it, the calls of a script stand before those of scripts that were registered later.
    """

    def __init__(self, client: Any, timeout_s: float, together: int) -> None:
        """`together` calls are one command: their keys have to be on one server."""
        self._client = client
        self._timeout_s = timeout_s
        self._together = together
        self._registered: list[str] = []
        self._calls: Batcher[Call, Any] = Batcher(
            self._flush, max_batch=_CALLS_PER_PIPELINE_MAX, max_waiting=_CALLS_WAITING_MAX, name="redis"
        )

    def script(self, registered: Any) -> "SharedScript":
        text = _TOGETHER % registered.script.decode()
        script = Script(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text)
        self._registered.append(script.sha)
        return SharedScript(self, script)

    def call(self, script: Script, keys: list[Any], args: list[Any]) -> Awaitable[Any]:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        return self._calls.submit(Call(script, keys, args, deadline))

    async def close(self) -> None:
        await self._calls.close()
        await self._client.aclose()

    async def _flush(self, calls: list[Call]) -> list[Any | GatewayError]:
        """Every failure is `Unavailable`, so that a batch is never sent twice by being halved."""
        now = asyncio.get_running_loop().time()
        live = [at for at, call in enumerate(calls) if call.deadline > now]
        answers: list[Any | GatewayError] = [Unavailable("redis: too late")] * len(calls)
        try:
            async with asyncio.timeout_at(max((calls[at].deadline for at in live), default=now)):
                await self._answer(calls, live, answers)
        except Exception as error:  # a cluster's client has others than RedisError, while it looks for the nodes
            raise Unavailable(f"redis: {type(error).__name__}") from error
        return answers

    async def _answer(self, calls: list[Call], live: list[int], answers: list[Any | GatewayError]) -> None:
        """Put the answers of the live ones where they belong."""
        of: dict[str, list[int]] = {sha: [] for sha in self._registered}
        for at in live:
            of[calls[at].script.sha].append(at)
        groups = [
            same[start : start + self._together]
            for same in of.values()
            for start in range(0, len(same), self._together)
        ]
        replies = await self._send([_command([calls[at] for at in group], by_text=False) for group in groups])
        unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        # EVAL runs the script and leaves it in the cache of just that server, in a cluster too.
        again = await self._send([_command([calls[at] for at in groups[number]], by_text=True) for number in unknown])
        for number, reply in zip(unknown, again, strict=True):
            replies[number] = reply
        for group, reply in zip(groups, replies, strict=True):
            failed = isinstance(reply, Exception)
            for place, at in enumerate(group):
                answers[at] = Unavailable(f"redis: {type(reply).__name__}") if failed else reply[place]

    async def _send(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        if not commands:
            return []
        if len(commands) == 1:
            try:
                return [await self._client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def _command(calls: Sequence[Call], *, by_text: bool) -> tuple[Any, ...]:
    script = calls[0].script
    keys = [key for call in calls for key in call.keys]
    shared = calls[0].args
    args = shared if all(call.args == shared for call in calls) else [arg for call in calls for arg in call.args]
    named = ("EVAL", script.text) if by_text else ("EVALSHA", script.sha)
    return (*named, len(keys), *keys, len(shared), *args)


class SharedScript:
    """What the bridge of `limits` calls in place of its own script object."""

    def __init__(self, pipeline: SharedPipeline, script: Script) -> None:
        self._pipeline = pipeline
        self._script = script

    def __call__(self, keys: list[Any], args: list[Any]) -> Awaitable[Any]:
        return self._pipeline.call(self._script, keys, args)


def pipelined_storage(redis_url: str, timeout_s: float) -> tuple[RedisStorage, SharedPipeline]:
    """A storage for the strategies of `limits`, and its pipeline, which is to be closed. Connects to nothing.

    Raises:
        ConfigurationError: the URL is of another scheme or cannot be read.
    """
    storage: Any = _storage(redis_url)
    bridge = storage.bridge
    # In a cluster each key is on a server of its own.
    together = 1 if isinstance(storage, RedisClusterStorage) else _CALLS_TOGETHER
    pipeline = SharedPipeline(bridge.get_connection(), timeout_s, together)
    # Counted first: who asks in the same moment what is left of his limit is told of it with his own request.
    acquire = bridge.lua_acquire_sliding_window = pipeline.script(bridge.lua_acquire_sliding_window)
    bridge.lua_sliding_window = pipeline.script(bridge.lua_sliding_window)

    @functools.lru_cache(maxsize=_NAMES_KNOWN_MAX)
    def windows(key: str) -> list[str]:
        names = (storage._previous_window_key(key), storage._current_window_key(key))
        return [bridge.prefixed_key(name) for name in names]

    async def spend(key: str, limit: int, expiry: int, amount: int) -> bool:
        """As the storage does it, in one coroutine instead of three: every request goes through here."""
        return bool(await acquire(windows(key), [limit, expiry, amount]))

    storage.acquire_sliding_window_entry = spend
    return storage, pipeline


def check_redis_url(redis_url: str) -> None:
    """Connects to nothing, and needs no event loop.

    Raises:
        ConfigurationError: the URL is of another scheme or cannot be read.
    """
    _storage(redis_url)


def _storage(redis_url: str) -> RedisStorage:
    # The time limit is the flush's, over all: redis-py's own would start a timer for each answer.
    options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "socket_timeout": None}
    try:
        storage = storage_from_string(_with_port(redis_url), implementation="redispy", wrap_exceptions=True, **options)
    except (LimitsError, ValueError):
        # The library's message quotes the URL, and that carries the password.
        raise ConfigurationError([f"{PREFIX}REDIS_URL: host and port cannot be read"]) from None
    if not isinstance(storage, RedisStorage):
        raise ConfigurationError([f"{PREFIX}REDIS_URL: not one of {', '.join(SCHEMES)}"])
    return storage


def _with_port(redis_url: str) -> str:
    """The URL as `limits` wants it: it insists on a port for each host."""
    parts = urlsplit(redis_url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ConfigurationError([f"{PREFIX}REDIS_URL: not one of {', '.join(SCHEMES)}://host:port"])
    login, at, hosts = parts.netloc.rpartition("@")
    located = ",".join(
        host if host.rpartition("]")[2].count(":") else f"{host}:{_DEFAULT_PORT}" for host in hosts.split(",")
    )
    return "async+" + parts._replace(netloc=login + at + located).geturl()
