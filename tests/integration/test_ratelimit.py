"""Rate limits on a real Valkey: exact across processes, and local when it is gone or frozen."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from structlog.testing import capture_logs

from gateway.embedded.binaries import find_valkey_server
from gateway.ratelimit.limiter import RateLimiter
from gateway.ratelimit.pipeline import pipelined_storage

BASIC, PRO = 20, 600
WRONG_KEYS = 5
ANSWER_WITHIN_S = 20.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Valkey:
    """A server of the test's own, which it may freeze and kill."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [str(find_valkey_server()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder), *self._options], stdout=subprocess.DEVNULL
        )
        try:
            self.wait_until(self._answers)
        except AssertionError:
            self.kill()
            raise

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while not holds():
            assert time.monotonic() < deadline, "valkey does not come to that"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis(port=self.port) as client:
            return bool(client.ping())
        return False

    def run(self, *command: str) -> object:
        with redis.Redis(port=self.port) as client:
            return client.execute_command(*command)

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path)
    yield server
    server.kill()


@pytest.fixture
async def limiter(valkey: Valkey) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(valkey.url, WRONG_KEYS, 250)
    yield limiter
    await limiter.close()


async def until_healthy(limiter: RateLimiter) -> None:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        while not limiter.healthy:
            await limiter.spend("probe", PRO)
            await asyncio.sleep(0.02)


async def break_it(limiter: RateLimiter) -> None:
    """Three requests one after the other, each answered, and the breaker is open."""
    for _ in range(3):
        assert limiter.healthy
        await limiter.spend("victim", PRO)
    assert not limiter.healthy


async def test_each_request_takes_one_from_the_limit_and_sees_its_own_hit(limiter: RateLimiter) -> None:
    verdicts = [await limiter.spend("key-1", BASIC) for _ in range(21)]
    assert [verdict.remaining for verdict in verdicts] == [*range(19, -1, -1), 0]
    assert [verdict.allowed for verdict in verdicts] == [True] * 20 + [False]
    refused = verdicts[-1]
    assert refused.limit == 20
    assert 1 <= refused.retry_after_s == refused.reset_after_s <= 60


async def test_a_request_sees_its_own_hit_behind_one_that_only_asks_what_is_left(valkey: Valkey) -> None:
    storage, pipeline = pipelined_storage(valkey.url, 5.0)
    strategy, item = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerMinute(BASIC)
    asked, allowed, own = await asyncio.gather(
        strategy.get_window_stats(item, "other"), strategy.hit(item, "key-1"), strategy.get_window_stats(item, "key-1")
    )
    await pipeline.close()
    assert (asked.remaining, allowed, own.remaining) == (BASIC, True, BASIC - 1)


async def test_another_limit_counts_on_from_what_was_spent(limiter: RateLimiter) -> None:
    for _ in range(15):
        await limiter.spend("key-1", BASIC)
    assert (await limiter.spend("key-1", PRO)).remaining == PRO - 16
    lower = await limiter.spend("key-1", 10)
    assert (lower.allowed, lower.limit, lower.remaining) == (False, 10, 0)
    assert (await limiter.spend("key-1", BASIC)).remaining == BASIC - 17


async def test_keys_tiers_and_addresses_have_limits_of_their_own(limiter: RateLimiter) -> None:
    for _ in range(20):
        await limiter.spend("key-1", BASIC)
    assert not (await limiter.spend("key-1", BASIC)).allowed
    assert (await limiter.spend("key-2", BASIC)).allowed
    assert (await limiter.spend("key-3", PRO)).remaining == 599
    wrong = [await limiter.admit_wrong_key("192.0.2.1") for _ in range(WRONG_KEYS + 1)]
    assert [verdict is None for verdict in wrong] == [True] * WRONG_KEYS + [False]
    assert (await limiter.admit_wrong_key("192.0.2.2")) is None


async def test_two_limiters_on_one_server_allow_exactly_the_limit_together(valkey: Valkey) -> None:
    one, other = (RateLimiter(valkey.url, WRONG_KEYS, 5000) for _ in range(2))
    verdicts = await asyncio.gather(*(each.spend("shared", PRO) for _ in range(500) for each in (one, other)))
    assert one.healthy
    assert other.healthy
    await one.close()
    await other.close()
    assert sum(verdict.allowed for verdict in verdicts) == 600


async def test_requests_that_wait_together_share_round_trips(valkey: Valkey, limiter: RateLimiter) -> None:
    await limiter.spend("warm", PRO)
    before = reads_of(valkey)
    await asyncio.gather(*(limiter.spend("key-1", PRO) for _ in range(200)))
    assert reads_of(valkey) - before < 50


def scripts_of(valkey: Valkey) -> int:
    info = valkey.run("INFO", "commandstats")
    assert isinstance(info, dict)
    return int(info["cmdstat_evalsha"]["calls"])


