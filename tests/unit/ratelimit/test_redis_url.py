"""Which Redis addresses are taken, and that a refusal does not repeat the password."""

import pytest

from gateway.app import create_app
from gateway.errors import ConfigurationError
from gateway.ratelimit.limiter import RateLimiter
from gateway.settings import Settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:secret@127.0.0.1:6379/2",
        "redis://[::1]",
        "rediss://user:secret@redis.example:6380/0",
        "redis+cluster://:secret@a.example:7000,b.example",
    ],
)
async def test_these_are_taken_without_connecting(url: str) -> None:
    limiter = RateLimiter(url, 30, 250)
    assert limiter.healthy
    await limiter.close()


async def test_a_cluster_none_of_whose_nodes_answers_leaves_the_limits_local() -> None:
    limiter = RateLimiter("redis+cluster://127.0.0.1:1", 30, 2000)
    verdicts = [await limiter.spend("key-1", 60) for _ in range(5)]
    assert [verdict.remaining for verdict in verdicts] == [59, 58, 57, 56, 55]
    assert not limiter.healthy
    await limiter.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "memcached://:hunter2@host:1",
        "redis://:hunter2@host:port",
        "redis://",
        "rediss+cluster://h:1",
    ],
)
def test_others_are_refused_in_words_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_REDIS_URL") as refusal:
        RateLimiter(url, 30, 250)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_an_unreadable_address_keeps_the_app_from_being_made() -> None:
    settings = Settings(database_url="postgresql://h/d", redis_url="redis://h:notaport", secret_key=("s" * 32,))
    with pytest.raises(ConfigurationError, match="GATEWAY_REDIS_URL"):
        create_app(settings)
