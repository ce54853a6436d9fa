"""Owns the handle of a live call: what the HTTP layer and other users may see and do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.calls import inputs
from gateway.calls.audio import CallAudio
from gateway.calls.control import BRIDGED, THE_OTHER_ENDED
from gateway.calls.joint import End, Joint
from gateway.calls.programs.performing import Outcome
from gateway.calls.services import Services, Start
from gateway.calls.state import LegState
from gateway.calls.supervisor import Supervisor
from gateway.clock import Instant
from gateway.errors import BAD_REQUEST, NOT_FOUND, SHUTTING_DOWN, GatewayError, Verdict
from gateway.events import DigitReceived, DigitSource, DigitStarted, Role
from gateway.ids import CallId, LegId
from gateway.ports import DTMF_DIGITS, Leg, LegKind, MediaPort, PortStats
from gateway.storage.event_log import QUEUE_SIZE, Subscription
from gateway.terms import Phase
from gateway.verbs import AnyVerb

TONE_MS = (40, 6000)
"""Shortest and longest tone (W3C WebRTC, RTCDTMFSender.insertDTMF)."""


class LegView(NamedTuple):
    """A leg as others see it."""

    id: LegId
    role: Role
    kind: LegKind
    media: str  # "opus/48000 + telephone-event/48000"; empty: no audio path yet
    held: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class CallView:
    """A call at one moment. `repr` shows no numbers."""

    id: CallId
    state: Phase
    context: str
    caller: str = field(repr=False)
    callee: str = field(repr=False)
    created: Instant
    answered: bool
    media_path: str
    legs: tuple[LegView, ...]
    verdict: Verdict | None


class Call:
    """A call, from its beginning until after its end. Belongs to the asyncio thread."""

    def __init__(self, call: CallId, leg: Leg, start: Start, services: Services) -> None:
        request = start.request
        self.id = call
        self.context = request.context
        self.caller = request.caller
        self.callee = request.callee
        self.owner = request.owner
        self.created = services.clock.now()
        self._services = services
        self._supervisor = Supervisor(call, leg, start, services)
        self._presses = itertools.count(1)
        self._ended = asyncio.Event()

    @property
    def state(self) -> Phase:
        """Where the call is."""
        return self._supervisor.state.phase

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state is Phase.ENDED

    @property
    def answered(self) -> bool:
        """Whether anybody took it."""
        return self._supervisor.state.answered is not None

    @property
    def verdict(self) -> Verdict | None:
        """How it ended, or is about to; None while it lives."""
        return self._supervisor.state.verdict

    @property
    def caller_leg(self) -> LegId:
        """Id of the caller's leg."""
        return self._supervisor.state.caller.id

    def view(self) -> CallView:
        """The call at this moment."""
        state = self._supervisor.state
        return CallView(
            id=self.id,
            state=state.phase,
            context=self.context,
            caller=self.caller,
            callee=self.callee,
            created=self.created,
            answered=self.answered,
            media_path=state.path,
            legs=tuple(
                LegView(leg.id, leg.role, leg.kind, leg.media, leg.held, leg.ended)
                for leg in state.legs
            ),
            verdict=state.verdict,
        )

    def events(self, since: int = 0, capacity: int = QUEUE_SIZE) -> Subscription:
        """This call's events after sequence number `since` (0: from its beginning); the iteration
        ends after CallEnded."""
        subscription = self._services.log.subscribe(since=since, call=self.id, capacity=capacity)
        if self.ended:
            subscription.close()  # what is held can still be taken; more will not come
        return subscription

    def hangup(self, verdict: Verdict | None = None, by: LegId | None = None) -> None:
        """Ends the call: `normal`, or `cancelled` before the answer, unless told otherwise. `by`:
        the leg whose user wants it."""
        self._supervisor.post(inputs.HangupRequested(verdict, by))

    def send_digit(
        self, leg: LegId | Role, digit: str, duration_ms: int = 100, gap_ms: int = 70
    ) -> int:
        """Sends a tone towards the far end of `leg`; returns the id that DigitSent will carry.

        Raises GatewayError: BAD_REQUEST for no digit, a duration outside 40..6000 ms, or a leg
        without audio; NOT_FOUND for an unknown leg; MEDIA_FAILED.
        """
        _check_tone(digit, duration_ms)
        return self._services.media.send_digit(self._port(leg), digit, duration_ms, gap_ms)

    def press(self, leg: LegId, digit: str, duration_ms: int = 100, gap_ms: int = 70) -> None:
        """A key that `leg` pressed and told by signalling (WebSocket, data channel) instead of
        RTP: the other side hears the tone, or the program gets the key. Raises as send_digit."""
        _check_tone(digit, duration_ms)
        state = self._supervisor.state
        port, withheld = self._leg(leg).port, self._leg(leg).withheld
        far = None if port is None else self._supervisor.far(port)
        if far is not None and not withheld:
            self._services.media.send_digit(far, digit, duration_ms, gap_ms)
        elif state.program_port is None and not withheld:
            raise GatewayError(BAD_REQUEST, "Nobody hears a digit yet: the call has no audio path")
        number = next(self._presses)
        for event in (
            DigitStarted(leg, digit, number, DigitSource.SIGNALLING),
            DigitReceived(leg, digit, duration_ms, number, DigitSource.SIGNALLING),
        ):
            self._supervisor.post(inputs.Observed(event))

    def perform(self, verb: AnyVerb) -> asyncio.Future[Outcome | None]:
        """Has the call do something, beside whatever it does; cancelling the future stops it.

        Its GatewayError: BAD_REQUEST for what the call cannot do now, CANCELLED when it ends first.
        Raises GatewayError(NOT_FOUND) itself for a call that has ended.
        """
        if self.verdict is not None or self.state is Phase.NEW:
            raise GatewayError(NOT_FOUND, "The call is not live")
        return self._supervisor.command(verb)

    @property
    def project(self) -> str:
        """Whose call it is."""
        return self.owner.project

    @property
    def audio(self) -> CallAudio:
        """Who hears whom in the call."""
        return self._supervisor.audio

    def take(self, near: End) -> Joint:
        """Another call takes this one: its program is stopped, its callee hung up. `near`: that
        call's caller.

        Raises GatewayError(BAD_REQUEST): it is dialling, or has no audio.
        """
        state = self._supervisor.state
        talks = state.phase in (Phase.CONNECTED, Phase.HELD)
        port = state.caller.port if talks else state.program_port
        if port is None or not (talks or state.phase is Phase.PROGRAM):
            raise GatewayError(BAD_REQUEST, "The other call is dialling, or has no audio")
        joint = self._supervisor.taken(near, port)
        self._supervisor.post(inputs.Taken(BRIDGED))
        return joint

    def join(self, other: CallId) -> asyncio.Future[None]:
        """The callers of this call and of another hear each other, and nothing else goes on in
        either; when one call ends, both do. Raises, and fails, as `perform` does."""
        if self.verdict is not None or self.state is Phase.NEW:
            raise GatewayError(NOT_FOUND, "The call is not live")
        return self._supervisor.join(other)

    async def wait_over(self) -> None:
        """Returns when the call's end has begun."""
        await self._supervisor.ending.wait()

    def release(self) -> None:
        """Ends a call that was taken: who took it is gone."""
        self.hangup(THE_OTHER_ENDED)

    def ports(self) -> Iterator[tuple[LegId, MediaPort]]:
        """Legs that have audio now, and their ports."""
        for leg in self._supervisor.state.legs:
            if leg.port is not None and not leg.ended:
                yield leg.id, leg.port

    def counters(self) -> dict[LegId, PortStats]:
        """Media counters of the legs that have audio now."""
        found = {}
        for leg, port in self.ports():
            with suppress(GatewayError):  # it is closed already, and the call does not know yet
                found[leg] = self._services.media.stats(port)
        return found

    async def run(self) -> Verdict:
        """The call itself; the registry awaits it."""
        try:
            return await self._supervisor.run()
        finally:
            self._ended.set()

    async def wait_ended(self) -> None:
        """Returns when the call is over and nothing of it is left."""
        await self._ended.wait()

    def cut_off(self) -> None:
        """Ends the call without waiting for anybody; nothing happens when it is over."""
        self._supervisor.abort(SHUTTING_DOWN)

    def _leg(self, wanted: LegId | Role) -> LegState:
        state = self._supervisor.state
        found = None
        if wanted == Role.CALLER:
            found = state.caller
        elif wanted == Role.CALLEE:
            found = state.partner
        else:
            found = next((leg for leg in state.legs if leg.id == wanted), None)
        if found is None:
            raise GatewayError(NOT_FOUND, "No such leg")
        return found

    def _port(self, wanted: LegId | Role) -> MediaPort:
        leg = self._leg(wanted)
        if leg.port is None or leg.ended or self.verdict is not None:
            raise GatewayError(BAD_REQUEST, "The leg has no audio path")
        return leg.port


def _check_tone(digit: str, duration_ms: int) -> None:
    if len(digit) != 1 or digit not in DTMF_DIGITS:
        raise GatewayError(BAD_REQUEST, f"No DTMF digit: use one of {DTMF_DIGITS}")
    shortest, longest = TONE_MS
    if not shortest <= duration_ms <= longest:
        raise GatewayError(BAD_REQUEST, f"duration_ms must be {shortest} to {longest}")
