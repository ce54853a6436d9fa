"""Steady tones in audio: makes them, and finds their frequency and level in PCM."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
"""Mono audio; full scale is 1.0."""

WINDOW = 0.2  # seconds of one look
SILENCE_DB = -120.0
FIRST_BIN_HZ = 40  # below this is offset and hum, no tone of ours


@dataclass(frozen=True, slots=True)
class Audio:
    """Mono audio with its rate in Hz."""

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate

    def part(self, start: float, end: float | None = None) -> Audio:
        """From `start` to `end` seconds; negative counts from the end."""
        first = int(start * self.rate)
        return Audio(self.samples[first : None if end is None else int(end * self.rate)], self.rate)


@dataclass(frozen=True, slots=True)
class Heard:
    """The strongest component of a stretch of audio.

    level_db: RMS of that component alone relative to full scale (a full-scale sine: -3.01);
    total_db: RMS of everything.
    """

    hz: float
    level_db: float
    total_db: float


def decibels(rms: float) -> float:
    """An RMS value relative to full scale, in dB; silence is -120."""
    return max(SILENCE_DB, 20 * float(np.log10(max(rms, 1e-12))))


def sine(hz: float, level_db: float, seconds: float, rate: int = 48_000) -> Audio:
    """A sine whose RMS is `level_db` relative to full scale."""
    peak = 10 ** (level_db / 20) * np.sqrt(2)
    times = np.arange(int(seconds * rate)) / rate
    return Audio(peak * np.sin(2 * np.pi * hz * times), rate)


def strongest(audio: Audio) -> Heard:
    """The strongest component of `audio` (up to a few seconds; Hann window)."""
    samples = audio.samples
    total = decibels(float(np.sqrt(np.mean(samples**2)))) if len(samples) else SILENCE_DB
    if len(samples) < 64:
        return Heard(0.0, SILENCE_DB, total)
    window = np.hanning(len(samples))
    power = np.abs(np.fft.rfft(samples * window)) ** 2
    width = audio.rate / len(samples)
    power[: int(FIRST_BIN_HZ / width) + 1] = 0
    peak = int(np.argmax(power))
    # A sine spreads over the bins of the window's main lobe: their power is the sine's.
    lobe = slice(max(0, peak - 3), peak + 4)
    energy = float(power[lobe].sum())
    if energy == 0:
        return Heard(0.0, SILENCE_DB, total)
    hz = float((np.arange(len(power))[lobe] * power[lobe]).sum()) / energy * width
    rms = np.sqrt(2 * energy / (len(samples) * float((window**2).sum())))
    return Heard(hz, decibels(float(rms)), total)


def windows(audio: Audio, seconds: float = WINDOW) -> list[Heard]:
    """What is heard in each whole window of `seconds`."""
    step = int(seconds * audio.rate)
    return [
        strongest(Audio(audio.samples[at : at + step], audio.rate))
        for at in range(0, len(audio.samples) - step + 1, step)
    ]


def tone_share(
    audio: Audio, hz: float, level_db: float, within_hz: float, within_db: float
) -> float:
    """The share of windows (0..1) in which the strongest component is that tone."""
    looks = windows(audio)
    good = [
        look
        for look in looks
        if abs(look.hz - hz) <= within_hz and abs(look.level_db - level_db) <= within_db
    ]
    return len(good) / len(looks) if looks else 0.0


def assert_tone(
    audio: Audio,
    hz: float,
    level_db: float,
    *,
    within_hz: float = 6.0,
    within_db: float = 3.0,
    share: float = 0.9,
    where: str = "",
) -> None:
    """Asserts that a tone of `hz` at `level_db` (RMS dBFS) is heard in `share` of the windows."""
    got = tone_share(audio, hz, level_db, within_hz, within_db)
    assert got >= share, (
        f"{where or 'audio'}: a tone of {hz:g} Hz at {level_db:.1f} dBFS in {got:.0%} of "
        f"{audio.seconds:.1f} s, asked for {share:.0%}; heard:\n{describe(audio)}"
    )


def assert_silence(audio: Audio, below_db: float = -50.0, *, where: str = "") -> None:
    """Asserts that no window is louder than `below_db` (RMS dBFS)."""
    loudest = max((look.total_db for look in windows(audio)), default=SILENCE_DB)
    assert loudest < below_db, (
        f"{where or 'audio'}: {loudest:.1f} dBFS, asked for silence below {below_db:g}; heard:\n"
        f"{describe(audio)}"
    )


def describe(audio: Audio) -> str:
    """One line for each window: when, which frequency, how loud."""
    lines: Sequence[str] = [
        f"  {n * WINDOW:5.1f} s  {look.hz:7.1f} Hz  {look.level_db:6.1f} dB  "
        f"(all: {look.total_db:6.1f} dB)"
        for n, look in enumerate(windows(audio))
    ]
    return "\n".join(lines) or "  nothing"


def write_wav(path: Path, audio: Audio) -> Path:
    """Writes 16-bit mono PCM; returns `path`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((np.clip(audio.samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> Audio:
    """Reads 16-bit PCM, also while it is still being written; channels are averaged."""
    data = path.read_bytes()
    at = data.find(b"data")
    assert data[:4] == b"RIFF", f"{path} is not a WAV file"
    assert at > 0, f"{path} has no audio yet"
    fmt = data.find(b"fmt ") + 8
    channels = int.from_bytes(data[fmt + 2 : fmt + 4], "little")
    rate = int.from_bytes(data[fmt + 4 : fmt + 8], "little")
    body = data[at + 8 :]
    whole = len(body) // (2 * channels) * 2 * channels
    samples = np.frombuffer(body[:whole], "<i2").astype(np.float64) / 32768
    return Audio(samples.reshape(-1, channels).mean(axis=1), rate)


def decode(media: bytes, rate: int = 48_000) -> Audio:
    """Decodes a recording in any container (MediaRecorder's WebM or Ogg); nothing is silence."""
    if not media:
        return Audio(np.zeros(0), rate)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    pieces: list[Samples] = []
    with av.open(io.BytesIO(media), "r") as container:
        for frame in container.decode(audio=0):
            pieces.extend(
                piece.to_ndarray().reshape(-1).astype(np.float64) / 32768
                for piece in resampler.resample(frame)
            )
    return Audio(np.concatenate(pieces) if pieces else np.zeros(0), rate)


def from_ulaw(payload: bytes) -> Audio:
    """G.711 mu-law at 8 kHz (ITU-T G.711; RFC 3551 4.5.14)."""
    codes = ~np.frombuffer(payload, np.uint8)
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    magnitude = ((mantissa.astype(np.int32) << 3) + 132 << exponent) - 132
    samples = np.where(codes & 0x80, -magnitude, magnitude)
    return Audio(samples.astype(np.float64) / 32768, 8000)
