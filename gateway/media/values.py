"""Values that cross between legs and the media plane."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from gateway.terms import CaptureEnd, Codec


class Direction(enum.Enum):
    """Media direction as seen from the gateway (RFC 3264 5.1)."""

    INACTIVE = 0
    RECVONLY = 1
    SENDONLY = 2
    SENDRECV = 3


@dataclass(frozen=True, slots=True)
class WebRtcParams:
    """What was negotiated for a WebRTC leg.

    event_mask: bit n is set when the peer takes RFC 4733 event n. srtp_profile: RFC 5764 4.1.2
    number. Keys are master key then salt.
    """

    codec: Codec
    payload_type: int
    event_payload_type: int | None
    event_clock_rate: int
    event_mask: int
    ssrc: int
    srtp_profile: int
    tx_key: bytes = field(repr=False)
    rx_key: bytes = field(repr=False)
    opus_complexity: int = 1
    opus_bitrate: int = 24000
    rtp_timeout_ms: int = 0
    cname: str = "gateway"


@dataclass(frozen=True, slots=True)
class ClockStats:
    """How punctual the bridge's clock is."""

    ticks: int
    late_ticks: int
    skipped_ticks: int
    max_late_ms: float
    mean_late_ms: float


PacketCapture = int
"""Handle of a capture (> 0); no port has it."""


class Privacy(enum.IntEnum):
    """What a capture leaves out."""

    NOTHING = 0
    DIGITS = 1  # which digit a telephone-event is
    AUDIO = 2  # everything behind the RTP header


@dataclass(frozen=True, slots=True)
class Captured:
    """A capture's file is complete."""

    reason: CaptureEnd
    packets: int
    lost: int  # packets that there was no room or no time for
