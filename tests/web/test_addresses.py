"""Which addresses and which URLs are refused before anything is sent."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.web.addresses import AddressGuard
from gateway.web.urls import MAX_URL, parse_url, shown

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2130706433",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "localhost",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "192.169.0.1",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_on_the_public_internet_is_refused(address: str) -> None:
    assert not AddressGuard().permits(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_permitted(address: str) -> None:
    assert AddressGuard().permits(address)


def test_allowed_networks_are_exceptions_in_every_spelling() -> None:
    guard = AddressGuard([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    for permitted in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1"):
        assert guard.permits(permitted)
    for refused in ("10.2.0.1", "::ffff:10.2.0.1", "127.0.0.1", "fc00::1", "fe80::1"):
        assert not guard.permits(refused)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_is_judged_as_itself(address: IPv4Address) -> None:
    guard = AddressGuard()
    alone = guard.permits(str(address))
    for prefix in (0xFFFF << 32, 0x64FF9B << 96):
        assert guard.permits(str(IPv6Address(prefix | int(address)))) == alone
    assert alone <= address.is_global
    six_to_four = IPv6Address((0x2002 << 112) | int(address) << 80)
    assert not guard.permits(str(six_to_four))


@given(st.ip_addresses(v=6))
def test_no_more_is_permitted_than_is_global(address: IPv6Address) -> None:
    if AddressGuard().permits(str(address)):
        assert address.is_global
        assert not address.is_multicast


# ---- URLs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "http or https"),
        ("ftp://example.com/", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("//example.com/", "http or https"),
        ("http:///path", "host"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:99999/", "read"),
        ("http://user@example.com/", "user or a password"),
        ("http://:secret@example.com/", "user or a password"),
        ("http://exa mple.com/", "spaces"),
        ("http://example.com/\r\nX-Evil: 1", "control characters"),
        ("http://example.com\r\nX-Evil: 1/", "control characters"),
        ("http://example.com/\0", "control characters"),
        ("http://[::1/", "read"),
        ("http://example.com/" + "a" * MAX_URL, "longer than"),
    ],
)
def test_a_url_that_cannot_be_is_refused_and_not_repeated(url: str, why: str) -> None:
    with pytest.raises(GatewayError, match=why) as refused:
        parse_url(url)
    assert refused.value.verdict.code == "bad_request"
    assert "secret" not in str(refused.value)


_PIECES = st.sampled_from(
    ["http://", "https://", "HTTP:", "//", "@", ":", "[", "]", "::1", "%", "%0d%0a", "\\", "?", "#"]
)


@given(st.lists(_PIECES | st.text(max_size=6), max_size=12).map("".join))
def test_hostile_text_is_a_checked_url_or_refused(text: str) -> None:
    assert shown(text).isprintable()
    try:
        url = parse_url(text)
    except GatewayError as error:
        code = error.verdict.code
    else:
        code = "bad_request"
        assert url.scheme in ("http", "https")
        assert url.raw_host
        assert url.raw_user is None
        assert "\n" not in str(url)
        assert "\r" not in str(url)
    assert code == "bad_request"


def test_what_is_shown_of_a_url_keeps_its_secrets() -> None:
    secret = "https://user:password@example.com:8443/a/b?token=1#part"
    assert shown(secret) == "https://example.com:8443/a/b"
    assert shown("http://[") == "a URL that cannot be read"
