"""Paths that change all the time while audio and digits flow, and recorders that come and go; run
under the sanitizers.

Not collected by itself: test_sanitized.py names this file.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from gateway.media.engine import MediaEngine
from gateway.media.values import Captured, Direction, Privacy
from gateway.ports import MediaPort, RecordClosed
from gateway.terms import Codec
from tests.media.srtp_peer import SrtpPeer
from tests.media.test_encoding import names
from tests.media.test_ports import opus_packets, sine, until
from tests.native.pcap_file import read_file

SECONDS = 20.0
PAIRS = 8
OPUS = opus_packets(sine(700, 3.0, 48000))


async def talk(peer: SrtpPeer, chance: random.Random) -> None:
    """Audio, keys, pauses, new sources and clocks that jump, until cancelled."""
    while True:
        if peer.codec is Codec.OPUS:
            await peer.send_payloads(OPUS[: chance.randrange(5, 60)])
        else:
            await peer.send_audio(sine(500, chance.uniform(0.1, 1.0)))
        if chance.random() < 0.3:
            updates = [peer.clock // 50 * n for n in range(1, chance.randrange(3, 12))]
            await peer.send_event(chance.randrange(16), updates)
        if chance.random() < 0.2:
            await asyncio.sleep(chance.uniform(0, 0.4))
        if chance.random() < 0.1:
            peer.ssrc = chance.getrandbits(31)
        if chance.random() < 0.1:
            peer.timestamp = chance.getrandbits(32)


async def meddle(
    media: MediaEngine, a: SrtpPeer, b: SrtpPeer, tones: list[MediaPort], chance: random.Random
) -> None:
    """One of the things that calls do to a bridged pair."""
    match chance.randrange(6):
        case 0:
            tones.append(media.tone(400))
            media.connect(tones[-1], a.port)
        case 1 if tones:
            media.close(tones.pop())
        case 2:
            media.disconnect(a.port, b.port)
            media.connect(a.port, b.port)
        case 3:
            media.send_digit(b.port, "5", chance.randrange(40, 300))
        case 4:
            media.webrtc_direction(a.port, chance.choice(list(Direction)))
        case _:
            media.webrtc_direction(a.port, Direction.SENDRECV)
            media.levels(a.port)


async def pair(media: MediaEngine, number: int, seen: list[bool], live: set[MediaPort]) -> None:
    """Two legs together, again and again; either may go first."""
    chance = random.Random(number)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        a = SrtpPeer(media, Codec.OPUS, 48000) if number % 2 else SrtpPeer(media)
        b = SrtpPeer(media) if number % 3 else SrtpPeer(media, Codec.OPUS, 48000)
        live |= {a.port, b.port}
        for source, sink in ((a, b), (b, a)):
            media.connect(source.port, sink.port)
            media.relay_digits(source.port, sink.port)
        talkers = [asyncio.create_task(talk(peer, chance)) for peer in (a, b)]
        tones: list[MediaPort] = []
        for _ in range(chance.randrange(3, 15)):
            await asyncio.sleep(chance.uniform(0.01, 0.3))
            seen.append(media.stats(a.port).direct)
            await meddle(media, a, b, tones, chance)
        first, second = chance.sample([a, b], 2)
        media.close(first.port)
        await asyncio.sleep(chance.uniform(0, 0.1))
        for talker in talkers:
            talker.cancel()
        await asyncio.gather(*talkers, return_exceptions=True)
        for tone in tones:
            media.close(tone)
        first.close()
        second.close()
        live -= {a.port, b.port}


async def record(media: MediaEngine, folder: Path, number: int, closed: list[int]) -> None:
    """Recorders of all kinds, some of them gone at once."""
    chance = random.Random(number)
    until, opened = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        opened += 1
        ports = media.record(
            folder / f"{number}-{opened}.wav",
            stereo=chance.random() < 0.7,
            max_ms=chance.choice([0, 0, 20, 500]),
            silence_ms=chance.choice([0, 200]),
        )
        media.subscribe(
            ports.near, lambda e: closed.append(1) if isinstance(e, RecordClosed) else None
        )
        tones = [media.tone(400), media.tone(700)]
        media.connect(tones[0], ports.near)
        media.connect(tones[1], chance.choice([ports.near, ports.far]))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(chance.uniform(0, 0.15))
            change = chance.choice([media.record_pause, media.record_mute])
            change(chance.choice([ports.near, ports.far]), chance.random() < 0.5)
        leaving = [*tones, chance.choice([ports.near, ports.far])]
        chance.shuffle(leaving)
        for port in leaving:
            media.close(port)


async def capture(
    media: MediaEngine, folder: Path, number: int, live: set[MediaPort], done: list[Captured]
) -> None:
    """Captures of legs that come and go; some end by themselves."""
    chance = random.Random(number)
    until, opened = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        opened += 1
        held = media.packets.open(
            folder / f"{number}-{opened}.pcap",
            chance.choice([0.05, 5.0]),
            chance.choice([3000, 10_000_000]),
            chance.choice(list(Privacy)),
            done.append,
        )
        for _ in range(chance.randrange(1, 8)):
            for port in chance.sample(sorted(live), min(3, len(live))):
                media.packets.add(held, port)
            media.packets.add_message(
                held, time.monotonic(), ("127.0.0.1", 1), ("::1", chance.randrange(90)),
                b"x" * chance.randrange(9000), stream=chance.random() < 0.5,
            )  # fmt: skip
            media.packets.set_privacy(held, chance.choice(list(Privacy)))
            await asyncio.sleep(chance.uniform(0, 0.2))
        media.packets.close(held)
        await asyncio.sleep(chance.uniform(0, 0.3))


async def test_paths_may_change_at_any_time(
    media: MediaEngine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    seen: list[bool] = []
    closed: list[int] = []
    live: set[MediaPort] = set()
    done: list[Captured] = []
    captured = tmp_path_factory.mktemp("captured")
    await asyncio.gather(
        record(media, tmp_path, 0, closed),
        record(media, tmp_path, 1, closed),
        *(capture(media, captured, number, live, done) for number in range(3)),
        *(pair(media, number, seen, live) for number in range(PAIRS)),
    )
    assert 0 < sum(seen) < len(seen), "both paths were taken"
    assert media.port_count == 0
    files = names(tmp_path)
    assert len(files) > 20
    await until(lambda: len(closed) == len(files))
    await until(lambda: len(done) == len(list(captured.iterdir())))
    whole = [read_file(path.read_bytes()) for path in captured.iterdir()]
    assert sum(how.packets for how in done) == sum(map(len, whole)) > 500
