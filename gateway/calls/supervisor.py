"""Owns one running call: both legs, every timer and the program, in one task and its TaskGroup.

It feeds the pure machine (machine.py) and performs its effects through the ports of gateway.ports.
A failure of the media plane or a bug of ours ends this call with its verdict, never the process.

Order of closing, whatever the reason:

1. the verdict is decided (phase ENDING); later ones are ignored;
2. the program gives back its players and its loop, and is cancelled;
3. the bridge is taken apart: digit relays first, then audio, so that no digit leaks to one side;
4. every leg that is not over is told to hang up, once;
5. all timers stop; CLOSING starts;
6. each leg confirms (LegEnded) and closes its own port, or CLOSING passes;
7. CallEnded is appended, the call's last event;
8. the tasks of the call are gone, nobody listens to the ports any more, the registry forgets it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import assert_never

import structlog

from gateway.calls import effects as do
from gateway.calls import inputs, translate
from gateway.calls.bridging import bridge, unbridge
from gateway.calls.machine import begin, step
from gateway.calls.program_host import ProgramHost
from gateway.calls.programs import PROGRAMS, CallFacts, Program, ProgramContext, Sounds
from gateway.calls.state import DEFAULT_LIMITS, Limits, Phase, Timer
from gateway.clock import Clock
from gateway.dialplan import DialTrunk, DialUser, NoRoute, Plan, Refuse, Request
from gateway.errors import INTERNAL, NOT_FOUND, SHUTTING_DOWN, GatewayError, Verdict
from gateway.events import CallCreated, CallEnded, DigitDropped, Event, MediaPathChanged
from gateway.ids import CallId, LegId
from gateway.media.clips import Clips
from gateway.media.prompts import Prompts
from gateway.ports import (
    BrowserDirectory,
    Leg,
    LegEnded,
    LegEvent,
    Media,
    MediaEvent,
    MediaPort,
    SipPlane,
    SipTarget,
)
from gateway.storage.event_log import EventLog

_log = structlog.get_logger(__name__)

_TIMEOUTS: Mapping[Timer, Callable[[], inputs.Input]] = {
    Timer.RING: inputs.RingTimeout,
    Timer.SETUP: inputs.SetupTimeout,
    Timer.GRACE: inputs.GraceTimeout,
    Timer.CLOSING: inputs.ClosingTimeout,
}


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a node works with."""

    media: Media
    sip: SipPlane
    browsers: BrowserDirectory
    log: EventLog
    clock: Clock
    prompts: Prompts
    limits: Limits = DEFAULT_LIMITS
    ring_timeouts: Mapping[str, float] = field(default_factory=dict)  # seconds, by trunk
    clips: Clips = field(default_factory=Clips)
    programs: Mapping[str, Program] = field(default_factory=lambda: PROGRAMS)


