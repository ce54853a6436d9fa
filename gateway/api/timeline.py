"""Owns the timeline of a call over HTTP, and its ladder."""

from __future__ import annotations

from aiohttp import web

from gateway.api.operations import Asked, Operation
from gateway.config.identity import Scope
from gateway.contract.timeline import (
    CallTimeline,
    EventEntry,
    QualityEntry,
    SipEntry,
    TimelineLeg,
    TimelineQuery,
)
from gateway.ids import CallId
from gateway.observability.timeline import (
    Entry,
    QualitySample,
    SipSeen,
    Timeline,
    Timelines,
    ladder,
)
from gateway.storage.event_log import encode

PATH = "/v1/calls/{call}"
TAG = "calls"
MERMAID = "text/vnd.mermaid"
_PLACE = frozenset({"sequence", "call", "time", "type"})


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
        return QualityEntry(at_ms=at_ms, time=time, leg=entry.leg, **entry.stats._asdict())
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
