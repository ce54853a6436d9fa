"""Owns the E-model: what a listener would think of a leg's audio (ITU-T G.107). Pure."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import NamedTuple

R_DEFAULT = 93.2
"""R of a connection without impairments, all parameters at their defaults (G.107 7.7)."""
FRAMING_MS = 20.0
"""What filling a packet takes; every codec of the gateway sends so."""


class Codec(NamedTuple):
    """What a codec costs (G.107 7.5): `ie` without loss; `bpl`: how robust it is against loss."""

    ie: float
    bpl: float


CONCEALED = Codec(0.0, 25.1)
"""G.711 with concealment of losses, which PJMEDIA does (G.113 Appendix I, tables I.1 and I.4)."""
CODECS = MappingProxyType({"pcmu": CONCEALED, "pcma": CONCEALED})
"""Wideband codecs have no value on this scale (G.113 has G.722 on that of G.107.1 only, and no
Opus): they count as CONCEALED, which is no better than they are."""


def mos(codec: str, loss: float, delay_ms: float) -> float:
    """The mean opinion score, 1.0 to 4.5.

    Args:
        codec: as printed, `pcmu/8000`.
        loss: share of packets lost, 0.0 to 1.0, at random.
        delay_ms: one way, from mouth to ear.
    """
    known = CODECS.get(codec.partition("/")[0], CONCEALED)
    return round(score(R_DEFAULT - delay_impairment(delay_ms) - equipment(known, loss)), 2)


def heard(codec: str, received: int, lost: int, rtt_ms: float, jitter_ms: float) -> float | None:
    """The mean opinion score of what a leg's counters say came from it; None: nothing came."""
    if received <= 0:
        return None
    missing = max(lost, 0)
    return mos(codec, missing / (received + missing), one_way_ms(rtt_ms, jitter_ms))


def score(rating: float) -> float:
    """The mean opinion score of a transmission rating R (G.107 Annex B)."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    # Below 6.5 the cubic dips under the lowest score that anybody can give.
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)


def delay_impairment(delay_ms: float) -> float:
    """Idd: too long a delay where there is no echo (G.107 7.4, equations 7-27 and 7-28)."""
    if delay_ms <= 100:
        return 0.0
    x = math.log2(delay_ms / 100)
    return 25.0 * float((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)


def equipment(codec: Codec, loss: float) -> float:
    """Ie,eff: codec and lost packets together, for losses at random, BurstR 1 (G.107 7.5)."""
    percent = 100 * min(max(loss, 0.0), 1.0)
    return codec.ie + (95 - codec.ie) * percent / (percent + codec.bpl)


def one_way_ms(rtt_ms: float, jitter_ms: float) -> float:
    """An estimate of the delay from mouth to ear: half the round trip, a packet, and a jitter
    buffer of twice the jitter (RFC 3550 6.4.1)."""
    return rtt_ms / 2 + FRAMING_MS + 2 * jitter_ms
