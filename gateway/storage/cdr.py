"""Owns what a call detail record says, and how it follows from the call's events. Pure.

Digits are counted and never kept. Moments are wall time; durations are measured on the monotonic
clock, so that a clock that is set during a call changes none. Records are named tuples, because a
page of them makes hundreds, and frozen dataclasses take five times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from gateway.clock import Instant
from gateway.errors import INTERRUPTED, Blame, Verdict
from gateway.events import (
    CallAnswered,
    CallCreated,
    CallEnded,
    CallRinging,
    CallRouted,
    DigitReceived,
    DigitSent,
    LegAdded,
    LegGone,
    LegQuality,
    MediaPathChanged,
    ProgramStarted,
    RecordingStarted,
    Role,
)
from gateway.ids import CallId, LegId
from gateway.ports import LegKind, PortStats
from gateway.storage import quality
from gateway.storage.event_log import Envelope
from gateway.terms import CdrState, Party


class Quality(NamedTuple):
    """A leg's audio; see LegQuality. `mos` is what the gateway heard, 1.0 to 4.5 (quality.py);
    None: it heard nothing."""

    codec: str
    rx_packets: int
    rx_lost: int
    tx_packets: int
    remote_lost: int
    jitter_ms: float
    rtt_ms: float
    mos: float | None


class LegCdr(NamedTuple):
    """One leg of a call. `talk_ms` counts from its answer; `number` is a user's name for browsers,
    None where it is not to be kept."""

    id: LegId
    role: Role
    kind: LegKind
    trunk: str | None
    number: str | None
    created_at: datetime
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int = 0
    talk_ms: int = 0
    code: str | None = None
    sip_status: int | None = None
    q850: int | None = None
    blame: Blame | None = None
    by_peer: bool | None = None
    dtmf_received: int = 0
    dtmf_sent: int = 0
    quality: Quality | None = None

    def __repr__(self) -> str:
        return f"LegCdr({self.id})"  # what is printed has no numbers


class Cdr(NamedTuple):
    """One call. Where it lives, or was interrupted, durations run to the last that was written.

    incomplete: some of its events were missed.
    """

    id: CallId
    created_at: datetime
    project: str = "default"
    state: CdrState = CdrState.LIVE
    context: str = ""
    caller: str | None = None
    callee: str | None = None
    trunk: str | None = None
    rule: str | None = None
    program: str | None = None
    path: str | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int = 0
    talk_ms: int = 0
    code: str | None = None
    sip_status: int | None = None
    q850: int | None = None
    blame: Blame | None = None
    text: str | None = None
    hung_up_by: Party | None = None
    dtmf_received: int = 0
    dtmf_sent: int = 0
    recorded: bool = False
    incomplete: bool = False
    legs: tuple[LegCdr, ...] = ()

    def __repr__(self) -> str:
        return f"Cdr({self.id})"  # what is printed has no numbers; `text` may quote one


@dataclass(frozen=True, slots=True)
class Numbers:
    """How numbers and users' names are kept."""

    shown: Callable[[str], str | None]
    text: bool = True  # whether what a verdict says is kept: peers write numbers into it


