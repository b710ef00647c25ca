"""Which networks are read, and which addresses are in them."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.addresses import is_allowed, is_within, parse_network


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.0/24 ", "192.0.2.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_an_address_or_a_network_is_read(text: str, network: str) -> None:
    assert str(parse_network(text)) == network


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.7/24", "is 192.0.2.0/24 meant"),
        ("2001:db8::1/32", "is 2001:db8::/32 meant"),
        ("example.com", "not an address"),
        ("", "not an address"),
        ("192.0.2.0/33", "not an address"),
        ("fe80::1%eth0", "zone"),
    ],
)
def test_what_is_no_network_is_refused_with_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_network(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(ValueError):
        parse_network(text)


@given(address=st.ip_addresses(v=4), prefix=st.integers(0, 32))
def test_an_ipv4_caller_is_the_same_caller_when_mapped_into_ipv6(address: ipaddress.IPv4Address, prefix: int) -> None:
    network = parse_network(f"{ipaddress.ip_network((address, prefix), strict=False)}")
    assert is_allowed(str(address), [network])
    assert is_allowed(f"::ffff:{address}", [network])


@pytest.mark.parametrize(
    "address", ["198.51.100.1", "2001:db9::1", "::ffff:198.51.100.1", "", "unknown", "/run/x.sock"]
)
def test_any_other_address_is_not_allowed(address: str) -> None:
    networks = [parse_network("192.0.2.0/24"), parse_network("2001:db8::/32")]
    assert not is_allowed(address, networks)
    assert is_allowed(address, None)


def test_all_of_ipv6_is_not_all_of_ipv4() -> None:
    assert not is_allowed("192.0.2.1", [parse_network("::/0")])
    assert is_allowed("fe80::1%eth0", [parse_network("::/0")])


def test_a_network_is_within_others_of_its_own_version() -> None:
    outer = [parse_network("192.0.2.0/24"), parse_network("2001:db8::/32")]
    assert is_within(parse_network("192.0.2.128/25"), outer)
    assert is_within(parse_network("2001:db8:1::/48"), outer)
    assert not is_within(parse_network("192.0.0.0/16"), outer)
    assert not is_within(parse_network("::/0"), outer)
