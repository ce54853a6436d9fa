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
from dataclasses import replace
from functools import partial
from typing import assert_never

import structlog

from gateway.calls import effects as do
from gateway.calls import inputs, translate
from gateway.calls.audio import CallAudio
from gateway.calls.background import Background
from gateway.calls.bridging import bridge, unbridge
from gateway.calls.control import BRIDGED, CallControl, bridged
from gateway.calls.joint import End, Joint
from gateway.calls.machine import begin, step
from gateway.calls.outgoing import legs_of
from gateway.calls.program_host import ProgramHost
from gateway.calls.programs import CallFacts, ProgramContext
from gateway.calls.programs.performing import Outcome, perform
from gateway.calls.programs.routing import Routing
from gateway.calls.programs.script import follow
from gateway.calls.recorder import CallRecorder, Whose
from gateway.calls.screening import Screening
from gateway.calls.services import Services, Start, caller_added, created, whereabouts
from gateway.calls.state import Timer
from gateway.dialplan import Destination, DialOut, NoRoute, Refuse
from gateway.errors import (
    INTERNAL,
    NOT_FOUND,
    SHUTTING_DOWN,
    UNAVAILABLE,
    GatewayError,
    Verdict,
)
from gateway.events import CallEnded, Event, MediaPathChanged, VerbStarted
from gateway.ids import CallId, LegId
from gateway.observability.redaction import begin_private, keep_private
from gateway.ports import Leg, LegEnded, LegEvent, MediaEvent, MediaPort
from gateway.terms import Phase
from gateway.verbs import AnyVerb, Bridge

_log = structlog.get_logger(__name__)

_TIMEOUTS: Mapping[Timer, Callable[[], inputs.Input]] = {
    Timer.RING: inputs.RingTimeout,
    Timer.SETUP: inputs.SetupTimeout,
    Timer.GRACE: inputs.GraceTimeout,
    Timer.DURATION: inputs.DurationTimeout,
    Timer.CLOSING: inputs.ClosingTimeout,
}


