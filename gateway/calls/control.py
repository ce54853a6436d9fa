"""Owns the call as its programs see it: waits for audio, dials, joins other calls, masks digits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.calls import inputs
from gateway.calls.audio import CallAudio
from gateway.calls.joint import End, Joint
from gateway.calls.programs import Dialled, Program, ProgramContext
from gateway.calls.recorder import CallRecorder
from gateway.calls.services import Services
from gateway.calls.state import CallState, LegState
from gateway.dialplan import DialOut, Request, RunProgram
from gateway.errors import BAD_REQUEST, NORMAL, NOT_FOUND, GatewayError, Verdict
from gateway.events import DigitDropped, DigitReceived, DigitStarted, Event
from gateway.ids import CallId, LegId
from gateway.ports import MediaPort
from gateway.terms import Phase
from gateway.verbs import Dial, Record, Side

THE_OTHER_ENDED = NORMAL.because("The other call ended")
MASKED = "X"
"""What stands for a digit that was captured in secret."""
MASK_TAIL = 3.0
"""Seconds for which digits stay masked, and withheld, after a secure capture: some press one too
many."""


BRIDGED = RunProgram("(bridged)")
"""What a call that another one has taken runs; no name in a dialplan looks like it."""


async def bridged(_context: ProgramContext) -> Verdict:
    """Waits until the call that took this one lets go of it, and is hung up then."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody sets it")


