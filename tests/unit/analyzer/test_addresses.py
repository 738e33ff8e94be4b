"""Which addresses a team's hook or metrics server may have."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.addresses import (
    EVERYWHERE,
    DeniedAddressError,
    Guard,
    Socket,
    parse_networks,
    refusal,
)

OWN: frozenset[Socket] = frozenset({("10.96.0.1", None), ("192.168.7.2", 6443), ("fd00::1", None)})


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "is the analyzer's own (loopback)"),
        ("127.255.0.3", "is the analyzer's own (loopback)"),
        ("::1", "is the analyzer's own (loopback)"),
        ("::ffff:127.0.0.1", "is the analyzer's own (loopback)"),
        ("::127.0.0.1", "is the analyzer's own (loopback)"),
        ("64:ff9b::7f00:1", "is the analyzer's own (loopback)"),
        ("64:ff9b:1::7f00:1", "is the analyzer's own (loopback)"),
        ("::ffff:0:127.0.0.1", "is the analyzer's own (loopback)"),
        ("2002:7f00:1::", "is the analyzer's own (loopback)"),
        ("0.0.0.0", "is unspecified, which leads to the analyzer itself"),  # noqa: S104
        ("0.1.2.3", "is unspecified, which leads to the analyzer itself"),
        ("::", "is unspecified, which leads to the analyzer itself"),
        ("::ffff:0.0.0.0", "is unspecified, which leads to the analyzer itself"),
        ("169.254.169.254", "is link-local"),
        ("::ffff:169.254.169.254", "is link-local"),
        ("64:ff9b::a9fe:a9fe", "is link-local"),
        ("fe80::1", "is link-local"),
        ("fe80::1%eth0", "is link-local"),
        ("fd00:ec2::254", "is one of a cloud's metadata"),
        ("100.100.100.200", "is one of a cloud's metadata"),
        ("168.63.129.16", "is one of a cloud's metadata"),
        ("224.0.0.1", "is none of a single host"),
        ("255.255.255.255", "is none of a single host"),
        ("ff02::1", "is none of a single host"),
        ("10.96.0.1", "is the API server's or Headgate's own"),
        ("::ffff:10.96.0.1", "is the API server's or Headgate's own"),
        ("fd00:0::1", "is the API server's or Headgate's own"),
        ("localhost", "is no numeric address"),
        ("10.96.0.2", ""),
        ("10.0.0.7", ""),
        ("172.20.1.1", ""),
        ("100.64.0.1", ""),
        ("fd00::2", ""),
        ("93.184.216.34", ""),
        ("2606:2800:220:1:248:1893:25c8:1946", ""),
        ("64:ff9b::5db8:d822", ""),
    ],
)
def test_an_address_is_denied_with_why(address: str, why: str) -> None:
    assert refusal(address, 80, own=OWN) == why


def test_the_api_server_is_denied_by_port_where_a_node_has_its_address() -> None:
    assert refusal("192.168.7.2", 6443, own=OWN)
    assert not refusal("192.168.7.2", 30080, own=OWN)


def test_what_the_admin_allows_is_allowed() -> None:
    allowed = parse_networks("127.0.0.1/32, 10.96.0.0/16,fe80::/10")

    assert not refusal("127.0.0.1", 80, allowed=allowed)
    assert not refusal("::ffff:127.0.0.1", 80, allowed=allowed)
    assert refusal("127.0.0.2", 80, allowed=allowed)
    assert not refusal("10.96.0.1", 443, allowed=allowed, own=OWN)
    assert not refusal("fe80::1%eth0", 80, allowed=allowed)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "::/129"])
def test_a_network_that_is_none_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="write networks as in"):
        parse_networks(text)


@given(st.ip_addresses(v=4))
def test_an_address_in_another_form_is_the_same_address(address: ipaddress.IPv4Address) -> None:
    said = refusal(str(address), 80, own=OWN)
    forms = (f"::ffff:{address}", f"64:ff9b::{address}")

    assert {refusal(form, 80, own=OWN) for form in forms} == {said}


@given(st.ip_addresses())
def test_everywhere_is_everywhere(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    EVERYWHERE.check(str(address), 80)


def test_a_guard_says_what_it_denies() -> None:
    guard = Guard()

    with pytest.raises(DeniedAddressError) as caught:
        guard.check("127.0.0.1", 80)
    assert caught.value.strerror == "127.0.0.1 is the analyzer's own (loopback)"
    guard.check("10.96.0.1", 443)
    guard.own = OWN
    with pytest.raises(DeniedAddressError):
        guard.check("10.96.0.1", 443)
