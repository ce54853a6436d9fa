"""Captures of packets: what passes a leg is in the file, in order, and nothing of other calls."""

from __future__ import annotations

import asyncio
import struct
import time
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.media.engine import MediaEngine
from gateway.media.values import Captured, Privacy
from gateway.terms import CaptureEnd
from tests.media.srtp_peer import EVENT_TYPE, SrtpPeer, ulaw_encode
from tests.media.test_ports import sine, until
from tests.native.pcap_file import Datagram, read_file

MANY = 10_000_000
HERE, THERE = ("127.0.0.1", 5060), ("192.0.2.7", 5070)


def rtp_of(found: list[Datagram]) -> list[Datagram]:
    return [x for x in found if x.payload[0] == 0x80 and not 192 <= x.payload[1] <= 223]


async def finished(media: MediaEngine, capture: int, done: list[Captured]) -> Captured:
    media.packets.close(capture)
    await until(lambda: bool(done))
    return done[0]


async def test_both_directions_of_a_leg_are_captured_as_plain_rtp(
    media: MediaEngine, tmp_path: Path
) -> None:
    peer, done, file = SrtpPeer(media), list[Captured](), tmp_path / "a.pcap"
    capture = media.packets.open(file, 30, MANY, Privacy.DIGITS, done.append)
    media.packets.add(capture, peer.port)
    before = time.time()
    await peer.send_audio(sine(700, 0.6))
    await peer.send_event(7, [160, 320, 480])
    await asyncio.sleep(0.1)  # the last packet is on its way
    how = await finished(media, capture, done)
    found = read_file(file.read_bytes())
    assert (how.reason, how.packets, how.lost) == (CaptureEnd.ASKED, len(found), 0)
    theirs, ours = peer.socket.getsockname(), peer.gateway_socket.getsockname()
    ends = {(str(x.sender[0]), x.sender[1]): (str(x.receiver[0]), x.receiver[1]) for x in found}
    assert ends == {theirs: ours, ours: theirs}
    heard = [x for x in rtp_of(found) if x.sender[1] == theirs[1]]
    numbers = [struct.unpack_from("!H", x.payload, 2)[0] for x in heard]
    assert numbers == list(range(1000, 1000 + len(numbers)))
    assert heard[0].payload[12:] == ulaw_encode(sine(700, 0.02)), "decrypted"
    events = [x.payload[12:] for x in heard if x.payload[1] & 127 == EVENT_TYPE]
    assert {event[0] for event in events} == {0xFF}
    assert [int.from_bytes(event[2:4]) for event in events][:3] == [160, 320, 480]
    assert abs(found[0].at / 1e6 - before) < 1.0
    assert file.stat().st_mode & 0o777 == 0o600
    peer.close()


async def test_a_leg_whose_capture_is_over_is_in_no_other(
    media: MediaEngine, tmp_path: Path
) -> None:
    stale, wanted = SrtpPeer(media, ssrc=1), SrtpPeer(media, ssrc=2)
    for round_ in range(12):  # more often than there are slots
        done = list[Captured]()
        file = tmp_path / f"{round_}.pcap"
        capture = media.packets.open(file, 30, MANY, Privacy.NOTHING, done.append)
        media.packets.add(capture, wanted.port if round_ else stale.port)
        await asyncio.gather(stale.send_audio(sine(500, 0.1)), wanted.send_audio(sine(700, 0.1)))
        await finished(media, capture, done)
        sources = {x.payload[8:12] for x in rtp_of(read_file(file.read_bytes()))}
        theirs = (2 if round_ else 1).to_bytes(4)
        assert theirs in sources
        assert (1 if round_ else 2).to_bytes(4) not in sources
    stale.close()
    wanted.close()


async def test_messages_stand_among_packets_by_their_time(
    media: MediaEngine, tmp_path: Path
) -> None:
    peer, done, file = SrtpPeer(media), list[Captured](), tmp_path / "a.pcap"
    began = time.monotonic()
    capture = media.packets.open(file, 30, MANY, Privacy.DIGITS, done.append)
    media.packets.add(capture, peer.port)
    media.packets.add_message(capture, began - 2, HERE, THERE, b"INVITE")
    await peer.send_audio(sine(700, 0.2))
    told = time.monotonic()
    await asyncio.sleep(0.02)  # Python is a little late
    media.packets.add_message(capture, told, THERE, HERE, b"y" * 9000)
    media.packets.add_message(capture, told, ("no address", 1), HERE, b"z")
    await peer.send_audio(sine(700, 0.2))
    how = await finished(media, capture, done)
    found = read_file(file.read_bytes())
    assert how.packets == len(found)
    assert found[0].payload == b"INVITE"
    assert (found[0].sender, found[0].receiver) == (
        (ip_address(HERE[0]), HERE[1]), (ip_address(THERE[0]), THERE[1]),
    )  # fmt: skip
    (second,) = (n for n, x in enumerate(found) if x.payload[:1] == b"y")
    assert len(found[second].payload) == 8192
    assert 5 < second < len(found) - 5
    ats = [x.at for x in found]
    assert max(a - b for a, b in pairwise(ats)) < 1000, "in order"
    peer.close()