def masked(number: str) -> str:
    """A number without its end: `+1415555xxxx`. Of short ones, and of names, half is left."""
    hidden = 4 if len(number) > 7 else -(-len(number) // 2)
    return number[: len(number) - hidden] + "x" * hidden


KEEP = Numbers(lambda number: number)
MASK = Numbers(masked, text=False)
DROP = Numbers(lambda _number: None, text=False)


def fold(envelopes: Iterable[Envelope], numbers: Numbers = KEEP) -> Cdr:
    """The record of a call from its events, in order. Raises ValueError: there are none."""
    found: CdrFold | None = None
    for envelope in envelopes:
        if found is None:
            found = CdrFold(envelope, numbers)
        else:
            found.apply(envelope)
    if found is None:
        raise ValueError("no events")
    return found.cdr


class CdrFold:
    """The record of one call in the making: `apply` its events in order, look at `cdr`."""

    def __init__(self, first: Envelope, numbers: Numbers = KEEP) -> None:
        self._numbers = numbers
        self._created = self._last = first.at
        self._answered: Instant | None = None
        self._legs: dict[LegId, LegCdr] = {}
        self._since: dict[LegId, Instant] = {}
        self._talk_since: dict[LegId, Instant] = {}
        self._cdr = Cdr(first.call, first.at.wall)
        if not isinstance(first.event, CallCreated):
            self.miss()
        self.apply(first)

    @property
    def cdr(self) -> Cdr:
        """The record so far."""
        found = self._cdr._replace(legs=tuple(self._legs.values()))
        if found.state is not CdrState.LIVE:
            return found
        talks = self._answered or self._last
        return found._replace(
            duration_ms=_between(self._created, self._last),
            talk_ms=_between(talks, self._last),
        )

    def miss(self) -> None:
        """Some events are lost."""
        self._cdr = self._cdr._replace(incomplete=True)

    def apply(self, envelope: Envelope) -> None:
        """One event more. Those of no interest change nothing but how long the call has lasted."""
        if self._cdr.state is not CdrState.LIVE:
            return
        at = self._last = envelope.at
        match envelope.event:
            case CallCreated() as created:
                self._set(
                    project=created.project,
                    context=created.context,
                    caller=self._numbers.shown(created.caller),
                    callee=self._numbers.shown(created.callee),
                    trunk=created.trunk,
                )
            case CallRouted(rule):
                self._set(rule=rule)
            case ProgramStarted(program):
                self._set(program=program)
            case RecordingStarted():
                self._set(recorded=True)
            case MediaPathChanged(path):
                self._set(path=path)
            case CallAnswered(leg):
                self._answer(leg, at)
            case CallEnded() as ended:
                self._end(ended, at)
            case event:
                self._apply_to_leg(event, at)

    def _apply_to_leg(self, event: object, at: Instant) -> None:
        match event:
            case LegAdded() as added:
                self._since.setdefault(added.leg, at)
                shown = self._numbers.shown(added.number)
                leg = LegCdr(added.leg, added.role, added.kind, added.trunk, shown, at.wall)
                self._legs.setdefault(added.leg, leg)
            case CallRinging(leg):
                self._set_leg(leg, ringing_at=at.wall)
            case LegQuality() as told:
                self._set_leg(told.leg, quality=quality_of(told.codec, told))
            case LegGone(leg, verdict, by_peer):
                self._end_leg(leg, at, by_peer=by_peer, **_words(verdict))
            case DigitReceived(leg):
                self._set(dtmf_received=self._cdr.dtmf_received + 1)
                if leg in self._legs:
                    self._set_leg(leg, dtmf_received=self._legs[leg].dtmf_received + 1)
            case DigitSent(leg):
                self._set(dtmf_sent=self._cdr.dtmf_sent + 1)
                if leg in self._legs:
                    self._set_leg(leg, dtmf_sent=self._legs[leg].dtmf_sent + 1)
            case _:
                pass

    def _answer(self, leg: LegId | None, at: Instant) -> None:
        """The caller's leg is accepted by whatever answers the call first."""
        if self._answered is None:
            self._answered = at
            self._set(answered_at=at.wall)
            for known in self._legs.values():
                if known.role is Role.CALLER:
                    self._answer_leg(known.id, at)
        if leg is not None:
            self._answer_leg(leg, at)

    def _answer_leg(self, leg: LegId, at: Instant) -> None:
        known = self._legs.get(leg)
        if known is not None and known.answered_at is None and known.ended_at is None:
            self._talk_since[leg] = at
            self._set_leg(leg, answered_at=at.wall)

    def _end(self, ended: CallEnded, at: Instant) -> None:
        for leg in tuple(self._legs):
            self._end_leg(leg, at)
        interrupted = ended.verdict.code == INTERRUPTED.code
        self._set(
            state=CdrState.INTERRUPTED if interrupted else CdrState.ENDED,
            ended_at=at.wall,
            duration_ms=max(ended.duration_ms, 0),
            talk_ms=max(ended.talk_ms, 0),
            text=ended.verdict.text if self._numbers.text else None,
            hung_up_by=Party(ended.hung_up_by or Party.GATEWAY),
            **_words(ended.verdict),
        )

    def _end_leg(self, leg: LegId, at: Instant, **words: Any) -> None:
        known = self._legs.get(leg)
        if known is None or known.ended_at is not None:
            return
        talks = self._talk_since.get(leg)
        self._set_leg(
            leg,
            ended_at=at.wall,
            duration_ms=_between(self._since[leg], at),
            talk_ms=0 if talks is None else _between(talks, at),
            **words,
        )

    def _set(self, **changes: Any) -> None:
        self._cdr = self._cdr._replace(**changes)

    def _set_leg(self, leg: LegId, **changes: Any) -> None:
        if leg in self._legs:
            self._legs[leg] = self._legs[leg]._replace(**changes)


def _between(since: Instant, until: Instant) -> int:
    return max(round((until.monotonic - since.monotonic) * 1000), 0)


def _words(verdict: Verdict) -> dict[str, object]:
    return {
        "code": verdict.code,
        "sip_status": verdict.sip_status,
        "q850": verdict.q850,
        "blame": verdict.blame,
    }


def quality_of(codec: str, told: LegQuality | PortStats) -> Quality:
    """What a leg's counters say of its audio. codec: as printed, `pcmu/8000`."""
    received, lost, rtt_ms, jitter_ms = told.rx_packets, told.rx_lost, told.rtt_ms, told.jitter_ms
    return Quality(
        codec,
        received,
        lost,
        told.tx_packets,
        told.remote_lost,
        jitter_ms,
        rtt_ms,
        quality.heard(codec, received, lost, rtt_ms, jitter_ms),
    )
