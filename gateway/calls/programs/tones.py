"""Owns tones that calls hear: made once, played as any audio."""

from __future__ import annotations

import numpy as np

from gateway.media.pcm import Pcm

_RATE = 8_000
_PEAK = 6_000


def tone(hertz: float, seconds: float, silence: float = 0.0) -> Pcm:
    """A sine of `seconds`, and `silence` behind it."""
    samples = np.zeros(int(_RATE * (seconds + silence)))
    at = np.arange(int(_RATE * seconds))
    samples[: len(at)] = _PEAK * np.sin(2 * np.pi * hertz * at / _RATE)
    return Pcm(samples.astype("<i2").tobytes(), _RATE)


BEEP = tone(1_000, 0.4)
"""Tells that a recording begins."""
