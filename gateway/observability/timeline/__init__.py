"""What happened in one call, on one clock: SIP messages, events, quality; in memory, bounded."""

from gateway.observability.timeline.entries import (
    Entry,
    Happened,
    QualitySample,
    SipMessage,
    SipPacket,
    SipSeen,
    Timeline,
)
from gateway.observability.timeline.ladder import ladder
from gateway.observability.timeline.sampling import LivePort, QualitySampler
from gateway.observability.timeline.store import Timelines

__all__ = [
    "Entry",
    "Happened",
    "LivePort",
    "QualitySample",
    "QualitySampler",
    "SipMessage",
    "SipPacket",
    "SipSeen",
    "Timeline",
    "Timelines",
    "ladder",
]
