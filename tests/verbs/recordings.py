"""Owns looking into recordings: their channels, and what is on each from when to when."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.verbs.hearing import SPEECH, tones_in

RATE = 16_000
_LOOK = 0.1  # seconds

Channel = NDArray[np.float64]
"""16-bit samples at RATE."""


def channels_of(file: Path) -> tuple[Channel, ...]:
    """Decodes a recording."""
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
    pieces: list[NDArray[np.int16]] = []
    with av.open(str(file)) as container:
        for frame in container.decode(audio=0):
            pieces += [
                np.asarray(piece.to_ndarray(), np.int16).reshape(-1, 2)
                for piece in resampler.resample(frame)
            ]
    samples = np.concatenate(pieces).astype(np.float64)
    return samples[:, 0], samples[:, 1]


def seconds_of_file(file: Path) -> float:
    """How long it is."""
    return len(channels_of(file)[0]) / RATE


def stretches(channel: Channel) -> list[str]:
    """What comes one after another: `600 Hz`, `silence`, `speech`; what lasts for less than 0.3 s
    is an edge, and left out."""
    step = int(_LOOK * RATE)
    starts = range(0, len(channel) - step + 1, step)
    looks = [_called(channel[at : at + step]) for at in starts]
    found: list[str] = []
    for n in range(2, len(looks)):
        if looks[n - 2] == looks[n - 1] == looks[n] and found[-1:] != [looks[n]]:
            found.append(looks[n])
    return found


def _called(part: Channel) -> str:
    tones = sorted(tones_in(part, RATE))
    if tones:
        return " + ".join(f"{hz} Hz" for hz in tones)
    return "silence" if np.abs(part).max() < SPEECH / 4 else "speech"
