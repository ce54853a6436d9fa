"""Owns what a trace says about a call: its spans, made from its events.

A trace has one root, `call`, from the call's beginning to its end, and below it what its set-up
consisted of: `route`, each `dial`, each leg's `media`, each `program`. Verbs are events of the
program's span. Attributes are ids, kinds, trunks and verdicts: never a number, name or digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_NAME
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import events as e
from gateway.clock import Instant
from gateway.errors import Blame, Verdict
from gateway.ids import CallId, LegId
from gateway.observability.redaction import masked_text
from gateway.ports import LegKind
from gateway.storage.event_log import Envelope

_FAILURES = frozenset({Blame.GATEWAY, Blame.PEER, Blame.NETWORK})
"""Whose fault makes a call an error: that somebody is busy, or hangs up, is none."""

Attributes = Mapping[str, str | int | bool]


@dataclass(slots=True)
class _Leg:
    kind: LegKind
    dialled: bool
    dial: Span | None = None
    media: Span | None = None
    media_began: bool = False


@dataclass(slots=True)
class _Call:
    root: Span
    within: Context
    began: Instant
    incoming: bool
    route: Span | None
    last: Instant  # of its events
    program: Span | None = None
    legs: dict[LegId, _Leg] = field(default_factory=dict)

    def at(self, now: Instant) -> int:
        """Nanoseconds since the epoch, by the monotonic clock since the call's beginning: spans
        stay in order when the wall clock is set."""
        wall = round(self.began.wall.timestamp() * 1e9)
        return wall + round((now.monotonic - self.began.monotonic) * 1e9)


class CallSpans:
    """The spans of live calls. `tracer` takes each span when it ends."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._calls: dict[CallId, _Call] = {}

    def take(self, envelope: Envelope) -> None:
        """One event more, in the log's order."""
        event, now = envelope.event, envelope.at
        if isinstance(event, e.CallCreated):
            self._calls[envelope.call] = self._begin(envelope.call, event, now)
            return
        call = self._calls.get(envelope.call)
        if call is None:
            return
        call.last = now
        match event:
            case e.CallEnded():
                del self._calls[envelope.call]
                self._end(call, event, now)
            case e.CallRouted(rule):
                self._routed(call, rule, now)
            case e.ProgramStarted(program):
                _finish(call.program, call.at(now))
                call.program = self._span(call, "program", now, {"gateway.program": program})
            case e.VerbStarted(verb):
                within = call.program or call.root
                within.add_event("verb", {"gateway.verb": verb}, call.at(now))
            case _:
                self._take_of_leg(call, event, now)

    def close(self) -> None:
        """Events were lost, or the node stops: what is open ends here, and says so."""
        for call in self._calls.values():
            call.root.set_attribute("gateway.incomplete", True)
            for span in self._open(call):
                span.end(call.at(call.last))
        self._calls.clear()

    # ---- a call -----------------------------------------------------------------------------

    def _begin(self, name: CallId, created: e.CallCreated, now: Instant) -> _Call:
        attributes: dict[str, str | int | bool] = {
            "gateway.call.id": name,
            "gateway.context": created.context,
            "gateway.project": created.project,
        }
        if created.trunk is not None:
            attributes["gateway.trunk"] = created.trunk
        wall = round(now.wall.timestamp() * 1e9)
        root = self._tracer.start_span(
            "call",
            context=_asked_by(created),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=wall,
        )
        within = trace.set_span_in_context(root, Context())
        call = _Call(root, within, now, created.trunk is not None, None, now)
        call.route = self._span(call, "route", now, {})
        return call

    def _routed(self, call: _Call, rule: str | None, now: Instant) -> None:
        if call.route is not None:
            # A rule without a name is called by its pattern, which may be somebody's number.
            call.route.set_attribute("gateway.rule", masked_text(rule or "none"))
            call.route.end(call.at(now))
            call.route = None

    def _end(self, call: _Call, ended: e.CallEnded, now: Instant) -> None:
        end = call.at(now)
        _judge(call.root, ended.verdict)
        call.root.set_attribute("gateway.answered", ended.answered)
        for span in self._open(call):
            span.end(end)

    @staticmethod
    def _open(call: _Call) -> list[Span]:
        legs = [span for leg in call.legs.values() for span in (leg.dial, leg.media)]
        found = [*legs, call.route, call.program, call.root]
        return [span for span in found if span is not None]

    # ---- its legs ---------------------------------------------------------------------------

    def _take_of_leg(self, call: _Call, event: e.Event, now: Instant) -> None:
        match event:
            case e.LegAdded():
                self._add(call, event, now)
            case e.CallRinging(leg):
                self._note(call, leg, "ringing", now)
            case e.CallEarlyMedia(leg):
                self._note(call, leg, "early media", now)
                self._opens(call, leg, now)
            case e.CallAnswered(leg):
                self._answer(call, leg, now)
            case e.MediaStarted(leg):
                known = call.legs.get(leg)
                if known is not None:
                    known.media_began = True
                    _finish(known.media, call.at(now))
                    known.media = None
            case e.LegGone(leg, verdict):
                self._leave(call, leg, verdict, now)
            case _:
                pass

    def _add(self, call: _Call, added: e.LegAdded, now: Instant) -> None:
        dialled = added.role is e.Role.CALLEE or (not call.incoming and added.trunk is not None)
        call.legs[added.leg] = leg = _Leg(added.kind, dialled)
        if dialled:
            about: dict[str, str | int | bool] = {
                "gateway.leg.id": added.leg,
                "gateway.leg.kind": added.kind.value,
            }
            if added.trunk is not None:
                about["gateway.trunk"] = added.trunk
            if added.kind is LegKind.SIP:
                about[NETWORK_PROTOCOL_NAME] = "sip"
            leg.dial = self._span(call, "dial", now, about, SpanKind.CLIENT)
        elif added.kind is LegKind.WEBRTC:
            self._opens(call, added.leg, now)  # ICE and DTLS begin at once

    def _note(self, call: _Call, leg: LegId, what: str, now: Instant) -> None:
        known = call.legs.get(leg)
        if known is not None and known.dial is not None:
            known.dial.add_event(what, timestamp=call.at(now))

    def _answer(self, call: _Call, answering: LegId | None, now: Instant) -> None:
        for name, leg in call.legs.items():
            if name == answering or not leg.dialled:
                _finish(leg.dial, call.at(now))
                leg.dial = None
                self._opens(call, name, now)

    def _opens(self, call: _Call, name: LegId, now: Instant) -> None:
        """Audio may flow from now on: how long does it take to come?"""
        leg = call.legs.get(name)
        if leg is not None and leg.media is None and not leg.media_began:
            about = {"gateway.leg.id": name, "gateway.leg.kind": leg.kind.value}
            leg.media = self._span(call, "media", now, about)

    def _leave(self, call: _Call, name: LegId, verdict: Verdict, now: Instant) -> None:
        leg = call.legs.pop(name, None)
        for span in (leg.dial, leg.media) if leg is not None else ():
            if span is not None:
                _judge(span, verdict)
                span.end(call.at(now))

    def _span(
        self,
        call: _Call,
        name: str,
        now: Instant,
        attributes: Attributes,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        return self._tracer.start_span(
            name, call.within, kind=kind, attributes=attributes, start_time=call.at(now)
        )


def _asked_by(created: e.CallCreated) -> Context:
    """The span of the request that made the call (W3C Trace Context), if it named one."""
    carrier = {} if created.traceparent is None else {"traceparent": created.traceparent}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _judge(span: Span, verdict: Verdict) -> None:
    span.set_attributes(
        {
            "gateway.code": verdict.code,
            "gateway.blame": verdict.blame.value,
            "gateway.sip_status": verdict.sip_status,
            "gateway.q850": verdict.q850,
        }
    )
    if verdict.blame in _FAILURES:
        span.set_attribute(ERROR_TYPE, verdict.code)
        span.set_status(Status(StatusCode.ERROR))


def _finish(span: Span | None, at: int) -> None:
    if span is not None:
        span.end(at)
