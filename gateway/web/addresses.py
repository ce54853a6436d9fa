"""Owns which addresses may be connected to: the public internet, and what the operator allows.

Explicit lists, not `is_global` of the standard library, whose answers change with its version.
Pure.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What IANA's registry of special-purpose addresses (RFC 6890) has as not globally reachable.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); a cloud's metadata, too
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host: public by number, reached only from inside
        "169.254.0.0/16",  # link-local (RFC 3927), the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")  # all that is assigned as global unicast (RFC 4291 2.4)
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo (RFC 4380) among them
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056, retired by RFC 7526) leads to any IPv4 address
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


class RefusedAddressError(OSError):
    """An address that must not be connected to."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, "the address is not on the public internet")
        self.address = address


class AddressGuard:
    """Knows what may be connected to. allow: networks that may, public or not."""

    def __init__(self, allow: Iterable[Network] = ()) -> None:
        self._allow = tuple(allow)

    def permits(self, text: str) -> bool:
        """Whether this literal address may be connected to; what is none may not."""
        try:
            address = ip_address(text.partition("%")[0])  # a zone leads to a link-local address
        except ValueError:
            return False
        meant = _meant(address)
        if any(candidate in network for candidate in {address, meant} for network in self._allow):
            return True
        if isinstance(meant, IPv4Address):
            return not any(meant in network for network in _NOT_PUBLIC_4)
        return meant in _PUBLIC_6 and not any(meant in network for network in _NOT_PUBLIC_6)

    def check(self, text: str) -> None:
        """Raises RefusedAddressError."""
        if not self.permits(text):
            raise RefusedAddressError(text)


def _meant(address: Address) -> Address:
    """The IPv4 address that the system or a translator makes of an IPv6 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
