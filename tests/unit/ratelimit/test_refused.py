"""What a refusal says of those who come after it."""

from limits import RateLimitItemPerMinute

from gateway.ratelimit.model import verdict
from gateway.ratelimit.refused import Refused

TEN, ELEVEN = RateLimitItemPerMinute(10), RateLimitItemPerMinute(11)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_refusal_holds_until_the_moment_it_named_and_for_nobody_else() -> None:
    clock = Clock()
    refused = Refused(clock)
    refused.note(TEN, "one", verdict(False, 10, 0, 5.5))
    clock.now += 5.25
    held = refused.find(TEN, "one")
    assert held is not None
    assert not held.allowed
    assert held.retry_after_s == 1
    assert held.remaining == 0
    assert refused.find(TEN, "other") is None
    assert refused.find(ELEVEN, "one") is None
    clock.now += 0.25
    assert refused.find(TEN, "one") is None


def test_a_limit_of_another_kind_is_another_one_though_it_is_as_high() -> None:
    """An address may be whatever text a proxy passes on, a key's id too."""
    refused = Refused(Clock())
    keys, addresses = (RateLimitItemPerMinute(10, namespace=kind) for kind in ("key", "wrong-key"))
    refused.note(addresses, "one", verdict(False, 10, 0, 30.0))
    assert refused.find(keys, "one") is None


def test_nothing_is_held_of_who_got_through_or_of_a_slot_that_came_free_since() -> None:
    refused = Refused(Clock())
    refused.note(TEN, "allowed", verdict(True, 10, 0, 30.0))
    refused.note(TEN, "raced", verdict(False, 10, 1, 30.0))
    assert refused.find(TEN, "allowed") is None
    assert refused.find(TEN, "raced") is None


def test_beyond_the_bound_all_are_forgotten() -> None:
    refused = Refused(Clock(), kept_max=2)
    for name in ("one", "two", "three"):
        refused.note(TEN, name, verdict(False, 10, 0, 30.0))
    assert [refused.find(TEN, name) is not None for name in ("one", "two", "three")] == [False, False, True]
