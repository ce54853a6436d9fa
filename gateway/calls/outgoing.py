"""Owns legs that the gateway calls: those of one target, and several tabs that ring as one leg."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.calls.dialling import ANSWERED_ELSEWHERE
from gateway.calls.services import Services
from gateway.dialplan import ANONYMOUS, Destination, DialUser
from gateway.errors import DECLINED, NORMAL, UNAVAILABLE, GatewayError, Verdict
from gateway.ids import CallId, LegId
from gateway.ports import (
    Leg,
    LegAnswered,
    LegEnded,
    LegEvent,
    LegKind,
    LegRinging,
    LegSink,
    SipTarget,
)


def legs_of(services: Services, target: Destination, call: CallId) -> tuple[Sequence[Leg], float]:
    """Calls a target: its legs, and how many seconds they may ring. No legs: the user is not
    signed in. Raises GatewayError."""
    if isinstance(target, DialUser):
        legs = services.browsers.ring(target.user, target.caller, call)
        return legs, target.ring_timeout or services.limits.ring
    usual = services.ring_timeouts.get(target.trunk, services.limits.ring)
    seconds = target.ring_timeout or usual
    wanted = SipTarget(
        trunk=target.trunk,
        number=target.number,
        caller="" if target.caller == ANONYMOUS else target.caller,
        headers=target.headers,
        withheld=target.caller == ANONYMOUS,
        ring_timeout=seconds,
    )
    return [services.sip.dial(wanted)], seconds


def caller_of(legs: Sequence[Leg]) -> Leg:
    """One leg for all: whoever answers first. Raises GatewayError(UNAVAILABLE): there is none."""
    if not legs:
        raise GatewayError(UNAVAILABLE)
    return legs[0] if len(legs) == 1 else ForkedLeg(legs)


class ForkedLeg:
    """Several outgoing legs as one (see gateway.ports.Leg): the first that answers is it, the
    others are hung up. Its last event comes when the last of them is over."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        self._legs = {leg.id: leg for leg in legs}
        self._first = legs[0]
        self._before: dict[LegId, list[LegEvent]] = {leg.id: [] for leg in legs}
        self._ended: dict[LegId, LegEnded] = {}
        self._winner: LegId | None = None
        self._rung = False
        self._hung_up = False
        self._sink: LegSink | None = None

    @property
    def id(self) -> LegId:
        """The first leg's id."""
        return self._first.id

    @property
    def kind(self) -> LegKind:
        """The first leg's kind."""
        return self._first.kind

    def listen(self, sink: LegSink) -> None:
        """See gateway.ports.Leg."""
        self._sink = sink
        for leg in self._legs.values():
            leg.listen(partial(self._on_event, leg.id))

    def ring(self) -> None:
        """Nothing: the gateway calls."""

    def early_media(self) -> None:
        """Nothing: the gateway calls."""

    def answer(self) -> None:
        """Nothing: the gateway calls."""

    def hangup(self, verdict: Verdict) -> None:
        """See gateway.ports.Leg."""
        self._hung_up = True
        for leg in self._legs.values():
            if leg.id not in self._ended:
                leg.hangup(verdict)

    def _on_event(self, leg: LegId, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self._on_end(leg, event)
        elif self._winner == leg:
            self._tell(event)
        elif self._winner is not None or self._hung_up:
            return
        elif isinstance(event, LegAnswered):
            self._win(leg)
        elif isinstance(event, LegRinging):
            if not self._rung:
                self._rung = True
                self._tell(event)
        else:
            self._before[leg].append(event)

    def _win(self, winner: LegId) -> None:
        self._winner = winner
        for leg in self._legs.values():
            if leg.id != winner and leg.id not in self._ended:
                leg.hangup(ANSWERED_ELSEWHERE)
        for event in self._before.pop(winner):
            self._tell(event)
        self._tell(LegAnswered())

    def _on_end(self, leg: LegId, event: LegEnded) -> None:
        self._ended[leg] = event
        if len(self._ended) < len(self._legs):
            return
        told = self._ended[self._winner] if self._winner is not None else self._refusal()
        self._tell(told)

    def _refusal(self) -> LegEnded:
        """What to tell when nobody answered: the last word, of which a hang-up is a refusal."""
        last = list(self._ended.values())[-1]
        if last.by_peer and last.verdict.code == NORMAL.code:
            return LegEnded(DECLINED, by_peer=True)
        return last

    def _tell(self, event: LegEvent) -> None:
        assert self._sink is not None, "a leg has a listener before anything happens"
        self._sink(event)
