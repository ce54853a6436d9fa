"""The media plane with real packets: tones heard, digits exact, strangers unheard, nothing left."""

from __future__ import annotations

import asyncio
import os
import socket
import wave
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.errors import GatewayError
from gateway.media.engine import MediaEngine
from gateway.media.values import Direction
from gateway.ports import (
    DigitBegan,
    DigitEnded,
    DigitSent,
    MediaEvent,
    PlayDone,
    RtpResumed,
    RtpStarted,
    RtpTimeout,
)
from gateway.terms import Codec
from tests.media.srtp_peer import EVENT_TYPE, SrtpPeer, ulaw_decode


def sine(frequency: float, seconds: float, rate: int = 8000) -> NDArray[np.int16]:
    """A sine of about -12 dBFS."""
    t = np.arange(int(seconds * rate)) / rate
    return (8000 * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


def dominant(samples: NDArray[np.int16], rate: int) -> float:
    """Frequency of the strongest component, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for what the network does; fails the test when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the network has no event to wait for
            await asyncio.sleep(0.01)


async def test_audio_is_mixed_into_the_far_end(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    tone = media.tone(700)
    media.connect(tone, peer.port)
    await until(lambda: len(peer.received) > 60)
    heard = np.concatenate([ulaw_decode(p.payload) for p in peer.received[20:]])
    assert abs(dominant(heard, 8000) - 700) < 5
    assert 4000 < np.abs(heard).max() < 12000
    peer.close()


async def test_audio_of_the_far_end_is_recorded(media: MediaEngine, tmp_path: Path) -> None:
    peer = SrtpPeer(media)
    recorder = media.record(tmp_path / "heard.wav").near
    media.connect(peer.port, recorder)
    await peer.send_audio(sine(1200, 1.5))
    media.close(recorder)
    await until(lambda: media.port_count == 1)
    await asyncio.sleep(0.2)
    with wave.open(str(tmp_path / "heard.wav")) as f:
        assert f.getframerate() == media.bridge_rate
        heard = np.frombuffer(f.readframes(f.getnframes()), "<i2")
    assert abs(dominant(heard[-16000:], media.bridge_rate) - 1200) < 5
    peer.close()


def opus_packets(samples: NDArray[np.int16]) -> list[bytes]:
    """20 ms Opus packets of 48 kHz samples."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48000, "mono", "s16"
    encoder.options = {"application": "voip", "frame_duration": "20"}
    packets: list[bytes] = []
    for start in range(0, len(samples) - 959, 960):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def opus_samples(payloads: list[bytes]) -> NDArray[np.int16]:
    """48 kHz samples of Opus packets."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48000, "mono"
    frames = [frame for payload in payloads for frame in decoder.decode(av.Packet(payload))]
    heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return (heard * 32767).astype(np.int16) if heard.dtype.kind == "f" else heard


async def test_opus_is_transcoded_to_the_bridge_and_back(media: MediaEngine) -> None:
    browser, phone = SrtpPeer(media, Codec.OPUS, 48000), SrtpPeer(media)
    media.connect(browser.port, phone.port)
    tone = media.tone(600)
    media.connect(tone, browser.port)
    await browser.send_payloads(opus_packets(sine(1500, 2.0, 48000)))
    heard = np.concatenate([ulaw_decode(p.payload) for p in phone.received[-60:]])
    assert abs(dominant(heard, 8000) - 1500) < 10
    assert 4000 < np.abs(heard).max() < 12000
    back = opus_samples([p.payload for p in browser.received])
    assert abs(dominant(back[-48000:], 48000) - 600) < 5
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(browser.received)} == {
        960
    }, "the RTP clock of Opus is 48 kHz whatever the bridge runs at"
    for peer in (browser, phone):
        peer.close()


async def test_a_long_tone_at_48_khz_is_segmented(media: MediaEngine) -> None:
    peer = SrtpPeer(media, Codec.OPUS, 48000)
    await until(lambda: len(peer.received) > 5)
    media.send_digit(peer.port, "D", 2000)
    await until(lambda: sum(end for *_, end in peer.events()) == 3)
    segments: dict[int, int] = {}
    for timestamp, _, duration, _ in peer.events():
        segments[timestamp] = max(duration, segments.get(timestamp, 0))
    first, second = segments
    assert (second - first) & 0xFFFFFFFF == 0xFFFF
    assert segments == {first: 0xFFFF, second: 96000 - 0xFFFF}
    markers = [p.marker for p in peer.received if p.payload_type == EVENT_TYPE]
    assert markers.count(True) == 1
    assert markers[0]
    peer.close()


async def test_a_player_tells_its_end(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    player = media.play(sine(440, 0.3).tobytes(), 8000)
    events: list[MediaEvent] = []
    media.subscribe(player, events.append)
    media.connect(player, peer.port)
    await until(lambda: bool(events))
    assert isinstance(events[0], PlayDone)
    peer.close()


async def test_digits_of_the_far_end_are_reported_once_with_their_duration(
    media: MediaEngine,
) -> None:
    peer = SrtpPeer(media)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    await peer.send_event(5, [160, 320, 480, 640, 800])
    await peer.send_audio(sine(300, 0.1))
    await until(lambda: any(isinstance(e, DigitEnded) for e in events))
    began = [e for e in events if isinstance(e, DigitBegan)]
    ended = [e for e in events if isinstance(e, DigitEnded)]
    assert [e.digit for e in began] == ["5"]
    assert [(e.digit, e.duration_ms, e.id) for e in ended] == [("5", 100, began[0].id)]
    stats = media.stats(peer.port)
    assert (stats.rx_lost, stats.dtmf_received) == (0, 1)
    peer.close()


async def test_a_digit_outlives_a_standstill_of_the_stream(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    start = peer.timestamp
    await peer.send_event(4, [160, 320, 480], ends=0, pace=0.02)
    await asyncio.sleep(0.12)
    peer.timestamp = start
    await peer.send_event(4, [1600, 1760], pace=0.02)
    await until(lambda: any(isinstance(e, DigitEnded) for e in events))
    await peer.send_audio(sine(300, 0.2))
    ended = [(e.digit, e.duration_ms) for e in events if isinstance(e, DigitEnded)]
    assert ended == [("4", 220)]
    peer.close()


async def test_a_digit_whose_end_is_lost_ends_while_the_audio_goes_on(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    await peer.send_event(6, [160, 320, 480], ends=0)
    await peer.send_audio(sine(300, 0.2))
    (ended,) = [e for e in events if isinstance(e, DigitEnded)]
    assert (ended.digit, ended.duration_ms) == ("6", 40), "the last update was not sent"
    began = next(e for e in events if isinstance(e, DigitBegan))
    assert ended.monotonic - began.monotonic < 0.19
    peer.close()


async def test_a_digit_ends_when_the_stream_stops_for_good(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    await peer.send_event(7, [160, 320, 480], ends=0)
    await until(lambda: any(isinstance(e, DigitEnded) for e in events), 1.0)
    peer.close()


async def test_a_sent_digit_is_exact_on_the_wire(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await until(lambda: len(peer.received) > 5)
    sent = media.send_digit(peer.port, "#", 70, 30)
    await until(lambda: any(isinstance(e, DigitSent) for e in events))
    (done,) = [e for e in events if isinstance(e, DigitSent)]
    assert (done.id, done.digit, done.duration_ms) == (sent, "#", 70)
    await until(lambda: sum(end for *_, end in peer.events()) == 3)
    assert [(event, duration, end) for _, event, duration, end in peer.events()] == [
        (11, 160, False),
        (11, 320, False),
        (11, 480, False),
        (11, 560, True),
        (11, 560, True),
        (11, 560, True),
    ]
    assert len({timestamp for timestamp, *_ in peer.events()}) == 1
    await asyncio.sleep(0.2)
    sequences = [p.sequence for p in peer.received]
    steps = {(b - a) & 0xFFFF for a, b in pairwise(sequences)}
    assert steps == {1}, "events and audio share one gapless sequence"
    peer.close()


async def test_digits_are_relayed_natively_between_legs(media: MediaEngine) -> None:
    browser, phone = SrtpPeer(media), SrtpPeer(media)
    media.connect(browser.port, phone.port)
    media.connect(phone.port, browser.port)
    media.relay_digits(browser.port, phone.port)
    await browser.send_audio(sine(300, 0.2))
    for event in (1, 1, 15):
        await browser.send_event(event, [160, 320])
        await browser.send_audio(sine(300, 0.06))
    await until(lambda: sum(end for *_, end in phone.events()) == 9)
    finals = [(t, event, duration) for t, event, duration, end in phone.events() if end]
    assert [(event, duration) for _, event, duration in finals[::3]] == [
        (1, 320),
        (1, 320),
        (15, 320),
    ]
    assert len({t for t, *_ in finals}) == 3
    media.relay_digits(browser.port, None)
    await browser.send_event(7, [160, 320])
    await browser.send_audio(sine(300, 0.2))
    assert 7 not in {event for _, event, *_ in phone.events()}
    browser.close()
    phone.close()


async def test_a_relay_cut_in_mid_digit_ends_the_digit(media: MediaEngine) -> None:
    browser, phone = SrtpPeer(media), SrtpPeer(media)
    media.relay_digits(browser.port, phone.port)
    task = asyncio.ensure_future(browser.send_event(3, [160 * n for n in range(1, 40)]))
    await until(lambda: len(phone.events()) > 3)
    media.relay_digits(browser.port, None)
    await until(lambda: sum(end for *_, end in phone.events()) == 3)
    await task
    assert sum(end for *_, end in phone.events()) == 3
    browser.close()
    phone.close()


async def test_strangers_and_forgeries_are_counted_and_unheard(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    before = media.stats(peer.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(50):
            stranger.sendto(peer.protect(0, bytes(160)), peer.gateway_socket.getsockname())
    for _ in range(100):
        peer.send(b"\x80\x00" + os.urandom(180))
    await until(lambda: media.stats(peer.port).srtp_failures >= 100)
    stats = media.stats(peer.port)
    assert stats.rejected_source == 50
    assert stats.srtp_failures == 100
    assert stats.rx_packets == before.rx_packets
    peer.sequence += 60
    await peer.send_event(9, [160, 320])
    await until(lambda: any(isinstance(e, DigitEnded) for e in events))
    peer.close()


async def test_stun_and_dtls_go_to_python_media_does_not(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    got: list[tuple[int, bytes, tuple[str, int]]] = []
    media.on_datagrams(peer.port, lambda *datagram: got.append(datagram))
    stun, dtls = b"\x00\x01" + bytes(18), b"\x16\xfe\xfd" + bytes(10)
    await peer.send_audio(sine(300, 0.1))
    peer.send(stun)
    peer.send(dtls)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(dtls, peer.gateway_socket.getsockname())
        stranger.sendto(stun, peer.gateway_socket.getsockname())
        await until(lambda: len(got) == 3)
        name = peer.socket.getsockname()
        assert got == [(0, stun, name), (0, dtls, name), (0, stun, stranger.getsockname())]
    assert media.stats(peer.port).rejected_source == 1
    peer.close()


async def test_a_silent_peer_is_noticed_and_heard_again(media: MediaEngine) -> None:
    peer = SrtpPeer(media, rtp_timeout_ms=200)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    await until(lambda: any(isinstance(e, RtpTimeout) for e in events))
    await peer.send_audio(sine(300, 0.1))
    await until(lambda: isinstance(events[-1], RtpResumed))
    assert [type(e) for e in events] == [RtpStarted, RtpTimeout, RtpResumed]
    peer.close()


async def test_a_flood_of_stun_from_strangers_is_bounded(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    got: list[bytes] = []
    media.on_datagrams(peer.port, lambda _tag, data, _from: got.append(data))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(1000):
            stranger.sendto(b"\x00\x01" + bytes(18), peer.gateway_socket.getsockname())
    # How many of them the kernel's buffer takes is its own affair.
    await until(lambda: media.stats(peer.port).rejected_source >= 50)
    own = b"\x01\x01" + bytes(18)
    async with asyncio.timeout(5):
        while own not in got:  # the flood may still fill the kernel's buffer, as in real life
            peer.send(own)
            await asyncio.sleep(0.05)
    assert len(got) <= 301, "a hundred a second, and the peer's own"
    peer.close()


async def test_a_peer_that_may_not_send_is_not_missed(media: MediaEngine) -> None:
    peer = SrtpPeer(media, rtp_timeout_ms=100)
    events: list[MediaEvent] = []
    media.subscribe(peer.port, events.append)
    await peer.send_audio(sine(300, 0.1))
    media.webrtc_direction(peer.port, Direction.SENDONLY)
    await asyncio.sleep(0.3)
    assert not [e for e in events if isinstance(e, RtpTimeout)]
    media.webrtc_direction(peer.port, Direction.SENDRECV)
    await until(lambda: any(isinstance(e, RtpTimeout) for e in events))
    peer.close()


async def test_bad_requests_are_refused_in_words(media: MediaEngine) -> None:
    peer = SrtpPeer(media)
    with pytest.raises(GatewayError, match="out of range"):
        media.send_digit(peer.port, "Z")
    with pytest.raises(GatewayError, match="not an address"):
        media.webrtc_allow(peer.port, "example.org", 1)
    peer.close()
    with pytest.raises(GatewayError, match="no media port"):
        media.send_digit(peer.port, "1")
    media.close(peer.port)


async def test_nothing_is_left_behind(media: MediaEngine) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    for _ in range(3):
        SrtpPeer(media).close()
    await asyncio.sleep(0.2)
    before = descriptors()
    for _ in range(200):
        peer = SrtpPeer(media)
        tone = media.tone(500)
        media.connect(tone, peer.port)
        media.close(tone)
        peer.close()
    assert media.port_count == 0
    await until(lambda: descriptors() == before)