class Supervisor:
    """One call. All methods are called on the asyncio thread."""

    def __init__(self, call: CallId, leg: Leg, start: Start, services: Services) -> None:
        self._call = call
        self._start_of = start
        self._request = start.request
        self._routing = Routing(start.plan, start.request)
        self.variables: dict[str, str] = dict(start.request.variables)
        self._services = services
        self._inbox: asyncio.Queue[inputs.Input] = asyncio.Queue()
        self._legs: dict[LegId, Leg] = {leg.id: leg}
        self._hung_up: set[LegId] = set()  # told to hang up, or over
        self._ports: set[MediaPort] = set()
        self._timers: dict[Timer, asyncio.Task[None]] = {}
        self.ending = asyncio.Event()  # set when the end has begun
        self._told_end = False
        self._closed = False
        self._log = _log.bind(call=call)
        self.audio = CallAudio(services.media)
        whose = Whose(call, start.request.owner.project)
        self._recorder = CallRecorder(whose, self.audio, services.recorders, self.post)
        self._control = CallControl(
            self.post, lambda: self.state, self.audio, self._recorder, services, start.request,
            partial(services.keep_secret, call),
        )  # fmt: skip
        self._programs = ProgramHost(self._control.side_of, self.post, self._log)
        self._background = Background(self.audio, services.sounds, self._log)
        self._screening = Screening(self.audio, services.sounds, self._screened, self._log)
        request = start.request
        self.state, self._first_effects = begin(
            caller_added(leg, start), created(request), services.limits, self._now(), start.rings
        )

    def post(self, event: inputs.Input) -> None:
        """Feeds an input; it takes its turn. Nothing happens when the call is over."""
        if not self._closed:
            self._inbox.put_nowait(event)

    async def run(self) -> Verdict:
        """The whole call. Returns its verdict; raises only CancelledError."""
        # On every line of the call's tasks, whoever writes it: this context is the call's own.
        structlog.contextvars.bind_contextvars(call=self._call)
        begin_private(self._request.caller, self._request.callee)
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
            self.ending.set()
            for ends in (self._control.close, self._recorder.close, self._stop_listening):
                self._guarded(do.Finish(self.state.verdict or INTERNAL), ends)
        return self.state.verdict or INTERNAL

    def _start(self) -> None:
        self._log.info("call.created", context=self._request.context)
        caller = self._legs[self.state.caller.id]
        caller.listen(self._on_caller)
        for event in self._perform_all(self._first_effects):
            self._advance(event)

    def _route(self) -> inputs.Routed:
        if self._start_of.action is not None:
            return inputs.Routed(self._start_of.action, None, ())
        route = self._routing.begin().outcome
        if isinstance(route, NoRoute):
            self._log.warning("call.no_route", context=self._request.context, trace=route.trace)
            return inputs.Routed(Refuse(NOT_FOUND), None, route.trace)
        self.variables.update(route.variables)
        self._log.info("call.routed", rule=route.rule)
        action = route.action
        if isinstance(action, DialOut):
            action = self._services.rounds.turned(action)
        return inputs.Routed(action, route.rule, route.trace)

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
            if self.state.verdict is not None and not self.ending.is_set():
                self.ending.set()
                self._guarded(event, self._programs.stop_all)
                self._guarded(event, self._recorder.close)
            pending.extend(self._perform_all(effects))
            pending.extend(self._guarded(event, self._control.settle))

    def _prepare(self, event: inputs.Input) -> None:
        """Listens to a leg's port before the machine hears of it; hands digits to the program."""
        match event:
            case inputs.CallerMedia(port):
                self._listen_to(port, self.state.caller.id)
            case inputs.CalleeMedia(leg, port):
                self._listen_to(port, leg)
            case inputs.Observed(observed):
                self._programs.offer(observed)
                self._screening.offer(observed)
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
            case do.Dial(targets):
                return self._dial(targets)
            case do.Route():
                return self._route()
            case do.RingCaller():
                self._legs[self.state.caller.id].ring()
            case do.EarlyMediaToCaller():
                self._legs[self.state.caller.id].early_media()
            case do.AnswerCaller():
                self._legs[self.state.caller.id].answer()
            case do.Bridge(caller, callee):
                bridge(self.audio, caller, callee)
            case do.Unbridge(caller, callee):
                unbridge(self.audio, caller, callee)
            case do.Mute(source, sink, muted):
                (self.audio.disconnect if muted else self.audio.connect)(source, sink)
            case do.Relay(source, sink, on):
                self.audio.relay_digits(source, sink if on else None)
            case do.StartRingBack(port, music) | do.StartMusic(port, music):
                self._background.start(self._group, port, music)
            case do.StopRingBack(port) | do.StopMusic(port):
                self._background.stop(port)
            case do.StartScreening(leg, port, how):
                self._screening.start(self._group, leg, port, how)
            case do.StopScreening(leg):
                self._screening.stop(leg)
            case do.StartProgram(name, action):
                program = bridged if action == BRIDGED else follow(action)
                self._programs.start(self._group, name, program, self._context())
            case do.StopProgram():
                self._programs.stop()
            case do.GiveAudio():
                self._control.audio_given()
            case do.DialDone(verdict, talk_ms):
                self._control.dial_done(verdict, talk_ms)
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
        self._services.log.append(self._call, self._control.masked(event))

    async def _timer(self, timer: Timer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.post(_TIMEOUTS[timer]())

    # ---- legs, ports, program ---------------------------------------------------------------

    def _dial(self, targets: Iterable[Destination]) -> inputs.Input:
        made: list[inputs.NewLeg] = []
        failures: list[Verdict] = []
        for target in targets:
            keep_private(whereabouts(target)[1])
            try:
                legs, seconds = legs_of(self._services, target, self._call)
            except GatewayError as error:
                self._log.warning("dial.failed", code=error.verdict.code, text=error.verdict.text)
                failures.append(error.verdict)
                continue
            if not legs:
                failures.append(UNAVAILABLE)
            self._legs.update((leg.id, leg) for leg in legs)
            for leg in legs:
                leg.listen(partial(self._on_callee, leg.id))
                made.append(inputs.NewLeg(leg.id, leg.kind, seconds, *whereabouts(target)))
        return inputs.Dialed(tuple(made), tuple(failures))

    def _screened(self, leg: LegId, accepted: bool) -> None:
        self.post(inputs.Screened(leg, accepted))

    def _on_caller(self, event: LegEvent) -> None:
        self._note(self.state.caller.id, event)
        news = translate.from_caller(event)
        if news is not None:
            self.post(news)

    def _on_callee(self, leg: LegId, event: LegEvent) -> None:
        self._note(leg, event)
        news = translate.from_callee(leg, event)
        if news is not None:
            self.post(news)

    def _note(self, leg: LegId, event: LegEvent) -> None:
        told = translate.observed(leg, event)
        if told is not None:
            self.post(told)
        if isinstance(event, LegEnded):
            self._hung_up.add(leg)
            known = self.state.leg(leg)
            if event.stats is not None and known is not None:
                self.post(inputs.Observed(translate.quality(leg, known.media, event.stats)))

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

    def _context(self) -> ProgramContext:
        services, request = self._services, self._request
        return ProgramContext(
            self._control,
            self.audio,
            services.sounds,
            services.webhooks,
            services.clock,
            CallFacts(self._call, request.caller, request.callee),
            self._routing,
            self.variables,
        )

    def command(self, verb: AnyVerb) -> asyncio.Future[Outcome | None]:
        """Performs a verb beside whatever the call does; see ProgramHost.command."""

        async def performing(context: ProgramContext) -> Outcome | None:
            return await perform(context, verb)

        return self._programs.command(self._group, verb.verb, performing, self._context())

    def join(self, other: CallId) -> asyncio.Future[None]:
        """See Call.join."""

        async def joining(_context: ProgramContext) -> None:
            self.post(inputs.Observed(VerbStarted(Bridge.verb)))
            await self._control.joined(other, whole=True)

        return self._programs.command(self._group, Bridge.verb, joining, self._context())

    def taken(self, near: End, port: MediaPort) -> Joint:
        """See CallControl.taken. Raises GatewayError(BAD_REQUEST)."""
        return self._control.taken(near, port)

    def far(self, port: MediaPort) -> MediaPort | None:
        """See CallControl.far."""
        return self._control.far(port)

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
        for ends in (self._programs.stop_all, self._screening.close, self._background.close):
            self._guarded(do.StopProgram(), ends)
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