def reads_of(valkey: Valkey) -> int:
    info = valkey.run("INFO", "stats")
    assert isinstance(info, dict)
    return int(info["total_reads_processed"])


async def test_who_comes_before_the_moment_that_a_refusal_named_costs_no_round_trip(
    valkey: Valkey, limiter: RateLimiter
) -> None:
    assert await limiter.admit("key-1", 1) is None
    refusal = await limiter.admit("key-1", 1)
    while refusal is not None and refusal.reset_in_s <= 0:  # in the first millisecond `limits` tells of no end
        refusal = await limiter.admit("key-1", 1)
    assert refusal is not None
    before = scripts_of(valkey)
    again = [await limiter.admit("key-1", 1) for _ in range(50)]
    native = await limiter.spend("key-1", 1)
    assert scripts_of(valkey) == before
    assert all(each is not None and not each.allowed for each in [*again, native])
    assert refusal.retry_after_s - 1 <= native.retry_after_s <= refusal.retry_after_s
    assert await limiter.admit("key-1", 2) is None


async def test_calls_of_other_limits_that_wait_together_each_have_their_own(limiter: RateLimiter) -> None:
    verdicts = await asyncio.gather(*(limiter.spend(f"key-{limit}", limit) for limit in (3, 1, 2) for _ in range(3)))
    assert [verdict.allowed for verdict in verdicts] == [True] * 3 + [True, False, False] + [True, True, False]


async def test_a_server_that_forgot_the_scripts_is_no_failure(valkey: Valkey, limiter: RateLimiter) -> None:
    await limiter.spend("key-1", BASIC)
    valkey.run("SCRIPT", "FLUSH")
    assert (await limiter.spend("key-1", BASIC)).remaining == 18
    assert (await limiter.spend("key-1", BASIC)).remaining == 17


async def test_while_the_server_is_gone_each_process_keeps_the_limit_by_itself(
    valkey: Valkey, limiter: RateLimiter
) -> None:
    valkey.kill()
    verdicts = [await limiter.spend("key-1", BASIC) for _ in range(25)]
    assert sum(verdict.allowed for verdict in verdicts) == 20
    assert verdicts[0].remaining == 19
    assert not limiter.healthy
    valkey.start()
    await until_healthy(limiter)
    assert (await limiter.spend("key-1", BASIC)).remaining == 19


async def test_a_frozen_server_holds_up_no_more_than_three_requests_and_probes(
    valkey: Valkey, limiter: RateLimiter
) -> None:
    await limiter.spend("key-1", BASIC)
    valkey.freeze()
    await break_it(limiter)
    # With the breaker open one of these at most may be the probe; none waits for another.
    verdicts = await asyncio.gather(*(limiter.spend("key-1", BASIC) for _ in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 20
    valkey.thaw()
    await until_healthy(limiter)
    remaining = [(await limiter.spend("key-9", BASIC)).remaining for _ in range(5)]
    assert remaining == [19, 18, 17, 16, 15], "answers belong to the requests that asked"


async def test_a_crowd_that_meets_a_frozen_server_is_answered_together(valkey: Valkey, limiter: RateLimiter) -> None:
    await limiter.spend("warm", PRO)
    valkey.freeze()
    async with asyncio.timeout(ANSWER_WITHIN_S):
        verdicts = await asyncio.gather(*(limiter.spend("key-1", PRO) for _ in range(1500)))
    assert sum(verdict.allowed for verdict in verdicts) == 600
    assert not limiter.healthy
    valkey.thaw()


async def test_each_change_of_state_is_logged_once(valkey: Valkey, limiter: RateLimiter) -> None:
    with capture_logs() as logs:
        valkey.freeze()
        await break_it(limiter)
        for _ in range(50):
            await limiter.spend("key-1", PRO)
        valkey.thaw()
        await until_healthy(limiter)
        await limiter.spend("key-1", PRO)
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Valkey]:
    # Its default is the port plus 10000, which may be no port at all.
    server = Valkey(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    yield server
    server.kill()


async def test_a_cluster_is_spoken_to_by_its_own_scheme(cluster: Valkey) -> None:
    cluster.run("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    cluster.wait_until(lambda: "cluster_state:ok" in str(cluster.run("CLUSTER", "INFO")))
    limiter = RateLimiter(f"redis+cluster://127.0.0.1:{cluster.port}", WRONG_KEYS, 5000)
    verdicts = [await limiter.spend("key-1", BASIC) for _ in range(21)]
    assert limiter.healthy
    assert [verdict.remaining for verdict in verdicts] == [*range(19, -1, -1), 0]
    others = await asyncio.gather(*(limiter.spend(f"key-{n}", BASIC) for n in range(2, 60)))
    assert all(verdict.remaining == 19 for verdict in others)
    await limiter.close()
