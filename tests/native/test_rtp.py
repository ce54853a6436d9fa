"""RTP headers (RFC 3550 5.1) and demultiplexing (RFC 7983, RFC 5761)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.library import Native

Header = tuple[int, int, int, int, int, int, int]


def parse(native: Native, packet: bytes) -> Header | None:
    """(type, marker, sequence, timestamp, ssrc, payload offset, payload length), None if wrong."""
    out = native.ffi.new("gwm_rtp_header *")
    if native.lib.gwm_rtp_parse(native.ffi.from_buffer(packet), len(packet), out) != 0:
        return None
    return (
        out.payload_type,
        out.marker,
        out.sequence,
        out.timestamp,
        out.ssrc,
        out.payload_offset,
        out.payload_len,
    )


def build(
    payload: bytes,
    *,
    csrc: int = 0,
    extension: bytes | None = None,
    padding: int = 0,
    version: int = 2,
) -> bytes:
    """A packet of type 96, sequence 258, timestamp 0x01020304, SSRC 0xF1F2F3F4."""
    first = version << 6 | (padding > 0) << 5 | (extension is not None) << 4 | csrc
    packet = bytes([first, 96, 1, 2, 1, 2, 3, 4, 0xF1, 0xF2, 0xF3, 0xF4]) + bytes(4 * csrc)
    if extension is not None:
        packet += b"\xbe\xde" + (len(extension) // 4).to_bytes(2, "big") + extension
    packet += payload
    return packet + (bytes(padding - 1) + bytes([padding]) if padding else b"")


@given(
    payload=st.binary(max_size=40),
    csrc=st.integers(0, 15),
    extension=st.none() | st.integers(0, 9).map(lambda words: bytes(4 * words)),
    padding=st.integers(0, 255),
)
def test_the_payload_is_found(
    native: Native, payload: bytes, csrc: int, extension: bytes | None, padding: int
) -> None:
    packet = build(payload, csrc=csrc, extension=extension, padding=padding)
    header = parse(native, packet)
    assert header is not None
    assert header[:5] == (96, 0, 258, 0x01020304, 0xF1F2F3F4)
    assert packet[header[5] : header[5] + header[6]] == payload


@given(cut=st.integers(1, 200), csrc=st.integers(0, 15), words=st.integers(0, 9))
def test_truncated_headers_are_refused(native: Native, cut: int, csrc: int, words: int) -> None:
    packet = build(b"", csrc=csrc, extension=bytes(4 * words))
    assert parse(native, packet[: max(0, len(packet) - cut)]) is None


@pytest.mark.parametrize("version", [0, 1, 3])
def test_other_versions_are_refused(native: Native, version: int) -> None:
    assert parse(native, build(b"abcd", version=version)) is None


@pytest.mark.parametrize(
    ("payload", "accepted"),
    [(b"", False), (b"\x00", False), (b"ab\x04", False), (b"ab\x03", True), (b"ab\x01", True)],
)
def test_padding_stays_inside(native: Native, payload: bytes, accepted: bool) -> None:
    packet = build(payload)
    padded = bytes([packet[0] | 0x20]) + packet[1:]
    assert (parse(native, padded) is not None) == accepted


@settings(max_examples=500)
@given(packet=st.binary(max_size=80))
def test_any_bytes_are_safe(native: Native, packet: bytes) -> None:
    header = parse(native, packet)
    if header is not None:
        assert header[5] >= 12
        assert header[5] + header[6] <= len(packet)


@given(
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
)
def test_written_headers_read_back(
    native: Native, payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int
) -> None:
    packet = native.ffi.new("uint8_t[12]")
    native.lib.gwm_rtp_write_header(packet, payload_type, marker, sequence, timestamp, ssrc)
    expected = (payload_type, int(marker), sequence, timestamp, ssrc, 12, 0)
    assert parse(native, bytes(packet)) == expected


def test_datagrams_are_told_apart_by_their_first_byte(native: Native) -> None:
    """RFC 7983 7; RTCP by its packet type (RFC 5761 4)."""
    lib = native.lib
    kinds = {
        lib.GWM_DATAGRAM_STUN: range(4),
        lib.GWM_DATAGRAM_DTLS: range(20, 64),
        lib.GWM_DATAGRAM_TURN_CHANNEL: range(64, 80),
        lib.GWM_DATAGRAM_RTP: range(128, 192),
    }
    by_byte = {byte: kind for kind, numbers in kinds.items() for byte in numbers}
    for byte in range(256):
        expected = by_byte.get(byte, lib.GWM_DATAGRAM_OTHER)
        assert lib.gwm_datagram_classify(bytes([byte, 0]), 2) == expected
    for second in range(256):
        rtcp = 192 <= second <= 223
        expected = lib.GWM_DATAGRAM_RTCP if rtcp else lib.GWM_DATAGRAM_RTP
        assert lib.gwm_datagram_classify(bytes([0x80, second]), 2) == expected


def test_short_datagrams_are_nothing(native: Native) -> None:
    assert native.lib.gwm_datagram_classify(b"", 0) == native.lib.GWM_DATAGRAM_OTHER
    assert native.lib.gwm_datagram_classify(b"\x80", 1) == native.lib.GWM_DATAGRAM_OTHER
