"""The direct path: two legs alone with each other skip the bridge, and sound the same."""

from __future__ import annotations

import asyncio
import contextlib
import wave
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.media.engine import MediaEngine
from gateway.media.values import Direction
from gateway.ports import DigitEnded, DigitSent, MediaEvent
from gateway.terms import Codec
from tests.media.srtp_peer import EVENT_TYPE, SrtpPeer, ulaw_decode, ulaw_encode
from tests.media.test_ports import dominant, opus_packets, opus_samples, sine, until

SLOT = 160  # RTP units of 20 ms of G.711
SILENCE = ulaw_encode(np.zeros(SLOT, np.int16))


def heard(peer: SrtpPeer, packets: int) -> NDArray[np.int16]:
    """The last audio that reached a G.711 far end."""
    audio = [p.payload for p in peer.received if p.payload_type != EVENT_TYPE]
    return np.concatenate([ulaw_decode(payload) for payload in audio[-packets:]])


def payloads(samples: NDArray[np.int16]) -> list[bytes]:
    """20 ms of G.711 each."""
    return [ulaw_encode(samples[n : n + SLOT]) for n in range(0, len(samples) - SLOT + 1, SLOT)]


def is_direct(peer: SrtpPeer) -> bool:
    """Whether what this far end sends skips the bridge."""
    return peer.media.stats(peer.port).direct