async def test_messages_of_a_connection_are_one_stream(media: MediaEngine, tmp_path: Path) -> None:
    done, file, now = list[Captured](), tmp_path / "a.pcap", time.monotonic()
    capture = media.packets.open(file, 30, MANY, Privacy.DIGITS, done.append)
    other = ("127.0.0.1", 40001), THERE
    told = [
        (HERE, THERE, b"INVITE", 0), (*other, b"OPTIONS", 0), (THERE, HERE, b"100", 0),
        (THERE, HERE, b"200 OK" * 2000, 15_000), (HERE, THERE, b"ACK", 0), (*other, b"BYE", 0),
    ]  # fmt: skip
    for number, (sender, receiver, data, whole) in enumerate(told):
        at = now + number / 1000
        media.packets.add_message(capture, at, sender, receiver, data, stream=True, whole=whole)
    media.packets.add_message(capture, now + 1, HERE, THERE, b"by UDP")
    how = await finished(media, capture, done)
    *found, datagram = read_file(file.read_bytes())
    assert how.packets == len(found) + 1 == len(told) + 1
    assert [(x.payload, x.cut) for x in found] == [
        (data[:8192], max(whole - 8192, 0)) for _, _, data, whole in told
    ]
    assert [x.segment for x in found] == [
        (1, 1), (1, 1), (1, 7), (4, 7), (7, 15_004), (8, 1),
    ]  # fmt: skip
    assert datagram.segment is None


async def test_more_connections_than_a_call_has_are_told_as_lost(
    media: MediaEngine, tmp_path: Path
) -> None:
    done, file, now = list[Captured](), tmp_path / "a.pcap", time.monotonic()
    capture = media.packets.open(file, 30, MANY, Privacy.DIGITS, done.append)
    for port in (*range(1, 71), 1):
        media.packets.add_message(capture, now, ("127.0.0.1", port), THERE, b"x", stream=True)
    how = await finished(media, capture, done)
    assert (how.packets, how.lost) == (65, 6)
    assert len(read_file(file.read_bytes())) == 65


async def test_a_capture_ends_at_its_size_or_time(media: MediaEngine, tmp_path: Path) -> None:
    peer = SrtpPeer(media)
    for number, (seconds, most, reason) in enumerate(
        [(30, 5000, CaptureEnd.FULL), (0.3, MANY, CaptureEnd.TIME)]
    ):
        done, file = list[Captured](), tmp_path / f"{number}.pcap"
        capture = media.packets.open(file, seconds, most, Privacy.DIGITS, done.append)
        media.packets.add(capture, peer.port)
        await peer.send_audio(sine(700, 0.6))
        await until(lambda done=done: bool(done))  # type: ignore[misc]
        assert done[0].reason is reason
        assert file.stat().st_size <= most
        assert len(read_file(file.read_bytes())) == done[0].packets
    peer.close()


async def test_privacy_changes_at_once(media: MediaEngine, tmp_path: Path) -> None:
    peer, done, file = SrtpPeer(media), list[Captured](), tmp_path / "a.pcap"
    capture = media.packets.open(file, 30, MANY, Privacy.NOTHING, done.append)
    media.packets.add(capture, peer.port)
    await peer.send_event(1, [160, 320])
    await asyncio.sleep(0.05)  # the last packet is on its way
    media.packets.set_privacy(capture, Privacy.AUDIO)
    await peer.send_event(2, [160, 320])
    await peer.send_audio(sine(700, 0.1))
    await asyncio.sleep(0.05)
    media.packets.set_privacy(capture, Privacy.DIGITS)
    await peer.send_event(3, [160, 320])
    await peer.send_audio(sine(700, 0.1))
    await finished(media, capture, done)
    port = peer.socket.getsockname()[1]
    heard = [x for x in rtp_of(read_file(file.read_bytes())) if x.sender[1] == port]
    kinds = [
        (x.payload[1] & 127 == EVENT_TYPE, x.payload[12] if len(set(x.payload[12:])) > 1 else None)
        for x in heard
    ]
    codes = [code for is_event, code in kinds if is_event]
    assert [code for n, code in enumerate(codes) if n == 0 or codes[n - 1] != code] == [
        1, None, 0xFF,
    ]  # fmt: skip
    audio = [code for is_event, code in kinds if not is_event]
    assert audio[0] is None
    assert audio[-1] is not None
    peer.close()


async def test_what_cannot_be_begun_is_refused(media: MediaEngine, tmp_path: Path) -> None:
    done = list[Captured]()
    with pytest.raises(GatewayError):
        media.packets.open(tmp_path / "no" / "a.pcap", 1, MANY, Privacy.DIGITS, done.append)
    (tmp_path / "there.pcap").touch()
    with pytest.raises(GatewayError):
        media.packets.open(tmp_path / "there.pcap", 1, MANY, Privacy.DIGITS, done.append)
    running = [
        media.packets.open(tmp_path / f"{n}.pcap", 30, MANY, Privacy.DIGITS, done.append)
        for n in range(8)
    ]
    with pytest.raises(GatewayError) as refused:
        media.packets.open(tmp_path / "8.pcap", 30, MANY, Privacy.DIGITS, done.append)
    assert refused.value.verdict.code == "overloaded"
    for capture in running:
        media.packets.close(capture)
        media.packets.close(capture)
    await until(lambda: len(done) == 8)
    media.packets.set_privacy(running[0], Privacy.NOTHING)
    media.packets.add(running[0], 4711)
