"""Owns the models of a call's timeline."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.contract.base import Answer, Request
from gateway.ports import LegKind


class Kind(enum.StrEnum):
    """What an entry is."""

    SIP = "sip"
    EVENT = "event"
    QUALITY = "quality"


class TimelineQuery(Request):
    """Which part of a timeline."""

    kind: list[Kind] = Field(
        default=list(Kind), max_length=3, description="Entries of these kinds."
    )


class _Entry(Answer):
    at_ms: float = Field(
        description="Milliseconds since `call.created` on the monotonic clock; below 0 for what "
        "led to the call."
    )
    time: datetime = Field(description="The same moment as wall time.")


class SipEntry(_Entry):
    """A SIP message of one of the call's legs, as it was on the wire. Responses to digest
    challenges, media keys and digits are blanked by `x`."""

    kind: Literal[Kind.SIP] = Kind.SIP
    leg: str
    direction: Literal["sent", "received"]
    transport: str = Field(description="`UDP`, `TCP` or `TLS`.")
    local: str = Field(description="Our address and port.")
    peer: str
    first_line: str
    call_id: str = Field(description="SIP's Call-ID.")
    cseq: str
    text: str
    length: int = Field(description="Bytes of the whole message.")
    cut: bool = Field(description="`text` is its beginning only.")


class EventEntry(_Entry):
    """An event of the call: its states, ICE and DTLS (`leg.transport`), digits, verbs."""

    kind: Literal[Kind.EVENT] = Kind.EVENT
    sequence: int = Field(description="Its place among all events of the node.")
    type: str
    data: dict[str, Any] = Field(description="The event's own fields.")


class QualityEntry(_Entry):
    """Counters of a leg's audio since its beginning, once per second (RFC 3550 6.4.1)."""

    kind: Literal[Kind.QUALITY] = Kind.QUALITY
    leg: str
    rx_packets: int = Field(description="Heard from the far end.")
    rx_lost: int
    tx_packets: int
    remote_lost: int = Field(description="What the far end says it missed.")
    jitter_ms: float
    rtt_ms: float
    rejected_source: int = Field(description="Datagrams from an address that is not the peer's.")
    srtp_failures: int
    malformed: int
    dtmf_received: int
    dtmf_sent: int
    direct: bool = Field(description="Its audio goes to the other leg without passing the bridge.")


class TimelineLeg(Answer):
    """One side of the call."""

    id: str
    role: str
    kind: LegKind
    trunk: str | None


class CallTimeline(Answer):
    """All that is known of a call, in order."""

    call: str
    created_at: datetime
    ended: bool
    legs: list[TimelineLeg]
    left_out: int = Field(description="Entries that there was no room for.")
    entries: list[Annotated[SipEntry | EventEntry | QualityEntry, Field(discriminator="kind")]]
