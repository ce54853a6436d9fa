"""Owns the live calls of a node: starting, finding and ending them, and their limits."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType

import structlog

from gateway.calls.call import Call
from gateway.calls.outgoing import caller_of, legs_of
from gateway.calls.programs import PROGRAMS, Asks, NoServer, Program, Sounds
from gateway.calls.programs.routing import Routing
from gateway.calls.recorder import Recorders
from gateway.calls.services import Services, Start, created
from gateway.calls.state import DEFAULT_LIMITS, Limits
from gateway.clock import Clock
from gateway.config.model import NodeConfig
from gateway.dialplan import NOBODY, Action, Destination, Origin, Owner, Plan, Request
from gateway.errors import (
    BAD_REQUEST,
    NOT_FOUND,
    SHUTTING_DOWN,
    TOO_MANY_CALLS,
    GatewayError,
    Verdict,
)
from gateway.events import CallEnded
from gateway.ids import DEFAULT_PROJECT, CallId, new_call_id, qualified
from gateway.observability.timeline import LivePort
from gateway.ports import BrowserDirectory, IncomingSip, Leg, Media, SipPlane
from gateway.storage.event_log import EventLog
from gateway.verbs import Dial

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What calls take from the node's configuration. Times in seconds."""

    max_calls: int = 500
    limits: Limits = DEFAULT_LIMITS
    ring_timeouts: Mapping[str, float] = field(default_factory=dict)  # by trunk
    projects: Mapping[str, str] = field(default_factory=dict)  # by trunk

    @classmethod
    def from_config(cls, config: NodeConfig) -> CallSettings:
        """The settings that `config` asks for."""
        return cls(
            max_calls=config.max_calls,
            # Legs have their own set-up timer; the call's is only for a leg that forgot.
            limits=Limits(setup=config.webrtc.setup_timeout + 5),
            ring_timeouts={trunk.name: trunk.ring_timeout for trunk in config.sip.trunks},
            projects={trunk.name: trunk.project for trunk in config.sip.trunks},
        )


