"""The account cache: bounded, short-lived, and never older than a change that was heard of."""

from uuid import UUID, uuid4

import pytest

from gateway.accounts.cache import AccountCache
from gateway.accounts.model import Account


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AccountCache:
    return AccountCache(max_size=2, ttl_s=60.0, nobody_ttl_s=10.0, clock=clock)


def account(user_id: UUID | None = None) -> Account:
    return Account(uuid4(), user_id or uuid4(), uuid4(), "USD", "basic", None, None, "shop")


def test_what_is_put_is_found_until_its_time_is_up(cache: AccountCache, clock: Clock) -> None:
    known = account()
    cache.put("a", known, cache.generation)
    clock.now = 59.9
    assert cache.find("a") == known
    clock.now = 60.0
    assert cache.find("a") is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first(cache: AccountCache) -> None:
    for key_hash in "ab":
        cache.put(key_hash, account(), cache.generation)
    cache.find("a")
    cache.put("c", account(), cache.generation)
    assert [key_hash for key_hash in "abc" if cache.find(key_hash)] == ["a", "c"]


def test_a_changed_key_is_dropped_alone_and_a_changed_user_with_all_its_keys(clock: Clock) -> None:
    cache = AccountCache(max_size=10, ttl_s=60.0, nobody_ttl_s=10.0, clock=clock)
    first, second, stranger = account(), account(), account()
    second = account(first.user_id)
    for key_hash, known in (("a", first), ("b", second), ("c", stranger)):
        cache.put(key_hash, known, cache.generation)
    cache.drop(str(stranger.key_id))
    assert cache.find("c") is None
    assert cache.find("a") == first
    cache.drop(str(first.user_id))
    assert len(cache) == 0


def test_a_hash_put_again_belongs_to_its_newest_account_alone(cache: AccountCache) -> None:
    old, new = account(), account()
    cache.put("a", old, cache.generation)
    cache.put("a", new, cache.generation)
    cache.drop(str(old.user_id))
    assert cache.find("a") == new
    cache.drop(str(new.key_id))
    assert len(cache) == 0


def test_what_went_by_itself_is_dropped_without_a_trace(cache: AccountCache, clock: Clock) -> None:
    known = [account() for _ in range(4)]
    for key_hash, one in zip("abc", known, strict=False):
        cache.put(key_hash, one, cache.generation)
    clock.now = 60.0
    assert cache.find("b") is None
    for one in known:
        cache.drop(str(one.key_id))
        cache.drop(str(one.user_id))
    assert len(cache) == 0


@pytest.mark.parametrize("change", ["drop", "clear"])
def test_a_row_read_before_a_change_is_not_kept_after_it(cache: AccountCache, change: str) -> None:
    read_at, known = cache.generation, account()
    cache.drop(str(known.key_id)) if change == "drop" else cache.clear()
    cache.put("a", known, read_at)
    assert cache.find("a") is None


def test_a_key_of_nobody_is_known_for_a_while_and_until_any_change(cache: AccountCache, clock: Clock) -> None:
    cache.put_nobodys("a", cache.generation)
    assert cache.is_nobodys("a")
    assert not cache.is_nobodys("b")
    clock.now = 10.0
    assert not cache.is_nobodys("a")
    cache.put_nobodys("a", cache.generation)
    before = cache.generation
    cache.drop(str(uuid4()))
    assert not cache.is_nobodys("a")
    cache.put_nobodys("a", before)
    assert not cache.is_nobodys("a"), "it was read before the change"
    for key_hash in "abc":
        cache.put_nobodys(key_hash, cache.generation)
    assert [cache.is_nobodys(key_hash) for key_hash in "abc"] == [False, False, True]