@contextlib.asynccontextmanager
async def talking(peer: SrtpPeer, frequency: float = 1000.0) -> AsyncIterator[None]:
    """`peer` sends a tone all the while."""
    task = asyncio.ensure_future(peer.send_audio(sine(frequency, 60.0)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def pair(media: MediaEngine) -> AsyncIterator[tuple[SrtpPeer, SrtpPeer]]:
    """Two G.711 legs, connected both ways."""
    browser, phone = SrtpPeer(media), SrtpPeer(media)
    media.connect(browser.port, phone.port)
    media.connect(phone.port, browser.port)
    yield browser, phone
    browser.close()
    phone.close()


async def test_two_legs_alone_with_each_other_skip_the_bridge(
    pair: tuple[SrtpPeer, SrtpPeer],
) -> None:
    browser, phone = pair
    async with talking(browser, 1000), talking(phone, 600):
        await until(lambda: is_direct(browser) and is_direct(phone))
        count = len(phone.received)
        await until(lambda: len(phone.received) > count + 60)
    assert abs(dominant(heard(phone, 50), 8000) - 1000) < 5
    assert abs(dominant(heard(browser, 50), 8000) - 600) < 5
    assert 7000 < np.abs(heard(phone, 50)).max() < 9000, "at the level at which it came"
    for peer in pair:
        assert {(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(peer.received)} == {1}
        assert {(b.timestamp - a.timestamp) for a, b in pairwise(peer.received)} == {SLOT}


async def test_direct_audio_has_its_level(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    async with talking(browser):
        await until(lambda: is_direct(browser))
        await asyncio.sleep(0.1)
        assert browser.media.levels(browser.port)[0] > 70
        assert browser.media.levels(phone.port)[1] > 70


async def test_a_listener_brings_a_pair_back_to_the_bridge_and_gone_lets_it_go(
    pair: tuple[SrtpPeer, SrtpPeer], tmp_path: Path
) -> None:
    browser, phone = pair
    media = browser.media
    async with talking(browser):
        await until(lambda: is_direct(browser))
        recorder = media.record(tmp_path / "heard.wav").near
        media.connect(browser.port, recorder)
        assert not is_direct(browser)
        await asyncio.sleep(1.0)
        assert abs(dominant(heard(phone, 25), 8000) - 1000) < 5
        media.close(recorder)
        await until(lambda: is_direct(browser))
        await asyncio.sleep(0.6)
        assert abs(dominant(heard(phone, 25), 8000) - 1000) < 5
    with wave.open(str(tmp_path / "heard.wav")) as f:
        recorded = np.frombuffer(f.readframes(f.getnframes()), "<i2")
    assert abs(dominant(recorded[-8000:], media.bridge_rate) - 1000) < 5
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(phone.received)} == {1}


async def test_a_stereo_recording_hears_both_ways_of_a_pair(
    pair: tuple[SrtpPeer, SrtpPeer], tmp_path: Path
) -> None:
    browser, phone = pair
    media = browser.media
    async with talking(browser, 1000), talking(phone, 600):
        await until(lambda: is_direct(browser) and is_direct(phone))
        ports = media.record(tmp_path / "heard.wav", stereo=True)
        media.connect(browser.port, ports.near)
        media.connect(phone.port, ports.far)
        assert not is_direct(browser)
        assert not is_direct(phone)
        await asyncio.sleep(0.8)
        media.close(ports.near)
        await until(lambda: is_direct(browser) and is_direct(phone))
    with wave.open(str(tmp_path / "heard.wav")) as f:
        recorded = np.frombuffer(f.readframes(f.getnframes()), "<i2").reshape(-1, 2)[-8000:]
    assert abs(dominant(recorded[:, 0], media.bridge_rate) - 1000) < 5
    assert abs(dominant(recorded[:, 1], media.bridge_rate) - 600) < 5


async def test_a_second_voice_is_mixed_in(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    media = browser.media
    async with talking(browser):
        await until(lambda: is_direct(browser))
        tone = media.tone(500)
        media.connect(tone, phone.port)
        assert not is_direct(browser)
        await asyncio.sleep(1.0)
        spectrum = np.abs(np.fft.rfft(heard(phone, 25)[-4000:]))
        assert spectrum[500 // 2] > 100_000
        assert spectrum[1000 // 2] > 100_000
        media.close(tone)
        await until(lambda: is_direct(browser))


async def test_disconnected_is_unheard_at_once(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    async with talking(browser):
        await until(lambda: is_direct(browser))
        browser.media.disconnect(browser.port, phone.port)
        assert not is_direct(browser)
        count = len(phone.received)
        await until(lambda: len(phone.received) > count + 30)
        assert np.abs(heard(phone, 25)).max() < 50, "silence"


async def test_a_held_leg_is_unheard(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    async with talking(browser):
        await until(lambda: is_direct(browser))
        browser.media.webrtc_direction(browser.port, Direction.SENDONLY)
        await until(lambda: not is_direct(browser))
        count = len(phone.received)
        await until(lambda: len(phone.received) > count + 40)
        assert np.abs(heard(phone, 25)).max() < 50
        browser.media.webrtc_direction(browser.port, Direction.SENDRECV)
        await until(lambda: is_direct(browser))
        await asyncio.sleep(0.6)
        assert abs(dominant(heard(phone, 25), 8000) - 1000) < 5


async def test_a_sender_that_pauses_leaves_silence_behind(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    async with talking(browser):
        await until(lambda: is_direct(browser))
    timestamp, began = phone.received[-1].timestamp, asyncio.get_running_loop().time()
    count = len(phone.received)
    await until(lambda: len(phone.received) > count + 50, 2.0)
    assert is_direct(browser)
    assert np.abs(heard(phone, 25)).max() < 50
    elapsed = asyncio.get_running_loop().time() - began
    assert abs((phone.received[-1].timestamp - timestamp) / 8000 - elapsed) < 0.1
    browser.timestamp += round(8000 * elapsed)
    async with talking(browser, 700):
        await asyncio.sleep(0.6)
    assert abs(dominant(heard(phone, 25), 8000) - 700) < 5
    assert {b.timestamp - a.timestamp for a, b in pairwise(phone.received)} == {SLOT}


async def test_a_sender_whose_clock_stood_still_in_its_pause_is_heard_again(
    pair: tuple[SrtpPeer, SrtpPeer],
) -> None:
    browser, phone = pair
    async with talking(browser):
        await until(lambda: is_direct(browser))
    await asyncio.sleep(0.8)
    async with talking(browser, 700):
        await asyncio.sleep(0.6)
    assert abs(dominant(heard(phone, 25), 8000) - 700) < 5


async def test_what_the_network_held_back_does_not_stay_behind(
    pair: tuple[SrtpPeer, SrtpPeer],
) -> None:
    browser, phone = pair
    tone = payloads(sine(1000, 1.0))
    await browser.send_payloads(tone[:30])
    assert is_direct(browser)
    count = len(phone.received)
    await asyncio.sleep(0.14)
    for payload in tone[30:37]:
        browser.send(browser.protect(0, payload))
        browser.timestamp += SLOT
    await asyncio.sleep(0.05)
    assert len(phone.received) <= count + 9, "140 ms are seven packets, held back or not"
    await browser.send_payloads(tone[37:])
    assert {b.timestamp - a.timestamp for a, b in pairwise(phone.received)} == {SLOT}
    assert abs(dominant(heard(phone, 10), 8000) - 1000) < 30


async def test_lost_packets_are_filled_in_and_late_ones_are_not_played(
    pair: tuple[SrtpPeer, SrtpPeer],
) -> None:
    browser, phone = pair
    tone = payloads(sine(1000, 4.0))
    await browser.send_payloads(tone[:40])
    assert is_direct(browser)
    timestamp, count = browser.timestamp, len(phone.received)
    packets = [
        browser.protect(0, payload, timestamp=timestamp + n * SLOT)
        for n, payload in enumerate(tone[40:60])
    ]
    lost, late = {4, 5, 11}, packets.pop(8)
    for n, packet in enumerate(packets):
        if n not in lost:
            browser.send(packet)
        if n == 14:
            browser.send(late)
        await asyncio.sleep(0.02)
    await until(lambda: len(phone.received) >= count + 20)
    await asyncio.sleep(0.06)
    arrived = phone.received[count:]
    assert {b.timestamp - a.timestamp for a, b in pairwise(arrived)} == {SLOT}
    assert len(arrived) == 20, "each 20 ms of the sender once, lost or not"
    assert all(np.abs(ulaw_decode(p.payload)).max() > 2000 for p in arrived), "no hole is heard"


async def test_the_sender_s_clock_may_start_again(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    tone = payloads(sine(1000, 1.0))
    await browser.send_payloads(tone)
    assert is_direct(browser)
    browser.timestamp += 1_000_000
    await browser.send_payloads(tone)
    browser.timestamp -= 3_000_000
    await browser.send_payloads(tone)
    browser.ssrc, browser.timestamp, browser.sequence = 0x9999, 77, 5
    count = len(phone.received)
    await browser.send_payloads(tone)
    assert len(phone.received) >= count + 48
    assert abs(dominant(heard(phone, 40), 8000) - 1000) < 5
    assert {b.timestamp - a.timestamp for a, b in pairwise(phone.received)} == {SLOT}


async def test_digits_keep_their_length_and_no_audio_is_between(
    pair: tuple[SrtpPeer, SrtpPeer],
) -> None:
    browser, phone = pair
    media = browser.media
    media.relay_digits(browser.port, phone.port)
    ended: list[MediaEvent] = []
    media.subscribe(browser.port, ended.append)
    await browser.send_audio(sine(1000, 0.8))
    assert is_direct(browser)
    for event in (1, 1, 11):
        await browser.send_event(event, [SLOT * n for n in range(1, 6)])
        await browser.send_audio(sine(1000, 0.1))
    await browser.send_audio(sine(1000, 0.4))
    assert is_direct(browser), "digits do not bring the bridge back"
    assert [e.duration_ms for e in ended if isinstance(e, DigitEnded)] == [100, 100, 100]
    finals = [(event, duration) for _, event, duration, end in phone.events() if end]
    assert finals == [(1, 800)] * 6 + [(11, 800)] * 3
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(phone.received)} == {1}
    for start in {timestamp for timestamp, *_ in phone.events()}:
        during = [
            p
            for p in phone.received
            if p.payload_type != EVENT_TYPE and start <= p.timestamp < start + 800
        ]
        assert not during, "the tone's time belongs to the tone"
    assert abs(dominant(heard(phone, 15), 8000) - 1000) < 10


async def test_a_digit_is_sent_into_a_direct_call(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    browser, phone = pair
    media = browser.media
    events: list[MediaEvent] = []
    media.subscribe(phone.port, events.append)
    async with talking(browser):
        await until(lambda: is_direct(browser))
        media.send_digit(phone.port, "5", 200, 50)
        media.send_digit(phone.port, "6", 40, 50)
        await until(lambda: len([e for e in events if isinstance(e, DigitSent)]) == 2)
        assert is_direct(browser)
        await asyncio.sleep(0.4)
    finals = [(event, duration) for _, event, duration, end in phone.events() if end]
    assert finals == [(5, 1600)] * 3 + [(6, 320)] * 3
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(phone.received)} == {1}
    assert abs(dominant(heard(phone, 15), 8000) - 1000) < 10


async def test_opus_and_g711_are_transcoded_both_ways(media: MediaEngine) -> None:
    browser, phone = SrtpPeer(media, Codec.OPUS, 48000), SrtpPeer(media)
    media.connect(browser.port, phone.port)
    media.connect(phone.port, browser.port)
    async with talking(phone, 600):
        await browser.send_payloads(opus_packets(sine(1500, 2.0, 48000)))
        assert is_direct(browser)
        assert is_direct(phone)
    assert abs(dominant(heard(phone, 50), 8000) - 1500) < 10
    assert 4000 < np.abs(heard(phone, 50)).max() < 12000
    back = opus_samples([p.payload for p in browser.received])
    assert abs(dominant(back[-38400:], 48000) - 600) < 5
    assert 4000 < np.abs(back[-38400:]).max() < 12000
    assert {(b.timestamp - a.timestamp) for a, b in pairwise(browser.received)} == {960}
    browser.close()
    phone.close()


async def test_lost_opus_is_concealed(media: MediaEngine) -> None:
    browser, phone = SrtpPeer(media, Codec.OPUS, 48000), SrtpPeer(media)
    media.connect(browser.port, phone.port)
    packets = opus_packets(sine(1000, 2.0, 48000))
    await browser.send_payloads(packets[:40])
    assert is_direct(browser)
    count = len(phone.received)
    for n, payload in enumerate(packets[40:80]):
        packet = browser.protect(browser.payload_type, payload)
        browser.timestamp += 960
        if n not in {5, 20, 21}:
            browser.send(packet)
        await asyncio.sleep(0.02)
    await until(lambda: len(phone.received) >= count + 40)
    assert {b.timestamp - a.timestamp for a, b in pairwise(phone.received)} == {SLOT}
    levels = [np.abs(ulaw_decode(p.payload)).max() for p in phone.received[count : count + 40]]
    assert min(levels) > 1500
    browser.close()
    phone.close()


@pytest.mark.parametrize("late", ["source", "sink"])
async def test_a_leg_may_go_at_any_time(media: MediaEngine, late: str) -> None:
    for _ in range(5):
        browser, phone = SrtpPeer(media), SrtpPeer(media)
        media.connect(browser.port, phone.port)
        media.connect(phone.port, browser.port)
        async with talking(browser), talking(phone):
            await until(lambda b=browser, p=phone: is_direct(b) and is_direct(p))  # type: ignore[misc]
            first, second = (phone, browser) if late == "source" else (browser, phone)
            media.close(first.port)
            await asyncio.sleep(0.1)
            count = len(second.received)
            await until(lambda s=second, c=count: len(s.received) > c + 5)  # type: ignore[misc]
        first.close()
        second.close()
    assert media.port_count == 0


async def test_packets_may_be_long(pair: tuple[SrtpPeer, SrtpPeer]) -> None:
    """RFC 3551 4.2: a receiver takes up to 200 ms a packet; some phones send 100."""
    browser, phone = pair
    tone = sine(1000, 3.0)
    loop = asyncio.get_running_loop()
    due = loop.time()
    for start in range(0, len(tone), 5 * SLOT):
        browser.send(browser.protect(0, ulaw_encode(tone[start : start + 5 * SLOT])))
        browser.timestamp += 5 * SLOT
        due += 0.1
        await asyncio.sleep(due - loop.time())
    assert is_direct(browser)
    assert {b.timestamp - a.timestamp for a, b in pairwise(phone.received)} == {SLOT}
    levels = [np.abs(ulaw_decode(p.payload)).max() for p in phone.received[-100:-1]]
    assert min(levels) > 7000, "no silence between them"
