"""Which Redis addresses are taken, and that a refusal does not repeat the password."""

import pytest

from gateway.errors import ConfigurationError
from gateway.ratelimit.limiter import RateLimiter

LIMITS = {"basic": 60}


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
    limiter = RateLimiter(url, LIMITS, 30, 250)
    assert limiter.healthy
    await limiter.close()


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "memcached://:hunter2@host:1", "redis://:hunter2@host:port", "redis://"]
)
def test_others_are_refused_in_words_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refusal:
        RateLimiter(url, LIMITS, 30, 250)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
