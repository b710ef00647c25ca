"""Headers of a verdict, who an address is, and the breaker's states."""

import pytest

from gateway.ratelimit.model import Breaker, Verdict, headers, site_of, verdict


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=3, cool_down_s=1.0, clock=clock)


def test_an_allowed_request_learns_what_is_left_and_nothing_of_retrying() -> None:
    assert headers(Verdict(allowed=True, limit=100, remaining=42, reset_after_s=17, retry_after_s=0)) == {
        "RateLimit-Policy": '"key";q=100;w=60',
        "RateLimit": '"key";r=42;t=17',
    }


def test_a_refused_request_learns_when_to_come_back() -> None:
    refused = headers(verdict(False, 100, 0, 16.2))
    assert refused["RateLimit"] == '"key";r=0;t=17'
    assert refused["Retry-After"] == "17"


@pytest.mark.parametrize(("reset_in_s", "seconds"), [(-3.0, 1), (0.0, 1), (0.4, 1), (20.0, 21), (60.0, 60)])
def test_who_waits_the_seconds_named_is_past_the_moment(reset_in_s: float, seconds: int) -> None:
    assert verdict(False, 10, 0, reset_in_s).retry_after_s == seconds


def test_a_limit_of_nothing_refuses_with_a_time_to_come_back() -> None:
    assert verdict(False, 0, 0, 0.0).retry_after_s == 1


def test_a_refused_request_has_nothing_left_though_another_took_the_slot_that_came_free() -> None:
    assert verdict(False, 10, 1, 0.5).remaining == 0


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_caller_is_counted_by_its_network(address: str, site: str) -> None:
    assert site_of(address) == site


def test_three_failures_in_a_row_open_the_breaker_once(breaker: Breaker) -> None:
    assert [breaker.failed() for _ in range(5)] == [False, False, True, False, False]
    assert not breaker.closed
    assert not breaker.admits()


def test_a_success_between_failures_starts_the_count_anew(breaker: Breaker) -> None:
    breaker.failed()
    breaker.failed()
    assert not breaker.succeeded()
    assert not breaker.failed()
    assert breaker.closed


def test_after_the_cool_down_one_probe_goes_through_at_a_time(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 1.0
    assert [breaker.admits() for _ in range(4)] == [True, False, False, False]


def test_a_probe_that_never_comes_back_is_followed_by_another(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 1.0
    assert breaker.admits()
    clock.now += 1.0
    assert breaker.admits()


def test_a_probe_that_succeeds_closes_the_breaker_and_says_so_once(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.failed()
    assert [breaker.succeeded(), breaker.succeeded()] == [True, False]
    assert breaker.closed
    assert all(breaker.admits() for _ in range(3))
