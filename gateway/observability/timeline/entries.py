"""Owns what a timeline is made of. Frozen values; times are seconds on the monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.clock import Instant
from gateway.events import LegAdded
from gateway.ids import CallId, LegId
from gateway.ports import PortStats
from gateway.storage.event_log import Envelope

Address = tuple[str, int]
"""IP address and port."""


@dataclass(frozen=True, slots=True)
class SipPacket:
    """A SIP message as it came in or left; `data` is its beginning if it was very long. It holds
    numbers and credentials: not for logs."""

    monotonic: float
    sent: bool
    transport: str  # "UDP"
    local: Address
    peer: Address
    data: bytes = field(repr=False)
    length: int  # of the whole message, bytes


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A SIP message that may be shown: credentials, keys and digits are blanked in `text`, without
    changing its length in bytes. `repr` shows no numbers."""

    at: float
    sent: bool
    transport: str
    local: Address
    peer: Address
    first_line: str = field(repr=False)
    call_id: str
    cseq: str  # "1 INVITE"
    text: str = field(repr=False)
    length: int  # of the whole message, bytes
    cut: bool  # `text` is its beginning only

    @property
    def size(self) -> int:
        """About how much memory it takes, bytes."""
        return 600 + len(self.text)


@dataclass(frozen=True, slots=True)
class SipSeen:
    """A SIP message of a leg."""

    at: float
    leg: LegId
    message: SipMessage


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the call. `at`: when it happened, which may be before it was told."""

    at: float
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class QualitySample:
    """Counters of a leg's port at one moment; see gateway.ports.PortStats."""

    at: float
    leg: LegId
    stats: PortStats


Entry = SipSeen | Happened | QualitySample


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known of one call, in order. `left_out`: entries that there was no room for."""

    call: CallId
    project: str
    created: Instant
    ended: bool
    legs: Mapping[LegId, LegAdded]
    entries: tuple[Entry, ...]
    left_out: int

    def offset_ms(self, at: float) -> float:
        """Milliseconds since call.created; below 0 for what led to the call."""
        return round((at - self.created.monotonic) * 1000, 3)

    def wall(self, at: float) -> datetime:
        """Wall time of a moment, from the call's beginning by the monotonic clock."""
        return self.created.wall + timedelta(seconds=at - self.created.monotonic)
