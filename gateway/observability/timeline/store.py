"""Owns the timelines of a node's calls: fed by the event log, the SIP trace and quality samples.

Memory is bounded per call and for the node. Calls that are over stay for a while; when room is
short the oldest of them goes first, and when none is left, SIP messages are left out and counted.
Belongs to the asyncio thread.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.clock import Clock, Instant
from gateway.config.timeline import TimelineConfig
from gateway.errors import NOT_FOUND, GatewayError
from gateway.events import CallCreated, CallEnded, LegAdded, LegDialog, LegTransport
from gateway.ids import CallId, LegId
from gateway.observability.timeline import masking
from gateway.observability.timeline.entries import (
    Entry,
    Happened,
    QualitySample,
    SipMessage,
    SipPacket,
    SipSeen,
    Timeline,
)
from gateway.observability.timeline.keeping import Kept, Samples
from gateway.ports import PortStats
from gateway.storage.event_log import Envelope, EventLog, EventsLost

_log = structlog.get_logger(__name__)

QUEUE = 10_000  # events that wait to be read
MAX_MESSAGES, MAX_MESSAGE_BYTES, FIRST_MESSAGES = 200, 256 * 1024, 40
MAX_EVENTS, EVENT_BYTES, FIRST_EVENTS = 1_000, 600, 100
MAX_STRAYS, MAX_STRAY_MESSAGES, MAX_STRAY_BYTES = 256, 16, 1024 * 1024
"""Dialogs, messages of each, and bytes of all, that belong to no call: not yet, or never."""
_STRAY = 400  # bytes that a message takes besides its own


@dataclass(slots=True)
class _Record:
    """What is kept of one call."""

    id: CallId
    project: str
    created: Instant
    events: Kept[Happened] = field(
        default_factory=lambda: Kept(
            MAX_EVENTS, MAX_EVENTS * EVENT_BYTES, FIRST_EVENTS, lambda _: EVENT_BYTES
        )
    )
    messages: Kept[SipSeen] = field(
        default_factory=lambda: Kept(
            MAX_MESSAGES, MAX_MESSAGE_BYTES, FIRST_MESSAGES, lambda seen: seen.message.size
        )
    )
    samples: dict[LegId, Samples] = field(default_factory=dict)
    legs: dict[LegId, LegAdded] = field(default_factory=dict)
    dialogs: set[str] = field(default_factory=set)
    no_room: int = 0
    ended: float | None = None

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        samples = sum(each.bytes for each in self.samples.values())
        return self.events.bytes + self.messages.bytes + samples


class Timelines:
    """The timelines of one node."""

    def __init__(self, log: EventLog, clock: Clock, config: TimelineConfig) -> None:
        self._log = log
        self._clock = clock
        self._keep = config.keep_minutes * 60.0
        self._most_bytes = config.memory_mb * 1024 * 1024
        self._records: dict[CallId, _Record] = {}
        self._over: OrderedDict[CallId, None] = OrderedDict()  # in the order of their ends
        self._dialogs: dict[str, tuple[CallId, LegId] | None] = {}  # None: two calls claim it
        self._strays: OrderedDict[str, list[SipPacket]] = OrderedDict()
        self._stray_bytes = 0
        self._bytes = 0
        self._reading: asyncio.Task[None] | None = None
        # Told of each message that finds its call.
        self.on_message: Callable[[CallId, SipMessage], None] | None = None

    # ---- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Reads the log from now on."""
        subscription = self._log.subscribe(capacity=QUEUE)

        async def read() -> None:
            async with subscription:
                async for item in subscription:
                    self._on_item(item)

        self._reading = asyncio.create_task(read(), name="timelines")

    async def close(self) -> None:
        """Reads no more; what is kept can still be asked for."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    # ---- what comes in ----------------------------------------------------------------------

    def _on_item(self, item: Envelope | EventsLost) -> None:
        if isinstance(item, EventsLost):
            _log.warning("timeline.events_lost", first=item.first, last=item.last)
            return
        self.note(item)

    def note(self, envelope: Envelope) -> None:
        """An event; they come in order."""
        event = envelope.event
        if isinstance(event, CallCreated):
            created = _Record(envelope.call, event.project, envelope.at)
            self._records.setdefault(envelope.call, created)
        record = self._records.get(envelope.call)
        if record is None:
            return  # its beginning was lost, and with it whose it is
        with _Measured(self, record):
            record.events.add(Happened(_moment(envelope), envelope))
        match event:
            case LegAdded(leg):
                record.legs[leg] = event
            case LegDialog(leg, sip_call_id):
                self._claim(record, leg, sip_call_id)
            case CallEnded():
                record.ended = envelope.at.monotonic
                self._over[record.id] = None
            case _:
                pass
        self._make_room()

    def sip(self, packet: SipPacket) -> None:
        """A SIP message; it finds its call by its Call-ID, now or when a leg claims that."""
        sip_call_id = masking.sip_call_id(packet)
        if sip_call_id not in self._dialogs:
            if sip_call_id:
                self._add_stray(sip_call_id, packet)
            return
        owner = self._dialogs[sip_call_id]
        if owner is not None:
            self._add_message(self._records[owner[0]], owner[1], masking.shown(packet))

    def sample(self, call: CallId, leg: LegId, at: float, stats: PortStats) -> None:
        """Counters of a leg at a moment (monotonic seconds)."""
        record = self._records.get(call)
        if record is not None:
            with _Measured(self, record):
                record.samples.setdefault(leg, Samples()).add(at, stats)

    def tick(self) -> None:
        """Time passes: calls that have been over for long enough are forgotten."""
        now = self._clock.now().monotonic
        while self._over:
            ended = self._records[next(iter(self._over))].ended
            assert ended is not None
            if now - ended < self._keep:
                break
            self._forget_oldest()

    # ---- SIP dialogs ------------------------------------------------------------------------

    def _claim(self, record: _Record, leg: LegId, sip_call_id: str) -> None:
        """A dialog belongs to a leg. Where two live calls claim the same Call-ID, none of them gets
        its messages any more: they might be of different projects."""
        record.dialogs.add(sip_call_id)
        if sip_call_id in self._dialogs:
            owner = self._dialogs[sip_call_id]
            if owner is None or self._records[owner[0]].ended is None:
                self._dialogs[sip_call_id] = None
                return
        self._dialogs[sip_call_id] = (record.id, leg)
        for packet in self._take_strays(sip_call_id):
            self._add_message(record, leg, masking.shown(packet))

    def _add_message(self, record: _Record, leg: LegId, message: SipMessage) -> None:
        if self.on_message is not None:
            self.on_message(record.id, message)
        if self._bytes + message.size > self._most_bytes and not self._over:
            record.no_room += 1
            return
        with _Measured(self, record):
            record.messages.add(SipSeen(message.at, leg, message))
        self._make_room()

    def _add_stray(self, sip_call_id: str, packet: SipPacket) -> None:
        # Nobody sees it as it is: what no leg claims, such as a scanner's, is never even read.
        waiting = self._strays.setdefault(sip_call_id, [])
        if len(waiting) < MAX_STRAY_MESSAGES:
            waiting.append(packet)
            self._stray_bytes += _STRAY + len(packet.data)
        while len(self._strays) > MAX_STRAYS or self._stray_bytes > MAX_STRAY_BYTES:
            self._take_strays(next(iter(self._strays)))

    def _take_strays(self, sip_call_id: str) -> list[SipPacket]:
        taken = self._strays.pop(sip_call_id, [])
        self._stray_bytes -= sum(_STRAY + len(packet.data) for packet in taken)
        return taken

    # ---- room -------------------------------------------------------------------------------

    def _make_room(self) -> None:
        while self._bytes > self._most_bytes and self._over:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        call, _ = self._over.popitem(last=False)
        record = self._records.pop(call)
        self._bytes -= record.bytes
        for sip_call_id in record.dialogs:
            owner = self._dialogs.get(sip_call_id)
            if owner is None or owner[0] == call:
                self._dialogs.pop(sip_call_id, None)

    @property
    def bytes(self) -> int:
        """About how much memory the timelines take."""
        return self._bytes + self._stray_bytes

    def __len__(self) -> int:
        return len(self._records)

    def is_live(self, call: CallId) -> bool:
        """Whether a call is known, and not over."""
        record = self._records.get(call)
        return record is not None and record.ended is None

    # ---- what is known ----------------------------------------------------------------------

    def of(self, call: CallId, project: str) -> Timeline:
        """A call's timeline. Raises GatewayError(NOT_FOUND): there is no such call in the project,
        or it is not kept any more."""
        record = self._records.get(call)
        if record is None or record.project != project:
            raise GatewayError(NOT_FOUND, "No such call, or it has been over for too long")
        entries: list[Entry] = [*record.events, *record.messages]
        for leg, samples in record.samples.items():
            entries += [QualitySample(at, leg, stats) for at, stats in samples]
        entries.sort(key=lambda entry: entry.at)
        return Timeline(
            call=call,
            project=record.project,
            created=record.created,
            ended=record.ended is not None,
            legs=dict(record.legs),
            entries=tuple(entries),
            left_out=record.events.left_out + record.messages.left_out + record.no_room,
        )


class _Measured:
    """Keeps the node's count of bytes true while a record changes."""

    def __init__(self, timelines: Timelines, record: _Record) -> None:
        self._timelines = timelines
        self._record = record
        self._before = 0

    def __enter__(self) -> None:
        self._before = self._record.bytes

    def __exit__(self, *_: object) -> None:
        self._timelines._bytes += self._record.bytes - self._before


def _moment(envelope: Envelope) -> float:
    """When an event happened, by the monotonic clock."""
    event = envelope.event
    return event.monotonic if isinstance(event, LegTransport) else envelope.at.monotonic