class CallControl:
    """Implements programs.base.Control for one call."""

    def __init__(
        self,
        post: Callable[[inputs.Input], None],
        state: Callable[[], CallState],
        audio: CallAudio,
        recorder: CallRecorder,
        services: Services,
        request: Request,
        keep_secret: Callable[[bool], None],
    ) -> None:
        """keep_secret: told when digits of the call begin to be secret, and when they are no
        more."""
        self._keep_secret = keep_secret
        self._post = post
        self._state = state
        self._audio = audio
        self._recorder = recorder
        self._services = services
        self._request = request
        self._given = asyncio.Event()
        self._dialling: asyncio.Future[Dialled] | None = None
        self._gathers: Counter[LegId] = Counter()
        # Legs whose digits are secret; with a timer, that ends then.
        self._masked: dict[LegId, asyncio.TimerHandle | None] = {}
        self._joint: Joint | None = None

    # ---- what the machine tells -------------------------------------------------------------

    def audio_given(self) -> None:
        """The program's port is there."""
        self._given.set()

    def dial_done(self, verdict: Verdict, talk_ms: int | None) -> None:
        """The program's dial is over."""
        if self._dialling is not None and not self._dialling.done():
            self._dialling.set_result(Dialled(verdict, talk_ms))

    def masked(self, event: Event) -> Event:
        """`event` as others may see it."""
        if isinstance(event, DigitStarted | DigitReceived | DigitDropped) and (
            event.leg in self._masked
        ):
            return replace(event, digit=MASKED)
        return event

    # ---- what another call tells ------------------------------------------------------------

    def taken(self, near: End, port: MediaPort) -> Joint:
        """Another call takes this one, to join `near` with the caller's `port`. Raises
        GatewayError(BAD_REQUEST): it is joined already."""
        if self._joint is not None:
            raise GatewayError(BAD_REQUEST, "The other call is joined with another already")
        self._joint = Joint(near, self._end(port))
        return self._joint

    def settle(self) -> None:
        """The call's state has changed: a call that it is joined with may hear less, or more."""
        if self._joint is not None:
            self._joint.settle()

    def far(self, port: MediaPort) -> MediaPort | None:
        """Who is joined with a port of this call, in this call or in another."""
        bridge = self._state().bridge
        if bridge is not None and port in bridge:
            caller, callee = bridge
            return callee if port == caller else caller
        if self._joint is not None and port == self._state().caller.port:
            return self._joint.far(port)
        return None

    # ---- programs.base.Control --------------------------------------------------------------

    @property
    def programs(self) -> Mapping[str, Program]:
        """See programs.base.Control."""
        return self._services.programs

    async def port(self, side: Side) -> MediaPort:
        """See programs.base.Control."""
        if side is Side.CALLEE:
            partner = self._partner()
            if partner.port is None:
                raise GatewayError(BAD_REQUEST, "The callee has no audio yet")
            return partner.port
        if self._caller_port() is None:
            if not self._state().opened:
                await self.answered()
            await self._given.wait()
        port = self._caller_port()
        assert port is not None
        return port

    def leg(self, side: Side) -> LegId:
        """See programs.base.Control."""
        return self._state().caller.id if side is Side.CALLER else self._partner().id

    def side_of(self, leg: LegId) -> Side | None:
        """Which side a leg is."""
        state = self._state()
        if leg == state.caller.id:
            return Side.CALLER
        return Side.CALLEE if leg == state.winner else None

    def request(self, event: inputs.Input) -> None:
        """See programs.base.Control."""
        self._post(event)

    async def answered(self) -> None:
        """See programs.base.Control."""
        state = self._state()
        if state.program is None and state.answered is None:
            raise GatewayError(BAD_REQUEST, "The call is not answered yet")
        if state.phase not in (Phase.PROGRAM, Phase.CONNECTING):
            if state.answered is None:
                raise GatewayError(BAD_REQUEST, "The call is dialling: whoever takes it answers")
            return
        if state.answered is None:
            self._post(inputs.AnswerRequested())
        await self._given.wait()

    async def dial(self, dial: DialOut) -> Dialled:
        """See programs.base.Control."""
        if self._dialling is not None:
            raise GatewayError(BAD_REQUEST, "The call is dialling already")
        self._dialling = asyncio.get_running_loop().create_future()
        self._post(inputs.DialRequested(self._services.rounds.turned(dial)))
        try:
            done = await self._dialling
        finally:
            if self._dialling.cancelled():
                self._post(inputs.DialCancelled())
            self._dialling = None
        if done.verdict.code == BAD_REQUEST.code and done.talk_ms is None:
            raise GatewayError(done.verdict)
        return done

    async def joined(self, other: str, *, whole: bool = False) -> None:
        """See programs.base.Control. whole: nothing else of this call goes on, and it ends with the
        other one."""
        call = self._services.calls.get(CallId(other))
        if call is None or call.project != self._request.owner.project:
            raise GatewayError(NOT_FOUND, "No such call")
        if call.audio is self._audio:
            raise GatewayError(BAD_REQUEST, "A call cannot be joined with itself")
        port = await self.port(Side.CALLER)
        if self._joint is not None:
            raise GatewayError(BAD_REQUEST, "The call is joined with another already")
        joint = self._joint = call.take(self._end(port))
        whole = whole or self._state().phase in (Phase.CONNECTED, Phase.HELD)
        try:
            if whole:
                self._post(inputs.Taken(BRIDGED))
            joint.settle()
            await call.wait_over()
        finally:
            self._joint = None
            joint.part()
            call.release()
            if whole:
                self._post(inputs.HangupRequested(THE_OTHER_ENDED))

    async def record(self, verb: Record) -> str:
        """See programs.base.Control."""
        match verb.action:
            case "start":
                return self._recorder.start(verb, await self.port(Side.CALLER))
            case "stop":
                return await self._recorder.stop()
            case "pause":
                return self._recorder.pause(True)
            case "resume":
                return self._recorder.pause(False)

    def call_out(self, dial: Dial, program: str, variables: Mapping[str, str], after: float) -> str:
        """See programs.base.Control."""
        if program not in self._services.programs:
            raise GatewayError(NOT_FOUND, f"no program {program!r}")
        request = replace(
            self._request, at=self._services.clock.now().wall, headers={}, variables=variables
        )
        return self._services.call_out(dial, request, RunProgram(program), after=after)

    def gather_begins(self, side: Side, secure: bool) -> LegId:
        """See programs.base.Control."""
        leg = self.leg(side)
        self._gathers[leg] += 1
        self._post(inputs.DigitsWithheld(leg, True))
        if secure:
            self._keep_secret(True)
            waiting = self._masked.get(leg)
            if waiting is not None:
                waiting.cancel()
            self._masked[leg] = None
            self._recorder.mute(True)
        return leg

    def gather_ends(self, leg: LegId) -> None:
        """See programs.base.Control."""
        self._gathers[leg] -= 1
        if not self._gathers[leg] and leg in self._masked and self._masked[leg] is None:
            loop = asyncio.get_running_loop()
            self._masked[leg] = loop.call_later(MASK_TAIL, self._unmask, leg)
            self._recorder.mute(None in self._masked.values())
        self._let_through(leg)

    def _unmask(self, leg: LegId) -> None:
        self._masked.pop(leg, None)
        self._keep_secret(bool(self._masked))
        self._let_through(leg)

    def _let_through(self, leg: LegId) -> None:
        """A leg's digits reach the other side again, unless they are gathered, or were in secret a
        moment ago."""
        if not self._gathers[leg] and leg not in self._masked:
            self._post(inputs.DigitsWithheld(leg, False))

    def close(self) -> None:
        """The call is over: no timer of it is left."""
        for waiting in self._masked.values():
            if waiting is not None:
                waiting.cancel()

    # ---- inside -----------------------------------------------------------------------------

    def _end(self, port: MediaPort) -> End:
        return End(
            self._audio,
            port,
            leg=lambda: self._state().caller,
            free=lambda: self._state().phase not in (Phase.CONNECTED, Phase.HELD),
        )

    def _caller_port(self) -> MediaPort | None:
        state = self._state()
        if state.phase in (Phase.CONNECTED, Phase.HELD):
            return state.caller.port
        if state.program is None:
            raise GatewayError(BAD_REQUEST, "The call has no audio path yet")
        return state.program_port

    def _partner(self) -> LegState:
        state = self._state()
        partner = state.partner
        if partner is None or partner.id != state.winner:
            raise GatewayError(BAD_REQUEST, "The call has no callee")
        return partner
