"""Owns the timeline of a call over HTTP, and its ladder."""

from __future__ import annotations

import enum
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from gateway.api.operations import Answer, Asked, Operation, Request
from gateway.config.identity import Scope
from gateway.ids import CallId
from gateway.observability.timeline import (
    Entry,
    QualitySample,
    SipSeen,
    Timeline,
    Timelines,
    ladder,
)
from gateway.ports import LegKind
from gateway.storage.event_log import encode

PATH = "/v1/calls/{call}"
TAG = "calls"
MERMAID = "text/vnd.mermaid"
_PLACE = frozenset({"sequence", "call", "time", "type"})


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


class TimelineEndpoint:
    """The operations. An identity sees the calls of its project, and no others."""

    def __init__(self, timelines: Timelines) -> None:
        self._timelines = timelines

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation(
                "GET", PATH + "/timeline", "getTimeline", "All that happened in a call", TAG,
                Scope.CALLS_READ, self.show, query=TimelineQuery, answer=CallTimeline,
            ),
            Operation(
                "GET", PATH + "/ladder", "getLadder", "A call's SIP messages as a diagram", TAG,
                Scope.CALLS_READ, self.draw, media=MERMAID,
            ),
        ]  # fmt: skip

    async def show(self, asked: Asked) -> CallTimeline:
        """SIP messages, events and quality of a live call, or of one that ended a while ago, on one
        clock. It holds numbers and digits, but none of a secure gather."""
        wanted: TimelineQuery = asked.query
        timeline = self._of(asked)
        entries = [_entry(timeline, entry) for entry in timeline.entries]
        return CallTimeline(
            call=timeline.call,
            created_at=timeline.created.wall,
            ended=timeline.ended,
            legs=[
                TimelineLeg(id=leg, role=added.role, kind=added.kind, trunk=added.trunk)
                for leg, added in timeline.legs.items()
            ],
            left_out=timeline.left_out,
            entries=[entry for entry in entries if entry.kind in wanted.kind],
        )

    async def draw(self, asked: Asked) -> web.StreamResponse:
        """A Mermaid sequence diagram of the SIP messages of all its legs, and of what became of ICE
        and DTLS at browsers."""
        return web.Response(
            text=ladder(self._of(asked)),
            content_type=MERMAID,
            headers={"Cache-Control": "no-store"},
        )

    def _of(self, asked: Asked) -> Timeline:
        return self._timelines.of(CallId(asked.path["call"]), asked.project)


def _entry(timeline: Timeline, entry: Entry) -> SipEntry | EventEntry | QualityEntry:
    at_ms, time = timeline.offset_ms(entry.at), timeline.wall(entry.at)
    if isinstance(entry, SipSeen):
        message = entry.message
        return SipEntry(
            at_ms=at_ms,
            time=time,
            leg=entry.leg,
            direction="sent" if message.sent else "received",
            transport=message.transport,
            local=_written(*message.local),
            peer=_written(*message.peer),
            first_line=message.first_line,
            call_id=message.call_id,
            cseq=message.cseq,
            text=message.text,
            length=message.length,
            cut=message.cut,
        )
    if isinstance(entry, QualitySample):
        return QualityEntry(at_ms=at_ms, time=time, leg=entry.leg, **asdict(entry.stats))
    told = encode(entry.envelope)
    return EventEntry(
        at_ms=at_ms,
        time=time,
        sequence=entry.envelope.sequence,
        type=entry.envelope.event.name,
        data={name: value for name, value in told.items() if name not in _PLACE},
    )


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
