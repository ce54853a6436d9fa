"""A reader of pcap files of UDP datagrams and TCP segments (LINKTYPE_RAW) that checks lengths and
checksums."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

HEADER = struct.Struct("=IHHiIII")
RECORD = struct.Struct("=IIII")
Address = tuple[IPv4Address | IPv6Address, int]


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram; `at`: microseconds since 1970. Or one TCP segment, with its sequence and
    acknowledgement numbers, of which the last `cut` bytes are not in the file."""

    at: int
    sender: Address
    receiver: Address
    payload: bytes
    segment: tuple[int, int] | None = None
    cut: int = 0


def checksum(data: bytes) -> int:
    """RFC 1071; 0 for data that holds its own right checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def read_record(record: bytes) -> Datagram:
    """A record, which must be exactly one datagram or segment."""
    seconds, micros, kept, length = RECORD.unpack_from(record)
    packet = record[RECORD.size :]
    assert kept == len(packet) <= length
    assert micros < 1_000_000
    if packet[0] >> 4 == 4:
        assert checksum(packet[:20]) == 0
        assert struct.unpack_from("!H", packet, 2) == (length,)
        ends, inner, protocol = packet[12:20], packet[20:], packet[9]
    else:
        assert packet[0] >> 4 == 6
        assert struct.unpack_from("!H", packet, 4) == (length - 40,)
        ends, inner, protocol = packet[8:40], packet[40:], packet[6]
    cut = length - kept
    if not cut:
        assert checksum(ends + struct.pack("!HH", protocol, len(inner)) + inner) == 0
    from_port, to_port = struct.unpack_from("!HH", inner)
    segment = None
    if protocol == 17:
        assert cut == 0
        assert struct.unpack_from("!H", inner, 4) == (len(inner),)
        payload = inner[8:]
    else:
        assert protocol == 6
        *segment, offset, flags, window, _, urgent = struct.unpack_from("!IIBBHHH", inner, 4)
        assert (offset, flags, urgent) == (5 << 4, 0x18, 0)
        assert window > 0
        payload = inner[20:]
    half = len(ends) // 2
    return Datagram(
        seconds * 1_000_000 + micros,
        (ip_address(ends[:half]), from_port),
        (ip_address(ends[half:]), to_port),
        payload,
        None if segment is None else (segment[0], segment[1]),
        cut,
    )


def read_file(data: bytes) -> list[Datagram]:
    """All datagrams of a file, which must be whole."""
    magic, major, minor, *_, link = HEADER.unpack_from(data)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    found, at = [], HEADER.size
    while at < len(data):
        size = RECORD.size + RECORD.unpack_from(data, at)[2]
        found.append(read_record(data[at : at + size]))
        at += size
    return found