class CallRegistry:
    """All live calls. Belongs to the asyncio thread."""

    def __init__(
        self,
        *,
        plan: Plan,
        media: Media,
        sip: SipPlane,
        browsers: BrowserDirectory,
        log: EventLog,
        clock: Clock,
        sounds: Sounds,
        settings: CallSettings | None = None,
        programs: Mapping[str, Program] = MappingProxyType({}),
        webhooks: Asks | None = None,
        recorders: Recorders | None = None,
        keep_secret: Callable[[CallId, bool], None] = lambda _call, _secret: None,
        trunk_is_down: Callable[[str], bool] = lambda _trunk: False,
    ) -> None:
        """programs: call programs by name, besides the built-in ones. webhooks: None asks none.
        recorders: None records nothing. keep_secret: told which call's digits are secret now.
        trunk_is_down: asked of each trunk that is to be called, by name."""
        settings = settings or CallSettings()
        self._calls: dict[CallId, Call] = {}
        self._plan = plan
        self._max_calls = settings.max_calls
        self._projects = settings.projects
        self._services = Services(
            media=media,
            sip=sip,
            browsers=browsers,
            log=log,
            clock=clock,
            sounds=sounds,
            calls=self._calls,
            call_out=self.call_out,
            webhooks=webhooks or NoServer(),
            recorders=recorders,
            keep_secret=keep_secret,
            trunk_is_down=trunk_is_down,
            limits=settings.limits,
            ring_timeouts=settings.ring_timeouts,
            programs=ChainMap(dict(programs), PROGRAMS),
        )
        self._tasks: dict[CallId, asyncio.Task[Verdict]] = {}
        self._later: dict[CallId, tuple[asyncio.TimerHandle, Request]] = {}  # to be made
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def calls(self) -> Mapping[CallId, Call]:
        """Live calls by id."""
        return MappingProxyType(self._calls)

    @property
    def log(self) -> EventLog:
        """The event log that all calls write to."""
        return self._services.log

    @property
    def plan(self) -> Plan:
        """The plan that new calls are routed by."""
        return self._plan

    def use_plan(self, plan: Plan) -> None:
        """New calls are routed by `plan`; live ones are not touched."""
        self._plan = plan

    def start_browser_call(self, leg: Leg, user: str, to: str, owner: Owner = NOBODY) -> Call:
        """A browser of `user` ("" when nobody signed in) calls `to`. The call runs at once.

        Raises GatewayError(TOO_MANY_CALLS or SHUTTING_DOWN), and has then hung up the leg.
        """
        return self.begin(leg, self.browser_request(user, to, owner))

    def browser_request(self, user: str, to: str, owner: Owner) -> Request:
        """What the plan is asked about such a call."""
        source = qualified(owner.project, user)
        context = self._plan.context_of(Origin.BROWSER, source)
        return Request(context, user, to, Origin.BROWSER, source, self._wall(), owner=owner)

    def start_sip_call(self, incoming: IncomingSip) -> Call | None:
        """An INVITE came. None: it was refused with a verdict and is taken care of."""
        request = Request(
            self._plan.context_of(Origin.TRUNK, incoming.trunk),
            incoming.caller,
            incoming.callee,
            Origin.TRUNK,
            incoming.trunk,
            self._wall(),
            incoming.headers,
            owner=Owner(self._projects.get(incoming.trunk, DEFAULT_PROJECT)),
        )
        try:
            return self.begin(incoming.leg, request)
        except GatewayError:
            return None

    @property
    def programs(self) -> Mapping[str, Program]:
        """Call programs by name."""
        return self._services.programs

    def call_out(
        self, dial: Dial, request: Request, action: Action | None = None, *, after: float = 0.0
    ) -> CallId:
        """Calls a target, `after` seconds from now; who answers is the caller of a new call, which
        `action` or else the plan then deals with: `request` says as whom, and what it dials. A user
        is called in every tab.

        Raises GatewayError: FORBIDDEN (by the dialplan's policies), BAD_REQUEST (not one target);
        and if it is to be now TOO_MANY_CALLS, SHUTTING_DOWN, UNAVAILABLE (the user is not signed
        in), or what the trunk's leg raises. The call's events tell what came later.
        """
        targets = Routing(self._plan, request).resolve(dial).targets
        if len(targets) != 1:
            raise GatewayError(BAD_REQUEST, "a call begins with one target")
        call = new_call_id()
        begin = partial(self._call_out, call, targets[0], request, action)
        if after > 0:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(after, self._call_later, call, request, begin)
            self._later[call] = timer, request
        else:
            begin()
        return call

    def _call_out(
        self, call: CallId, target: Destination, request: Request, action: Action | None
    ) -> None:
        self._check_room()
        legs, seconds = legs_of(self._services, target, call)
        start = Start(request, self._plan, action, seconds, target)
        self._run(Call(call, caller_of(legs), start, self._services))

    def _call_later(self, call: CallId, request: Request, begin: Callable[[], None]) -> None:
        """What cannot be made when its time has come is a call that ended at once."""
        self._later.pop(call, None)
        try:
            begin()
        except GatewayError as error:
            self._not_made(call, request, error.verdict)

    def _not_made(self, call: CallId, request: Request, verdict: Verdict) -> None:
        _log.warning("call.not_made", call=call, code=verdict.code)
        self.log.append(call, created(request))
        self.log.append(call, CallEnded(verdict, False, 0, 0))

    def _wall(self) -> datetime:
        return self._services.clock.now().wall

    def get(self, call: CallId) -> Call:
        """A live call. Raises GatewayError(NOT_FOUND)."""
        try:
            return self._calls[call]
        except KeyError:
            raise GatewayError(NOT_FOUND, "No such call") from None

    def when_over(self, call: CallId, act: Callable[[], None]) -> None:
        """`act` is called when nothing is left of a call; at once, if it is not live."""
        task = self._tasks.get(call)
        if task is None:
            act()
        else:
            task.add_done_callback(lambda _: act())

    def live_ports(self) -> Iterator[LivePort]:
        """The ports that legs of live calls have now."""
        for call in self._calls.values():
            for leg, port in call.ports():
                yield LivePort(call.id, leg, port)

    def hangup(self, call: CallId, verdict: Verdict | None = None) -> None:
        """Ends a live call (see Call.hangup). Raises GatewayError(NOT_FOUND)."""
        self.get(call).hangup(verdict)

    @property
    def draining(self) -> bool:
        """Whether new calls are refused."""
        return self._draining

    def drain(self) -> None:
        """No new calls from now on; live ones go on."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Returns when no call is live."""
        await self._idle.wait()

    async def close_all(self, verdict: Verdict = SHUTTING_DOWN, patience: float = 5.0) -> None:
        """Drains, hangs up every call and waits `patience` seconds for far ends to confirm; what
        is left then is cut off. No task of a call is left when it returns."""
        self.drain()
        while self._later:
            later, (timer, request) = self._later.popitem()
            timer.cancel()
            self._not_made(later, request, verdict)
        for call in list(self._calls.values()):
            call.hangup(verdict)
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        if late:
            _log.warning("calls.cut_off", count=len(late))
            await asyncio.wait(late)

    def begin(self, leg: Leg, request: Request, action: Action | None = None) -> Call:
        """A call of `leg`, which `action` or else the plan deals with. The call runs at once.

        Raises GatewayError(TOO_MANY_CALLS or SHUTTING_DOWN), and has then hung up the leg.
        """
        try:
            self._check_room()
        except GatewayError as refused:
            leg.hangup(refused.verdict)
            raise
        return self._run(
            Call(new_call_id(), leg, Start(request, self._plan, action), self._services)
        )

    def _check_room(self) -> None:
        refused = None
        if self._draining:
            refused = SHUTTING_DOWN
        elif len(self._calls) >= self._max_calls:
            refused = TOO_MANY_CALLS
        if refused is not None:
            _log.warning("call.refused", code=refused.code, live=len(self._calls))
            raise GatewayError(refused)

    def _run(self, call: Call) -> Call:
        self._calls[call.id] = call
        self._idle.clear()
        task = asyncio.create_task(call.run(), name=f"call {call.id}")
        self._tasks[call.id] = task
        task.add_done_callback(lambda done: self._forget(call.id, done))
        return call

    def _forget(self, call: CallId, task: asyncio.Task[Verdict]) -> None:
        self._calls.pop(call).cut_off()  # nothing to do, unless it was cancelled before it began
        del self._tasks[call]
        if not self._calls:
            self._idle.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("call.task_failed", call=call, exc_info=error)
