"""The storage of `limits` on Redis, with the script calls of all waiting requests sent as one pipeline.

`limits` takes no client of one's own, so its bridge keeps the redis-py client that it made and
only the two scripts of the sliding window are put in the place of its own.
"""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import msgspec
from limits.aio.storage import RedisStorage
from limits.errors import ConfigurationError as LimitsError
from limits.storage import storage_from_string
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.batching import Batcher
from gateway.errors import ConfigurationError, GatewayError, Unavailable
from gateway.settings import PREFIX

SCHEMES = ("redis", "rediss", "redis+cluster")
_DEFAULT_PORT = 6379
_CALLS_PER_PIPELINE_MAX = 512
_CALLS_WAITING_MAX = 20_000


class Script(msgspec.Struct, frozen=True):
    sha: str
    text: str


class Call(msgspec.Struct, frozen=True):
    """One script call. Past `deadline` (the loop's clock) nobody waits for it and it is not sent."""

    script: Script
    keys: list[Any]
    args: list[Any]
    deadline: float

    def by_sha(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    def by_text(self) -> tuple[Any, ...]:
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.args)


class SharedPipeline:
    """One round trip under way at a time; what arrives meanwhile goes together in the next."""

    def __init__(self, client: Any, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._calls: Batcher[Call, Any] = Batcher(
            self._flush, max_batch=_CALLS_PER_PIPELINE_MAX, max_waiting=_CALLS_WAITING_MAX, name="redis"
        )

    def script(self, registered: Any) -> "SharedScript":
        return SharedScript(self, Script(registered.sha, registered.script))

    async def call(self, script: Script, keys: list[Any], args: list[Any]) -> Any:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        return await self._calls.submit(Call(script, keys, args, deadline))

    async def close(self) -> None:
        await self._calls.close()
        await self._client.aclose()

    async def _flush(self, calls: list[Call]) -> list[Any | GatewayError]:
        """Every failure is `Unavailable`, so that a batch is never sent twice by being halved."""
        now = asyncio.get_running_loop().time()
        live = [call for call in calls if call.deadline > now]
        try:
            async with asyncio.timeout_at(max((call.deadline for call in live), default=now)):
                answers = iter(await self._run(live))
        except Exception as error:
            # A cluster's client has errors that are no RedisError, while it looks for the nodes.
            raise Unavailable(f"redis: {type(error).__name__}") from error
        return [next(answers) if call.deadline > now else Unavailable("redis: too late") for call in calls]

    async def _run(self, calls: list[Call]) -> list[Any | GatewayError]:
        answers = await self._send([call.by_sha() for call in calls])
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        # EVAL runs the script and leaves it in the cache of just that server, in a cluster too.
        again = await self._send([calls[at].by_text() for at in unknown])
        for at, answer in zip(unknown, again, strict=True):
            answers[at] = answer
        return [
            Unavailable(f"redis: {type(answer).__name__}") if isinstance(answer, Exception) else answer
            for answer in answers
        ]

    async def _send(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        if not commands:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


class SharedScript:
    """What the bridge of `limits` calls in place of its own script object."""

    def __init__(self, pipeline: SharedPipeline, script: Script) -> None:
        self._pipeline = pipeline
        self._script = script

    async def __call__(self, keys: list[Any], args: list[Any]) -> Any:
        return await self._pipeline.call(self._script, keys, args)


def pipelined_storage(redis_url: str, timeout_s: float) -> tuple[RedisStorage, SharedPipeline]:
    """A storage for the strategies of `limits`, and its pipeline, which is to be closed. Connects to nothing.

    Raises:
        ConfigurationError: the URL is of another scheme or cannot be read.
    """
    storage = _storage(redis_url)
    bridge: Any = storage.bridge
    pipeline = SharedPipeline(bridge.get_connection(), timeout_s)
    bridge.lua_sliding_window = pipeline.script(bridge.lua_sliding_window)
    bridge.lua_acquire_sliding_window = pipeline.script(bridge.lua_acquire_sliding_window)
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
