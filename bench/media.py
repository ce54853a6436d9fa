"""The audio of the bench: ready-made Opus packets, and the ear that times tones in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

RATE = 48_000  # Hz, of Opus timestamps (RFC 7587 4.1) and of all audio here
FRAME = RATE // 50  # samples of 20 ms
FRAME_MS = 20.0
SPEECH_SECONDS = 12
BURST_FRAMES = 25  # a tone starts every 500 ms
BURST_MS = 60
BURST_HZ = 1000
BURST_PEAK = 0.5
ONSET_LEVEL = 0.12  # of full scale; G.711 noise and codec tails stay far below
QUIET_MS = 150.0  # of quiet before an onset counts

# What Chromium's Opus encoder is set to for a given maxplaybackrate: (bit/s, audio bandwidth Hz).
BROWSER_OPUS = {8_000: (12_000, 4_000), 16_000: (20_000, 8_000), 48_000: (32_000, 20_000)}


def speech() -> Samples:
    """Something that costs a codec what speech costs: syllables, voiced and not, and pauses."""
    noise = np.random.default_rng(1)
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < SPEECH_SECONDS * RATE:
        length = int(noise.uniform(0.12, 0.3) * RATE)
        envelope = np.sin(np.pi * np.arange(length) / length) ** 0.5
        if noise.random() < 0.25:
            pieces.append(0.03 * envelope * noise.standard_normal(length))
        else:
            pieces.append(envelope * _vowel(noise, length))
        if noise.random() < 0.2:
            pieces.append(0.0005 * noise.standard_normal(int(noise.uniform(0.1, 0.4) * RATE)))
    return np.concatenate(pieces)[: SPEECH_SECONDS * RATE]


def _vowel(noise: np.random.Generator, length: int) -> Samples:
    """Harmonics of a gliding pitch under three formants."""
    pitch = noise.uniform(90, 190) * (1 + 0.1 * np.sin(np.linspace(0, np.pi, length)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [noise.uniform(300, 800), noise.uniform(900, 2200), noise.uniform(2300, 3200)]
    sound = np.zeros(length)
    for n in range(1, int(7000 / pitch.max())):
        hertz = n * pitch.mean()
        gain = sum(1 / (1 + ((hertz - f) / 120) ** 2) for f in formants) + 0.02
        sound += gain * np.sin(n * phase)
    return np.asarray(0.25 * sound / np.abs(sound).max())


def bursts() -> Samples:
    """One tone and its silence: 500 ms."""
    period = np.zeros(BURST_FRAMES * FRAME)
    tone = np.arange(BURST_MS * RATE // 1000)
    period[: len(tone)] = BURST_PEAK * np.sin(2 * np.pi * BURST_HZ * (tone + 0.5) / RATE)
    return period


def encode(samples: Samples, playback_rate: int) -> list[bytes]:
    """20 ms Opus packets as a browser makes them for an answer with this maxplaybackrate."""
    bitrate, bandwidth = BROWSER_OPUS[playback_rate]
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    encoder.bit_rate, encoder.time_base = bitrate, Fraction(1, RATE)
    encoder.options = {
        "application": "voip",
        "frame_duration": "20",
        "fec": "1",
        "cutoff": str(bandwidth),
    }
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    packets: list[bytes] = []
    for at in range(0, len(pcm) - FRAME + 1, FRAME):
        frame = av.AudioFrame.from_ndarray(pcm[None, at : at + FRAME], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, at
        packets.extend(map(bytes, encoder.encode(frame)))
    return packets


class Ear:
    """Decodes one stream and tells where tones begin."""

    def __init__(self) -> None:
        decoder = av.CodecContext.create("libopus", "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate, decoder.layout = RATE, "mono"
        self._decoder = decoder
        self._quiet = 0.0  # ms

    def listen(self, packet: bytes) -> float | None:
        """Milliseconds into this packet's audio at which a tone begins, or None."""
        heard: float | None = None
        for frame in self._decoder.decode(av.Packet(packet)):
            scale = 1 / 32768 if frame.format.name.startswith("s16") else 1.0
            onset = self._onset(scale * np.abs(frame.to_ndarray().reshape(-1).astype(np.float64)))
            heard = onset if heard is None else heard
        return heard

    def _onset(self, samples: Samples) -> float | None:
        length = len(samples) * 1000 / RATE
        loud = np.flatnonzero(samples >= ONSET_LEVEL)
        if not len(loud):
            self._quiet += length
            return None
        first = float(loud[0]) * 1000 / RATE
        begins = self._quiet + first >= QUIET_MS
        self._quiet = length - float(loud[-1]) * 1000 / RATE
        return first if begins else None


@dataclass
class Programme:
    """What a call sends, by the answer's maxplaybackrate. All calls share it."""

    playback_rate: int
    speech: list[bytes] = field(init=False)
    bursts: list[bytes] = field(init=False)
    own_lag_ms: float = field(init=False)

    def __post_init__(self) -> None:
        self.speech = encode(speech(), self.playback_rate)
        period = bursts()
        twenty = encode(np.tile(period, 20), self.playback_rate)
        # Skips the first periods, in which the encoder still settles.
        self.bursts = twenty[5 * BURST_FRAMES :][: 10 * BURST_FRAMES]
        self.own_lag_ms = float(np.median(list(self._lags())))

    def _lags(self) -> Iterator[float]:
        """How far behind a burst's first packet its tone begins in our own stream."""
        ear = Ear()
        for number, packet in enumerate(self.bursts * 2):
            onset = ear.listen(packet)
            if onset is not None:
                yield number % BURST_FRAMES * FRAME_MS + onset
