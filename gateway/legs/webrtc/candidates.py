"""Remote ICE candidates: which lines are readable, and which of those are of any use."""

from __future__ import annotations

import ipaddress
import re

from aiortc import RTCIceCandidate

MAX_CANDIDATES = 64
"""Of one leg, in the offer and trickled together."""

_CANDIDATE = re.compile(  # RFC 8839 5.1
    r"(?P<foundation>[A-Za-z0-9+/]{1,32}) (?P<component>\d{1,3}) (?P<protocol>[A-Za-z]{1,16}) "
    r"(?P<priority>\d{1,10}) (?P<host>\S{1,255}) (?P<port>\d{1,5}) typ (?P<type>[a-z-]{1,16})"
    r"(?: \S+)*\s*",
    re.ASCII,
)
_TYPES = ("host", "srflx", "relay")


def parse_candidate(value: str) -> RTCIceCandidate | None:
    """The candidate in `value` (what follows `candidate:`). Raises ValueError when malformed.

    None for one that is of no use here: `.local` names (each can stall for a second, and such a
    browser connects as peer-reflexive anyway), other host names, TCP, RTCP's component, addresses
    that nobody can answer from.
    """
    match = _CANDIDATE.fullmatch(value)
    if match is None or int(match["port"]) > 65535 or int(match["priority"]) > 0xFFFFFFFF:
        raise ValueError("malformed candidate (RFC 8839 5.1)")
    port = int(match["port"])
    if match["component"] != "1" or match["protocol"].lower() != "udp" or port == 0:
        return None
    if match["type"] not in _TYPES:
        return None
    try:
        address = ipaddress.ip_address(match["host"])
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        return None
    return RTCIceCandidate(
        component=1,
        foundation=match["foundation"],
        ip=str(address),
        port=port,
        priority=int(match["priority"]),
        protocol="udp",
        type=match["type"],
    )