class Supervisor:
    """One call. All methods are called on the asyncio thread."""

    def __init__(
        self, call: CallId, leg: Leg, request: Request, plan: Plan, services: Services
    ) -> None:
        self._call = call
        self._request = request
        self._variables: Mapping[str, str] = {}  # what the dialplan has set
        self._plan = plan
        self._services = services
        self._inbox: asyncio.Queue[inputs.Input] = asyncio.Queue()
        self._legs: dict[LegId, Leg] = {leg.id: leg}
        self._hung_up: set[LegId] = set()  # told to hang up, or over
        self._ports: set[MediaPort] = set()
        self._timers: dict[Timer, asyncio.Task[None]] = {}
        self._told_end = False
        self._closed = False
        self._log = _log.bind(call=call)
        self._program = ProgramHost(leg.id, self.post, self._log)
        created = CallCreated(request.context, request.caller, request.callee)
        self.state, self._first_effects = begin(
            leg.id, leg.kind, created, services.limits, self._now()
        )

    def post(self, event: inputs.Input) -> None:
        """Feeds an input; it takes its turn. Nothing happens when the call is over."""
        if not self._closed:
            self._inbox.put_nowait(event)

    async def run(self) -> Verdict:
        """The whole call. Returns its verdict; raises only CancelledError."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start()
                while self.state.phase is not Phase.ENDED:
                    self._advance(await self._inbox.get())
        except asyncio.CancelledError:
            self.abort(SHUTTING_DOWN)
            raise
        except Exception:  # the boundary of the call's task: a bug of ours ends this call only
            self._log.exception("call.bug", phase=self.state.phase, path=self.state.path)
            self.abort(INTERNAL)
        finally:
            self._closed = True
            self._hang_up_rest(self.state.verdict or INTERNAL)
            self._guarded(do.Finish(self.state.verdict or INTERNAL), self._stop_listening)
        return self.state.verdict or INTERNAL

    def _start(self) -> None:
        self._log.info("call.created", context=self._request.context)
        self._perform_all(self._first_effects)
        caller = self._legs[self.state.caller.id]
        caller.listen(self._on_caller)
        self._advance(self._route())

    def _route(self) -> inputs.Routed:
        route = self._plan.route(self._request)
        if isinstance(route, NoRoute):
            self._log.warning("call.no_route", context=self._request.context, trace=route.trace)
            return inputs.Routed(Refuse(NOT_FOUND), None, route.trace)
        self._variables = route.variables
        ring_timeout = route.ring_timeout
        if ring_timeout is None and isinstance(route.action, DialTrunk):
            ring_timeout = self._services.ring_timeouts.get(route.action.trunk)
        self._log.info("call.routed", rule=route.rule)
        return inputs.Routed(route.action, route.rule, route.trace, ring_timeout)

    def _now(self) -> float:
        return self._services.clock.now().monotonic

    # ---- turning the machine ----------------------------------------------------------------

    def _advance(self, event: inputs.Input) -> None:
        """One input, and the inputs that its effects give rise to before anything else: so no leg
        of a Dial can be forgotten by an end that is already queued."""
        pending = deque([event])
        while pending:
            event = pending.popleft()
            pending.extend(self._guarded(event, partial(self._prepare, event)))
            self.state, effects = step(self.state, event, self._now())
            pending.extend(self._perform_all(effects))

    def _prepare(self, event: inputs.Input) -> None:
        """Listens to a leg's port before the machine hears of it; hands digits to the program."""
        match event:
            case inputs.CallerMedia(port):
                self._listen_to(port, self.state.caller.id)
            case inputs.CalleeMedia(leg, port):
                self._listen_to(port, leg)
            case inputs.Observed(observed):
                self._program.offer(observed)
            case _:
                pass

    def _perform_all(self, effects: Iterable[do.Effect]) -> list[inputs.Input]:
        results: list[inputs.Input] = []
        for effect in effects:
            results += self._guarded(effect, partial(self._perform, effect))
        return results

    def _guarded(
        self, cause: do.Effect | inputs.Input, action: Callable[[], inputs.Input | None]
    ) -> list[inputs.Input]:
        """Runs a piece of the call's work; what it raises becomes the input that ends the call."""
        doing = type(cause).__name__
        try:
            result = action()
        except GatewayError as error:
            verdict = error.verdict
            self._log.warning(
                "call.failure", doing=doing, code=verdict.code, text=verdict.text,
                path=self.state.path, exc_info=True,
            )  # fmt: skip
        except Exception:  # a bug in a leg, in the media plane's face or here: see above
            verdict = INTERNAL
            self._log.exception("call.bug", doing=doing, path=self.state.path)
        else:
            return [] if result is None else [result]
        return [translate.failure(cause, self.state.caller.id, verdict)]

    def _perform(self, effect: do.Effect) -> inputs.Input | None:
        match effect:
            case do.Emit(event):
                self._emit(event)
            case do.Dial(target):
                return self._dial(target)
            case do.RingCaller():
                self._legs[self.state.caller.id].ring()
            case do.EarlyMediaToCaller():
                self._legs[self.state.caller.id].early_media()
            case do.AnswerCaller():
                self._legs[self.state.caller.id].answer()
            case do.Bridge(caller, callee):
                bridge(self._services.media, caller, callee)
            case do.Unbridge(caller, callee):
                unbridge(self._services.media, caller, callee)
            case do.StartProgram(name, port):
                self._start_program(name, port)
            case do.StopProgram():
                self._program.stop()
            case do.HangupLeg(leg, verdict):
                self._hung_up.add(leg)
                self._legs[leg].hangup(verdict)
            case do.StartTimer(timer, seconds):
                task = self._group.create_task(self._timer(timer, seconds), name=f"timer {timer}")
                self._timers[timer] = task
            case do.CancelTimer(timer):
                self._timers.pop(timer).cancel()
            case do.Finish():
                self._warn_of_stuck_legs()
            case _:
                assert_never(effect)
        return None

    def _emit(self, event: Event) -> None:
        if isinstance(event, MediaPathChanged):
            self._log.info("call.path", path=event.description)
        elif isinstance(event, CallEnded):
            self._told_end = True
            self._log.info(
                "call.ended", code=event.verdict.code, sip_status=event.verdict.sip_status,
                q850=event.verdict.q850, blame=event.verdict.blame, text=event.verdict.text,
                duration_ms=event.duration_ms, talk_ms=event.talk_ms, path=self.state.path,
            )  # fmt: skip
        self._services.log.append(self._call, event)

    async def _timer(self, timer: Timer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.post(_TIMEOUTS[timer]())

    # ---- legs, ports, program ---------------------------------------------------------------

    def _dial(self, target: DialTrunk | DialUser) -> inputs.Input:
        legs: list[Leg]
        if isinstance(target, DialTrunk):
            wanted = SipTarget(target.trunk, target.number, target.caller)
            legs = [self._services.sip.dial(wanted)]
        else:
            legs = list(self._services.browsers.ring(target.user, target.caller, self._call))
        self._legs.update((leg.id, leg) for leg in legs)
        for leg in legs:
            leg.listen(partial(self._on_callee, leg.id))
        return inputs.Dialed(tuple((leg.id, leg.kind) for leg in legs))

    def _on_caller(self, event: LegEvent) -> None:
        self._note_end(self.state.caller.id, event)
        news = translate.from_caller(event)
        if news is not None:
            self.post(news)

    def _on_callee(self, leg: LegId, event: LegEvent) -> None:
        self._note_end(leg, event)
        self.post(translate.from_callee(leg, event))

    def _note_end(self, leg: LegId, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self._hung_up.add(leg)

    def _listen_to(self, port: MediaPort, leg: LegId) -> None:
        if port not in self._ports and not self._told_end:
            self._ports.add(port)
            self._services.media.subscribe(port, partial(self._on_media, leg))

    def _on_media(self, leg: LegId, event: MediaEvent) -> None:
        news = translate.from_media(leg, event)
        if news is not None:
            self.post(news)

    def _stop_listening(self) -> None:
        while self._ports:
            self._services.media.unsubscribe(self._ports.pop())

    def _start_program(self, name: str, port: MediaPort) -> None:
        services = self._services
        sounds = Sounds(services.prompts, services.clips)
        request = self._request
        facts = CallFacts(self._call, request.caller, request.callee, self._variables)
        context = ProgramContext(
            services.media, port, sounds, services.clock, facts, self._digit_dropped
        )
        self._program.start(self._group, name, services.programs[name], context)

    def _digit_dropped(self, digit: str, reason: str) -> None:
        self.post(inputs.Observed(DigitDropped(self.state.caller.id, digit, reason)))

    # ---- when nothing else helps ------------------------------------------------------------

    def _warn_of_stuck_legs(self) -> None:
        stuck = [leg.id for leg in self.state.legs if not leg.ended]
        if stuck:
            self._log.warning("call.legs_stuck", legs=stuck)

    def abort(self, verdict: Verdict) -> None:
        """Ends the call without the machine: it failed, or the loop is going down."""
        if self.state.phase is Phase.ENDED:
            return
        now = self._now()
        state = self.state
        self.state = replace(state, phase=Phase.ENDED, verdict=verdict, ending=now, bridge=None)
        self._guarded(do.StopProgram(), self._program.stop)
        if state.bridge is not None:
            apart = do.Unbridge(*state.bridge)
            self._guarded(apart, partial(self._perform, apart))
        self._hang_up_rest(verdict)
        if not self._told_end:
            answered = state.answered is not None
            talked = now - (state.answered or now)
            lasted = round((now - state.created) * 1000)
            ended = CallEnded(verdict, answered, lasted, round(talked * 1000))
            self._guarded(do.Emit(ended), partial(self._emit, ended))

    def _hang_up_rest(self, verdict: Verdict) -> None:
        """No leg outlives its call, whatever went wrong before."""
        for leg in self._legs.keys() - self._hung_up:
            hangup = do.HangupLeg(leg, verdict)
            self._guarded(hangup, partial(self._perform, hangup))
