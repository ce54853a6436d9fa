"""pcap records: whole and true for any datagram, and blanked as they must be."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.native.library import Native
from tests.native.pcap_file import HEADER, Address, read_file, read_record
from tests.native.test_rtp import build

ADDRESSES = st.tuples(st.ip_addresses(), st.integers(0, 65535))
SHOW_ALL, BLANK_EVENTS, BLANK_ALL = 0, 1, 2


def native_address(native: Native, address: Address) -> object:
    made = native.ffi.new("gwm_pcap_address *")
    ip, made.port = address
    made.family = ip.version
    native.ffi.memmove(made.octets, ip.packed, len(ip.packed))
    return made


def record(native: Native, at: int, sender: Address, receiver: Address, data: bytes) -> bytes:
    out = native.ffi.new("uint8_t[]", len(data) + 76)
    ends = native_address(native, sender), native_address(native, receiver)
    size = native.lib.gwm_pcap_record(out, at, *ends, native.ffi.from_buffer(data), len(data))
    return bytes(native.ffi.buffer(out, size))


def blank(native: Native, packet: bytes, event_type: int, privacy: int) -> bytes:
    copy = native.ffi.new("uint8_t[]", packet)
    native.lib.gwm_pcap_blank(copy, len(packet), event_type, privacy)
    return bytes(native.ffi.buffer(copy, len(packet)))


@given(
    at=st.integers(0, 2**51), sender=ADDRESSES, receiver=ADDRESSES, data=st.binary(max_size=1500)
)
@example(at=0, sender=(ip_address("::"), 0), receiver=(ip_address("::"), 0), data=b"")
def test_any_datagram_is_one_whole_record(
    native: Native, at: int, sender: Address, receiver: Address, data: bytes
) -> None:
    at %= 2**32 * 1_000_000
    found = read_record(record(native, at, sender, receiver, data))
    assert (found.at, found.payload) == (at, data)
    for seen, given_one in ((found.sender, sender), (found.receiver, receiver)):
        ip, port = seen
        if isinstance(ip, IPv6Address) and isinstance(given_one[0], IPv4Address):
            assert ip.ipv4_mapped == given_one[0]
        else:
            assert ip == given_one[0]
        assert port == given_one[1]


@given(
    first=ADDRESSES,
    second=ADDRESSES,
    told=st.lists(
        st.tuples(st.integers(0, 1), st.binary(max_size=300), st.integers(0, 40_000)), max_size=20
    ),
)
def test_segments_of_a_stream_follow_each_other_and_acknowledge(
    native: Native, first: Address, second: Address, told: list[tuple[int, bytes, int]]
) -> None:
    stream = native.ffi.new("gwm_pcap_stream *")
    ends = [native_address(native, end) for end in (first, second)]
    native.lib.gwm_pcap_stream_begin(stream, *ends)
    said = [1, 1]
    for end, data, more in told:
        assert native.lib.gwm_pcap_stream_end(stream, ends[end], ends[1 - end]) in (
            {end} if first != second else {0}
        )
        out = native.ffi.new("uint8_t[]", len(data) + 76)
        whole = len(data) + more
        size = native.lib.gwm_pcap_segment(out, 7, stream, end, data, len(data), whole)
        found = read_record(bytes(native.ffi.buffer(out, size)))
        assert found.segment == (said[end], said[1 - end])
        assert (found.payload, found.cut) == (data, more)
        ports = [(first, second)[end][1], (first, second)[1 - end][1]]
        assert [found.sender[1], found.receiver[1]] == ports
        said[end] += whole
    somebody = native_address(native, (ip_address("192.0.2.99"), 1))
    assert native.lib.gwm_pcap_stream_end(stream, ends[0], somebody) == -1


def test_sequence_numbers_begin_anew_behind_the_last_one(native: Native) -> None:
    stream = native.ffi.new("gwm_pcap_stream *")
    ends = [native_address(native, (ip_address("192.0.2.1"), port)) for port in (1, 2)]
    native.lib.gwm_pcap_stream_begin(stream, *ends)
    stream.next[0] = 2**32 - 2
    out = native.ffi.new("uint8_t[]", 80)
    for expected in (2**32 - 2, 2):
        size = native.lib.gwm_pcap_segment(out, 7, stream, 0, b"1234", 4, 4)
        found = read_record(bytes(native.ffi.buffer(out, size)))
        assert found.segment == (expected, 1)


def test_a_file_begins_with_its_header(native: Native) -> None:
    out = native.ffi.new("uint8_t[]", HEADER.size)
    native.lib.gwm_pcap_file_header(out)
    end = (ip_address("192.0.2.1"), 5060)
    data = bytes(native.ffi.buffer(out)) + record(native, 5, end, end, b"x")
    assert [each.payload for each in read_file(data)] == [b"x"]


EVENT = bytes([7, 0x8A, 1, 64])


@pytest.mark.parametrize("events", [1, 2, 3])
@pytest.mark.parametrize("shape", [{}, {"csrc": 3}, {"extension": b"\x90aud"}, {"padding": 4}])
def test_codes_of_events_are_blanked_and_nothing_else(
    native: Native, events: int, shape: dict[str, object]
) -> None:
    packet = build(EVENT * events, **shape)  # type: ignore[arg-type]
    shown = blank(native, packet, 96, BLANK_EVENTS)
    assert shown == packet.replace(EVENT, b"\xff" + EVENT[1:])
    assert blank(native, packet, 96, SHOW_ALL) == packet


def test_an_event_of_a_type_that_was_not_negotiated_is_blanked_too(native: Native) -> None:
    assert b"\x07" not in blank(native, build(EVENT), -1, BLANK_EVENTS)
    audio = build(bytes(range(100)))
    assert blank(native, audio, -1, BLANK_EVENTS) == audio


@given(st.binary(max_size=200), st.integers(-1, 127))
def test_nothing_but_the_header_is_left_of_a_secret_packet(
    native: Native, payload: bytes, event_type: int
) -> None:
    shown = blank(native, build(payload), event_type, BLANK_ALL)
    assert shown[:12] == build(payload)[:12]
    assert set(shown[12:]) <= {0xFF}


@given(st.binary(max_size=60).filter(lambda data: data[:1] < b"\x80" or len(data) < 12))
def test_what_is_no_rtp_is_not_shown(native: Native, data: bytes) -> None:
    assert set(blank(native, data, 96, BLANK_EVENTS)) <= {0}


def sip(first_line: str, body: str = "", length: int | None = None) -> bytes:
    head = (
        f"{first_line}\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nFrom: <sip:a@a.example>\r\n"
        f"To: <sip:b@b.example>\r\nCall-ID: c\r\nCSeq: 1 {first_line.split()[0]}\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {length or len(body)}\r\n\r\n"
    )
    return (head + body).encode()


@pytest.mark.parametrize("host", ["192.0.2.{}", "2001:db8::{}"])
def test_tshark_reads_the_messages_of_a_stream_also_behind_one_that_was_cut(
    native: Native, tmp_path: Path, host: str
) -> None:
    ends = [native_address(native, (ip_address(host.format(n)), 40_000 + n)) for n in (1, 2)]
    stream = native.ffi.new("gwm_pcap_stream *")
    native.lib.gwm_pcap_stream_begin(stream, *ends)
    begun = sip("INVITE sip:b@b.example SIP/2.0", "x" * 5000, 60_000)
    told = [
        (0, sip("OPTIONS sip:b@b.example SIP/2.0"), 0), (1, sip("SIP/2.0 200 OK"), 0),
        (0, begun, 55_000), (1, sip("SIP/2.0 486 Busy"), 0),
        (0, sip("ACK sip:b@b.example SIP/2.0"), 0),
    ]  # fmt: skip
    file = tmp_path / "stream.pcap"
    header = native.ffi.new("uint8_t[]", HEADER.size)
    native.lib.gwm_pcap_file_header(header)
    records = bytes(native.ffi.buffer(header))
    for at, (end, data, more) in enumerate(told):
        out = native.ffi.new("uint8_t[]", len(data) + 76)
        whole = len(data) + more
        size = native.lib.gwm_pcap_segment(out, at, stream, end, data, len(data), whole)
        records += bytes(native.ffi.buffer(out, size))
    file.write_bytes(records)
    fields = (
        "-T",
        "fields",
        "-e",
        "sip.Method",
        "-e",
        "sip.Status-Code",
        "-e",
        "tcp.analysis.flags",
    )
    command = ["tshark", "-n", "-r", str(file), "-o", "tcp.check_checksum:TRUE", *fields]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.strip() for line in shown.splitlines()]
    assert lines == ["OPTIONS", "200", "INVITE", "486", "ACK"]
