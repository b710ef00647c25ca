"""Scopes, what terms are refused, and that no key hands out more than it has."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.server import ACTIONS
from gateway.accounts import scopes
from gateway.accounts.addresses import parse_network
from gateway.accounts.model import Account
from gateway.accounts.scopes import NEEDED, Scope
from gateway.accounts.terms.model import KeyEdit, Terms, check, edit, granted, require_within
from gateway.errors import Forbidden, Invalid

ACCOUNT = Account(UUID(int=1), UUID(int=2), UUID(int=3), "USD", "pro", None, None, "key")
OPEN = Terms(name="shop", tier="pro")
SMALL, LARGE = parse_network("192.0.2.0/24"), parse_network("192.0.0.0/16")
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def account(**changes: Any) -> Account:
    return msgspec.structs.replace(ACCOUNT, **changes)


def terms(**changes: Any) -> Terms:
    return msgspec.structs.replace(OPEN, **changes)


def faults_of(given_terms: Terms, role: Any = "reseller") -> list[str]:
    with pytest.raises(Invalid) as refusal:
        check(given_terms, role)
    return [path for path, _ in refusal.value.faults]


# What a key may do ---------------------------------------------------------------------------


def test_every_action_of_the_panel_has_its_row() -> None:
    assert set(ACTIONS) <= set(NEEDED)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_action_takes_its_own_scope_and_no_other(action: str) -> None:
    scopes.require(ACCOUNT, action)
    scopes.require(account(permissions=(NEEDED[action],)), action)
    others = tuple(scope for scope in Scope if scope is not NEEDED[action])
    with pytest.raises(Forbidden, match=NEEDED[action]):
        scopes.require(account(permissions=others, role="admin"), action)


def test_a_scope_is_known_once_and_in_order() -> None:
    assert check(terms(scopes=("orders:read", "orders:write", "orders:read")), "reseller").scopes == (
        Scope.ORDERS_WRITE,
        Scope.ORDERS_READ,
    )


# What makes no sense -------------------------------------------------------------------------


def test_terms_without_bounds_hold_for_every_role() -> None:
    assert check(OPEN, "user") == OPEN


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"scopes": ("orders:read", "orders:*")}, ["scopes[1]"]),
        ({"scopes": ()}, ["scopes"]),
        ({"scopes": ("admin:*",)}, ["scopes"]),
        ({"allowed_addresses": ()}, ["allowed_addresses"]),
        ({"allowed_addresses": tuple(parse_network(f"10.0.0.{n}") for n in range(101))}, ["allowed_addresses"]),
        ({"daily_spend_cap": Decimal("-1")}, ["daily_spend_cap"]),
        ({"daily_spend_cap": Decimal("NaN")}, ["daily_spend_cap"]),
        ({"daily_spend_cap": Decimal("0.000000001")}, ["daily_spend_cap"]),
        ({"daily_spend_cap": Decimal(10) ** 12}, ["daily_spend_cap"]),
        ({"requests_per_minute": 0}, ["requests_per_minute"]),
        ({"requests_per_minute": 1_000_001}, ["requests_per_minute"]),
        ({"name": "a\x00b", "requests_per_minute": 0}, ["name", "requests_per_minute"]),
        ({"name": "a" * 256}, ["name"]),
    ],
)
def test_terms_that_make_no_sense_are_refused_field_by_field(changes: dict[str, Any], paths: list[str]) -> None:
    assert faults_of(terms(**changes)) == paths


def test_an_administrators_key_may_have_the_scope_of_operators() -> None:
    assert check(terms(scopes=("admin:*",)), "admin").scopes == (Scope.ADMIN,)


def test_an_edit_changes_what_it_names_alone() -> None:
    before = terms(daily_spend_cap=Decimal(5), scopes=("orders:read",))
    after = edit(before, KeyEdit(name="other", daily_spend_cap=None))
    assert after == terms(name="other", scopes=("orders:read",))


# What a key may hand out ---------------------------------------------------------------------


def test_what_is_left_open_is_what_the_key_has_itself() -> None:
    networks = (parse_network("192.0.2.0/24"),)
    by = account(permissions=("keys:write", "orders:read"), allowed_addresses=networks, expires_at=LATER)
    assert granted(by, OPEN, "USD") == terms(
        scopes=("keys:write", "orders:read"), allowed_addresses=networks, expires_at=LATER
    )
    assert granted(ACCOUNT, OPEN, "USD") == OPEN


@pytest.mark.parametrize(
    ("by", "wanted", "refusal"),
    [
        ({"permissions": ("keys:write",)}, {"scopes": ("orders:read",)}, Forbidden),
        ({"permissions": ("keys:write", "admin:*")}, {"scopes": ("admin:*",)}, Forbidden),
        ({}, {"scopes": ("admin:*",)}, Forbidden),
        ({}, {"scopes": ("nonsense",)}, Invalid),
        ({"allowed_addresses": (SMALL,)}, {"allowed_addresses": (LARGE,)}, Invalid),
        ({"expires_at": LATER}, {"expires_at": LATER + timedelta(seconds=1)}, Invalid),
        ({"daily_spend_cap": Decimal(5)}, {"scopes": ("orders:write",)}, Invalid),
        ({"daily_spend_cap": Decimal(5)}, {}, Invalid),
    ],
)  # fmt: skip
def test_no_key_grants_more_than_it_has(by: dict[str, Any], wanted: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        granted(account(**by), terms(**wanted), "USD")


def test_a_key_grants_none_that_pays_from_another_wallet() -> None:
    with pytest.raises(Invalid, match="the wallet in USD"):
        granted(ACCOUNT, OPEN, "EUR")


def test_a_key_with_a_cap_grants_keys_that_cannot_spend() -> None:
    by = account(daily_spend_cap=Decimal(5))
    assert granted(by, terms(scopes=("orders:read",)), "USD").scopes == (Scope.ORDERS_READ,)


@pytest.mark.parametrize(
    ("by", "refusal"),
    [
        ({"permissions": ("keys:write",)}, Forbidden),
        ({"allowed_addresses": (SMALL,)}, Invalid),
        ({"expires_at": LATER}, Invalid),
        ({"daily_spend_cap": Decimal(5)}, Invalid),
    ],
)
def test_a_key_without_bounds_is_out_of_reach_of_one_with_any(by: dict[str, Any], refusal: type[Exception]) -> None:
    require_within(ACCOUNT, OPEN, "USD")
    with pytest.raises(refusal):
        require_within(account(**by), OPEN, "USD")


some_scopes = st.none() | st.sets(st.sampled_from([scope.value for scope in Scope]), min_size=1).map(tuple)


@given(held=some_scopes, wanted=some_scopes, role=st.sampled_from(["user", "reseller", "admin"]))
def test_whatever_a_granted_key_may_do_its_giver_may_do(
    held: tuple[str, ...] | None, wanted: tuple[str, ...] | None, role: Any
) -> None:
    by = account(permissions=held, role=role)
    try:
        given_scopes = granted(by, terms(scopes=wanted), "USD").scopes
    except Forbidden:
        return
    child = account(permissions=given_scopes, role=role)
    for scope in Scope:
        try:
            scopes.require_scope(child, scope)
        except Forbidden:
            continue
        scopes.require_scope(by, scope)
