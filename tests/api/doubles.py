"""Doubles of what the API stands on: calls, WebRTC legs and a clock, all driven by the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from gateway.api.ports import (
    Admission,
    BrowserLeg,
    CallSink,
    CallState,
    CallUpdate,
    StateChanged,
    Tones,
    Unsubscribe,
)
from gateway.clock import Instant
from gateway.dialplan import Request
from gateway.errors import BAD_SDP, NORMAL, NOT_FOUND, GatewayError, Verdict
from gateway.identity.values import Identity
from gateway.ids import CallId, LegId, new_call_id, new_leg_id
from gateway.ports import LegEnded, LegEvent, LegKind, LegSink

OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n"
ANSWER = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=answer\r\nt=0 0\r\n"
REANSWER = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=again\r\nt=0 0\r\n"


class FakeClock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> Instant:
        return Instant(self.time, datetime(2026, 1, 1, tzinfo=UTC))


class FakeLeg:
    """A WebRTC leg without media."""

    def __init__(self, *, called: bool) -> None:
        self.called = called
        self.leg_id = new_leg_id()
        self.sink: LegSink | None = None
        self.candidates: list[tuple[str | None, str | None]] = []
        self.messages: list[str] = []
        self.hung_up: list[Verdict] = []
        self.offers: list[str] = []

    @property
    def id(self) -> LegId:
        return self.leg_id

    @property
    def kind(self) -> LegKind:
        return LegKind.WEBRTC

    def listen(self, sink: LegSink) -> None:
        self.sink = sink

    def emit(self, event: LegEvent) -> None:
        assert self.sink is not None
        self.sink(event)

    def ring(self) -> None: ...

    def early_media(self) -> None: ...

    def answer(self) -> None: ...

    def hangup(self, verdict: Verdict) -> None:
        self.hung_up.append(verdict)
        if self.sink is not None:
            self.sink(LegEnded(verdict, by_peer=False))

    def add_candidate(self, candidate: str | None, mid: str | None) -> None:
        self.candidates.append((candidate, mid))

    async def renegotiate(self, sdp: str) -> str:
        if "v=0" not in sdp:
            raise GatewayError(BAD_SDP)
        self.offers.append(sdp)
        return REANSWER

    def send_message(self, text: str) -> bool:
        self.messages.append(text)
        return True


class FakeWebRtc:
    """Answers every offer that looks like SDP, once `gate` is open."""

    def __init__(self) -> None:
        self.legs: list[FakeLeg] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.error: BaseException | None = None

    async def answer_offer(self, sdp: str, /, *, called: bool = False) -> tuple[BrowserLeg, str]:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        if not sdp.startswith("v=0"):
            raise GatewayError(BAD_SDP)
        leg = FakeLeg(called=called)
        self.legs.append(leg)
        return leg, ANSWER


@dataclass
class FakeCall:
    """One call as the fake service remembers it."""

    id: CallId
    leg: BrowserLeg | None
    caller: str
    to: str
    updates: list[CallUpdate] = field(default_factory=list)
    sinks: list[CallSink] = field(default_factory=list)
    hung_up: list[Verdict] = field(default_factory=list)
    tones: list[tuple[LegId, Tones]] = field(default_factory=list)

    def tell(self, update: CallUpdate) -> None:
        self.updates.append(update)
        for sink in tuple(self.sinks):
            sink(update)

    def end(self, verdict: Verdict = NORMAL) -> None:
        self.tell(StateChanged(CallState.ENDED, verdict))


class FakeAdmission:
    """Lets every call be made."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def follow(self, call: CallId) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class FakeCalls:
    """Knows every destination but `nowhere`; nothing happens unless the test says so."""

    def __init__(self) -> None:
        self.calls: dict[CallId, FakeCall] = {}
        self.error: Exception | None = None
        self.at_once: CallUpdate | None = None  # happens as soon as a call is placed

    @property
    def last(self) -> FakeCall:
        return list(self.calls.values())[-1]

    def admit(self, identity: Identity, to: str) -> FakeAdmission:
        return FakeAdmission(Request("browser", identity.user, to))

    async def place(self, leg: BrowserLeg, admission: Admission) -> CallId:
        caller, to = admission.request.caller, admission.request.callee
        if self.error is not None:
            raise self.error
        if to == "nowhere":
            leg.hangup(NOT_FOUND)
            raise GatewayError(NOT_FOUND)
        call = FakeCall(new_call_id(), leg, caller, to)
        self.calls[call.id] = call
        if self.at_once is not None:
            call.tell(self.at_once)
        return call.id

    def incoming(self) -> FakeCall:
        call = FakeCall(new_call_id(), None, "phone", "alice")
        self.calls[call.id] = call
        return call

    def hangup(self, call: CallId, verdict: Verdict | None = None, by: LegId | None = None) -> None:
        self.calls[call].hung_up.append(verdict or NORMAL)
        self.calls[call].end(verdict or NORMAL)

    def subscribe(self, call: CallId, sink: CallSink) -> Unsubscribe:
        known = self.calls[call]
        for update in known.updates:
            sink(update)
        known.sinks.append(sink)
        return lambda: known.sinks.remove(sink)

    def send_tones(self, call: CallId, leg: LegId, tones: Tones) -> None:
        if self.error is not None:
            raise self.error
        self.calls[call].tones.append((leg, tones))
