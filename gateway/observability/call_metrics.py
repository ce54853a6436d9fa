"""Owns what calls add to the metrics: counters and histograms, from the event log alone.

Labels are what configurations and the gateway's own words bound: trunks, codes, kinds, verbs. No
number, name of a user, digit or id of a call ever becomes one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway import events as e
from gateway.errors import PEER_UNREACHABLE
from gateway.ids import CallId, LegId
from gateway.storage import quality
from gateway.storage.event_log import Envelope, EventLog, EventsLost

QUEUE = 50_000
"""Events that may wait to be counted: more than a second of the busiest node's."""

_SETUP_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60)
_TALK_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_RATIOS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_NETWORK_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1)
_OPINIONS = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5)


@dataclass(slots=True)
class _Leg:
    kind: str
    trunk: str
    added: float
    dialled: bool  # the gateway called it
    heard: bool = False  # it rings, sends audio, or took the call


@dataclass(slots=True)
class _Call:
    created: float
    incoming: bool  # a trunk made it
    ringing: bool = False
    answered: bool = False
    legs: dict[LegId, _Leg] = field(default_factory=dict)


class CallMetrics:
    """Counts what the log tells. Belongs to the asyncio thread."""

    def __init__(
        self, registry: CollectorRegistry, log: EventLog, trunks: Iterable[str] = ()
    ) -> None:
        """trunks: those of the configuration, which are shown before their first call."""
        self._subscription = log.subscribe(capacity=QUEUE)
        self._calls: dict[CallId, _Call] = {}
        self._registry = registry
        self._define_calls()
        self._define_legs()
        for trunk in trunks:
            self._failures.labels(trunk)
            self._started.labels(trunk)

    def _define_calls(self) -> None:
        registry = self._registry
        self._started = Counter(
            "gateway_calls_started",
            "Calls that began; trunk: that they came from, empty for browsers and the API",
            ["trunk"],
            registry=registry,
        )
        self._ended = Counter(
            "gateway_calls_ended",
            "Calls that ended, by the error tree's code and by who could have prevented it",
            ["code", "blame"],
            registry=registry,
        )
        self._setup = Histogram(
            "gateway_call_setup_seconds",
            "From a call's beginning until it first rings (stage ringing) or is answered",
            ["stage"],
            buckets=_SETUP_SECONDS,
            registry=registry,
        )
        self._talk = Histogram(
            "gateway_call_talk_seconds",
            "From the first answer to the end, of answered calls",
            buckets=_TALK_SECONDS,
            registry=registry,
        )
        self._verbs = Counter(
            "gateway_verbs_started", "Verbs that calls performed", ["verb"], registry=registry
        )
        self._recordings = Counter(
            "gateway_recordings_started", "Recordings that began", registry=registry
        )
        self._missed = Counter(
            "gateway_metrics_events_lost",
            "Events that came too fast to be counted here",
            registry=registry,
        )

    def _define_legs(self) -> None:
        registry, where = self._registry, ["kind", "trunk"]
        self._live = Gauge(
            "gateway_legs_live", "Legs of live calls, by kind and trunk", where, registry=registry
        )
        self._pdd = Histogram(
            "gateway_post_dial_delay_seconds",
            "From dialling a leg until it rings, sends early audio or takes the call",
            where,
            buckets=_SETUP_SECONDS,
            registry=registry,
        )
        self._gone = Counter(
            "gateway_legs_ended",
            "Legs that ended; by: the side that ended them",
            [*where, "code", "blame", "by"],
            registry=registry,
        )
        self._failures = Gauge(
            "gateway_trunk_failures_in_a_row",
            "Calls to a trunk that it did not react to, since it last did",
            ["trunk"],
            registry=registry,
        )
        self._loss = Histogram(
            "gateway_leg_loss_ratio",
            "Share of a leg's packets lost; direction rx: from its far end, tx: as that reports",
            [*where, "direction"],
            buckets=_RATIOS,
            registry=registry,
        )
        self._jitter = Histogram(
            "gateway_leg_jitter_seconds",
            "Interarrival jitter of a leg at its end (RFC 3550 6.4.1)",
            where,
            buckets=_NETWORK_SECONDS,
            registry=registry,
        )
        self._rtt = Histogram(
            "gateway_leg_rtt_seconds",
            "Round trip of a leg at its end, where RTCP told one",
            where,
            buckets=_NETWORK_SECONDS,
            registry=registry,
        )
        self._mos = Histogram(
            "gateway_leg_mos",
            "Mean opinion score of what came from a leg, by the E-model (ITU-T G.107)",
            where,
            buckets=_OPINIONS,
            registry=registry,
        )
        self._packets = Counter(
            "gateway_rtp_packets",
            "RTP packets of legs that ended",
            [*where, "direction"],
            registry=registry,
        )
        self._silences = Counter(
            "gateway_media_silences", "Times that a leg's RTP stopped", where, registry=registry
        )
        self._digits = Counter(
            "gateway_dtmf_digits",
            "DTMF digits that were received, sent, or could not be sent; never which",
            [*where, "what"],
            registry=registry,
        )

    async def follow(self) -> None:
        """Counts as events come; returns after `close`."""
        async for item in self._subscription:
            self._take(item)

    def catch_up(self) -> None:
        """Counts all that has happened until now."""
        while (item := self._subscription.take()) is not None:
            self._take(item)

    def close(self) -> None:
        """Nothing is counted any more."""
        self._subscription.close()

    # ---- events -----------------------------------------------------------------------------

    def _take(self, item: Envelope | EventsLost) -> None:
        if isinstance(item, EventsLost):
            # Ends may be among them: what is kept of live calls would stay for ever.
            self._missed.inc(item.last - item.first + 1)
            self._calls.clear()
            self._live.clear()
            return
        now = item.at.monotonic
        match item.event:
            case e.CallCreated(trunk=trunk):
                self._calls[item.call] = _Call(now, trunk is not None)
                self._started.labels(trunk or "").inc()
            case e.CallEnded() as ended:
                self._end(item.call, ended)
            case e.VerbStarted(verb):
                self._verbs.labels(verb).inc()
            case e.RecordingStarted():
                self._recordings.inc()
            case event:
                call = self._calls.get(item.call)
                if call is not None:
                    self._take_of(call, event, now)

    def _take_of(self, call: _Call, event: e.Event, now: float) -> None:
        match event:
            case e.LegAdded(leg, role, kind, trunk):
                dialled = role is e.Role.CALLEE or not call.incoming
                # A browser's own call is no leg that the gateway dialled, though no trunk made it.
                dialled = dialled and not (role is e.Role.CALLER and trunk is None)
                call.legs[leg] = added = _Leg(kind.value, trunk or "", now, dialled)
                self._live.labels(added.kind, added.trunk).inc()
            case e.CallRinging(leg) | e.CallEarlyMedia(leg):
                self._hear(call, leg, now)
                if not call.ringing and isinstance(event, e.CallRinging):
                    call.ringing = True
                    self._setup.labels("ringing").observe(now - call.created)
            case e.CallAnswered(leg):
                if leg is not None:
                    self._hear(call, leg, now)
                if not call.answered:
                    call.answered = True
                    self._setup.labels("answered").observe(now - call.created)
            case e.LegGone(leg):
                self._leave(call, leg, event)
            case e.LegQuality(leg):
                self._judge(call.legs.get(leg), event)
            case e.MediaSilent(leg):
                if known := call.legs.get(leg):
                    self._silences.labels(known.kind, known.trunk).inc()
            case e.DigitReceived(leg):
                self._digit(call.legs.get(leg), "received")
            case e.DigitSent(leg):
                self._digit(call.legs.get(leg), "sent")
            case e.DigitDropped(leg):
                self._digit(call.legs.get(leg), "dropped")
            case _:
                pass

    def _hear(self, call: _Call, leg: LegId, now: float) -> None:
        known = call.legs.get(leg)
        if known is None or known.heard or not known.dialled:
            return
        known.heard = True
        self._pdd.labels(known.kind, known.trunk).observe(now - known.added)

    def _leave(self, call: _Call, leg: LegId, gone: e.LegGone) -> None:
        known = call.legs.pop(leg, None)
        if known is None:
            return
        verdict, by = gone.verdict, "peer" if gone.by_peer else "gateway"
        self._live.labels(known.kind, known.trunk).dec()
        self._gone.labels(known.kind, known.trunk, verdict.code, verdict.blame.value, by).inc()
        if not (known.trunk and known.dialled):
            return
        if verdict.code == PEER_UNREACHABLE.code and not known.heard:
            self._failures.labels(known.trunk).inc()
        elif known.heard or gone.by_peer:
            self._failures.labels(known.trunk).set(0)

    def _judge(self, leg: _Leg | None, told: e.LegQuality) -> None:
        if leg is None:
            return
        where = (leg.kind, leg.trunk)
        self._packets.labels(*where, "rx").inc(told.rx_packets)
        self._packets.labels(*where, "tx").inc(told.tx_packets)
        lost = max(told.rx_lost, 0)
        if told.rx_packets:
            self._loss.labels(*where, "rx").observe(lost / (told.rx_packets + lost))
            self._jitter.labels(*where).observe(told.jitter_ms / 1000)
        if told.tx_packets:
            missed = min(max(told.remote_lost, 0) / told.tx_packets, 1.0)
            self._loss.labels(*where, "tx").observe(missed)
        if told.rtt_ms > 0:  # else no report came
            self._rtt.labels(*where).observe(told.rtt_ms / 1000)
        heard = quality.heard(
            told.codec, told.rx_packets, told.rx_lost, told.rtt_ms, told.jitter_ms
        )
        if heard is not None:
            self._mos.labels(*where).observe(heard)

    def _digit(self, leg: _Leg | None, what: str) -> None:
        if leg is not None:
            self._digits.labels(leg.kind, leg.trunk, what).inc()

    def _end(self, name: CallId, ended: e.CallEnded) -> None:
        self._ended.labels(ended.verdict.code, ended.verdict.blame.value).inc()
        if ended.answered:
            self._talk.observe(max(ended.talk_ms, 0) / 1000)
        call = self._calls.pop(name, None)
        for leg in call.legs.values() if call is not None else ():
            self._live.labels(leg.kind, leg.trunk).dec()
