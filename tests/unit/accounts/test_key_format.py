"""The API key format, and when an account's key is over."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.model import Account, is_well_formed, new_key

KNOWN = "yb_0123456789abcdefghijABCDEFGHIJ"


def test_a_new_key_is_well_formed_and_never_the_same() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_well_formed(key) and len(key) == 39 and key.startswith("yb_") for key in keys)


def test_the_checksum_does_not_change_between_releases() -> None:
    assert is_well_formed(KNOWN + "1JKkY0")


@given(position=st.integers(3, 38), letter=st.sampled_from("0aZz9"))
def test_one_mistyped_character_is_noticed(position: int, letter: str) -> None:
    key = new_key()
    mistyped = key[:position] + letter + key[position + 1 :]
    assert is_well_formed(mistyped) == (mistyped == key)


@pytest.mark.parametrize(
    "junk",
    ["", "yb_", "yb_" + "0" * 36, "xx_" + "0" * 36, new_key() + "\n", " " + new_key()],
    ids=["none", "prefix", "zeros", "other prefix", "line end", "space before"],
)
def test_junk_is_not_well_formed(junk: str) -> None:
    assert not is_well_formed(junk)


@given(st.text())
def test_no_text_at_all_breaks_the_check(text: str) -> None:
    assert not is_well_formed(text)
    assert not is_well_formed("yb_" + text)


def test_a_key_is_over_at_its_last_moment_and_not_before() -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    account = Account(uuid4(), uuid4(), uuid4(), "USD", "basic", None, end, "shop")
    assert account.expired(end)
    assert not account.expired(end - timedelta(microseconds=1))
