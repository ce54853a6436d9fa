"""Owns what calls work with: the parts of a node, and how one call begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.calls.audio import CallAudio
from gateway.calls.hunting import down_last, turned
from gateway.calls.joint import End, Joint
from gateway.calls.programs import PROGRAMS, Asks, NoServer, Program, Sounds
from gateway.calls.recorder import Recorders
from gateway.calls.state import DEFAULT_LIMITS, Limits
from gateway.clock import Clock
from gateway.dialplan import Action, Destination, DialOut, DialTrunk, Origin, Plan, Request
from gateway.events import CallCreated, LegAdded, Role
from gateway.ids import CallId
from gateway.observability.traceparent import current_traceparent
from gateway.ports import BrowserDirectory, Leg, Media, SipPlane
from gateway.storage.event_log import EventLog
from gateway.verbs import Dial


class Joinable(Protocol):
    """Another live call, as `bridge` sees it."""

    @property
    def project(self) -> str:
        """Whose call it is."""
        ...

    @property
    def audio(self) -> CallAudio:
        """Who hears whom in it."""
        ...

    def take(self, near: End) -> Joint:
        """Stops its program; its caller and `near` can be joined then. Raises
        GatewayError(BAD_REQUEST)."""
        ...

    async def wait_over(self) -> None:
        """Returns when its end has begun."""
        ...

    def release(self) -> None:
        """Ends it: who took it is gone."""
        ...


class CallsOut(Protocol):
    """See CallRegistry.call_out."""

    def __call__(
        self, dial: Dial, request: Request, action: Action | None = None, *, after: float = 0.0
    ) -> CallId:
        """Starts a call; returns its id."""
        ...


class Rounds:
    """Whose turn it is in each group of targets that takes turns."""

    def __init__(self) -> None:
        self._turns: Counter[str] = Counter()

    def turned(self, dial: DialOut) -> DialOut:
        """`dial`, begun one target further than the last one of its group."""
        turn = self._turns[dial.group]
        self._turns[dial.group] += 1
        return turned(dial, turn)


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a node works with."""

    media: Media
    sip: SipPlane
    browsers: BrowserDirectory
    log: EventLog
    clock: Clock
    sounds: Sounds
    calls: Mapping[CallId, Joinable]  # the live ones
    call_out: CallsOut
    limits: Limits = DEFAULT_LIMITS
    ring_timeouts: Mapping[str, float] = field(default_factory=dict)  # seconds, by trunk
    webhooks: Asks = field(default_factory=NoServer)
    recorders: Recorders | None = None  # None: nothing is recorded
    # Told when digits of a call begin to be secret, and when they are no more; not at its end.
    keep_secret: Callable[[CallId, bool], None] = lambda _call, _secret: None
    rounds: Rounds = field(default_factory=Rounds)
    trunk_is_down: Callable[[str], bool] = lambda _trunk: False
    programs: Mapping[str, Program] = field(default_factory=lambda: PROGRAMS)

    def course(self, dial: DialOut) -> DialOut:
        """`dial` as it is to be performed now: whose turn it is first, who is down last."""
        return down_last(self.rounds.turned(dial), self.trunk_is_down)


@dataclass(frozen=True, slots=True)
class Start:
    """How a call begins. `action`: what to do instead of asking the plan; `rings`: the gateway
    calls its caller at `target`, who may ring for so many seconds."""

    request: Request
    plan: Plan
    action: Action | None = None
    rings: float | None = None
    target: Destination | None = None


def created(request: Request) -> CallCreated:
    """The first event of a call that `request` asks for."""
    trunk = request.source if request.origin is Origin.TRUNK else None
    return CallCreated(
        request.context,
        request.caller,
        request.callee,
        trunk,
        request.owner.project,
        current_traceparent(),
    )


def caller_added(leg: Leg, start: Start) -> LegAdded:
    """The event of a call's first leg."""
    if start.target is not None:
        return LegAdded(leg.id, Role.CALLER, leg.kind, *whereabouts(start.target))
    first = created(start.request)
    return LegAdded(leg.id, Role.CALLER, leg.kind, first.trunk, first.caller)


def whereabouts(target: Destination) -> tuple[str | None, str]:
    """The trunk of a target, and its number or its user's name."""
    if isinstance(target, DialTrunk):
        return target.trunk, target.number
    return None, target.user
