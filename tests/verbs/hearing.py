"""Owns listening: which of the tests' tones an end of a call hears now."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.legs.webrtc.peer import HeardFrame
from tests.support.processes import wait_until

TONES = (350, 425, 440, 600, 880, 1000, 1300, 1700, 2100)
"""All that tests play, and the gateway's ringing (425 Hz); each 70 Hz and more from the next, but
for 425 and 440, which no test tells apart."""
LOUD = 300.0
"""Amplitude (of 32767) of a tone that is there; the tests' own have 8000."""
SPEECH = 2_000
"""Sample value that speech reaches and silence does not."""
LOOK = 0.4
"""Seconds of audio in one look."""
PATIENCE = 15.0
_FRAME = 0.02


class Ears(Protocol):
    """An end of a call that keeps what it hears, packet by packet."""

    @property
    def heard(self) -> Sequence[HeardFrame]:
        """Audio in order of arrival."""
        ...

    @property
    def sample_rate(self) -> int:
        """Of that audio, Hz."""
        ...


def audio(ears: Ears, since: float, until: float = float("inf")) -> NDArray[np.float64]:
    """What arrived between two moments (CLOCK_MONOTONIC seconds), 16-bit samples."""
    frames = [frame.pcm for frame in ears.heard if since < frame.arrived <= until]
    return np.frombuffer(b"".join(frames), "<i2").astype(np.float64)


def amplitude(samples: NDArray[np.float64], rate: int, hz: float) -> float:
    """Of a tone of `hz` (within 10 Hz) among the samples."""
    if not len(samples):
        return 0.0
    window = np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window)) * 2 / window.sum()
    width = rate / len(samples)
    first, last = int((hz - 10) / width), int((hz + 10) / width) + 2
    return float(spectrum[first:last].max())


def tones_in(samples: NDArray[np.float64], rate: int) -> frozenset[int]:
    """Which of TONES are in the samples."""
    levels = {hz: amplitude(samples, rate, hz) for hz in TONES}
    if levels[425] > LOUD and levels[440] > LOUD:  # one of them, and its skirt
        levels[425 if levels[425] < levels[440] else 440] = 0.0
    return frozenset(hz for hz, level in levels.items() if level > LOUD)


def tones_now(ears: Ears) -> frozenset[int] | None:
    """Which of TONES it hears; None: audio comes with gaps, or not at all."""
    samples = audio(ears, time.monotonic() - LOOK)
    if len(samples) < 0.8 * LOOK * ears.sample_rate:
        return None
    return tones_in(samples, ears.sample_rate)


async def hears(ears: Ears, *tones: int, within: float = PATIENCE) -> None:
    """Waits until it hears these tones and no other; none: until it hears RTP of none."""
    wanted = frozenset(tones)
    seen: list[frozenset[int] | None] = []

    def as_wanted() -> bool:
        now = tones_now(ears)
        if not seen or seen[-1] != now:
            seen.append(now)
        return now == wanted

    try:
        await wait_until(as_wanted, within, f"hears {sorted(wanted)}")
    except AssertionError as error:
        told = [None if each is None else sorted(each) for each in seen]
        raise AssertionError(f"{error}; heard {told}") from None


def loudest(ears: Ears, since: float, until: float = float("inf")) -> int:
    """Peak of what arrived between two moments."""
    samples = audio(ears, since, until)
    return int(np.abs(samples).max()) if len(samples) else 0


async def falls_silent(ears: Ears, quiet: float = 0.5, within: float = PATIENCE) -> float:
    """Waits for `quiet` seconds without a loud sample, with RTP going on; the moment when the
    last loud one arrived (CLOCK_MONOTONIC seconds)."""

    def silent() -> bool:
        samples = audio(ears, time.monotonic() - quiet)
        going_on = len(samples) > 0.8 * quiet * ears.sample_rate
        return going_on and bool(np.abs(samples).max() < SPEECH / 4)

    await wait_until(silent, within, "silence")
    return max((f.arrived for f in ears.heard if _peak(f) > SPEECH / 4), default=0.0)


def _peak(frame: HeardFrame) -> int:
    samples = np.frombuffer(frame.pcm, "<i2").astype(np.int32)
    return int(np.abs(samples).max()) if len(samples) else 0


def seconds_of(ears: Ears, hz: int, since: float) -> float:
    """For how long it has heard a tone since then, to 20 ms for each beginning and end."""
    rate, heard = ears.sample_rate, 0
    samples = audio(ears, since)
    step = int(0.04 * rate)  # 40 ms tell tones 70 Hz apart only roughly: loud ones count
    for at in range(0, len(samples) - step + 1, step):
        heard += amplitude(samples[at : at + step], rate, hz) > 1_500
    return heard * 2 * _FRAME


def digits_of(found: Iterable[object]) -> str:
    """The digits of what an end received."""
    return "".join(getattr(each, "digit") for each in found)  # noqa: B009 - two kinds of them
