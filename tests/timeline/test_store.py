"""The store: one order, bounded memory, and nobody sees another project's call."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from gateway import events as e
from gateway.config.timeline import TimelineConfig
from gateway.errors import NORMAL, GatewayError
from gateway.ids import CallId, LegId
from gateway.observability.timeline import (
    Happened,
    LivePort,
    QualitySample,
    QualitySampler,
    Timeline,
    Timelines,
)
from gateway.observability.timeline.entries import SipSeen
from gateway.observability.timeline.keeping import MAX_SAMPLES
from gateway.ports import Layer, LegKind, PortStats
from gateway.storage.event_log import EventLog
from gateway.testing import ManualClock, virtual_time
from gateway.testing.clock import LoopClock
from tests.timeline.packets import packet, request, response

STATS = PortStats(50, 1, 49, 0, 0, 0, 1.25, 20.5, 2, 0, 0)


class Node:
    """A log, a clock and the timelines that read it."""

    def __init__(self, **config: float) -> None:
        self.clock = ManualClock()
        self.log = EventLog(self.clock)
        self.timelines = Timelines(self.log, self.clock, TimelineConfig.model_validate(config))

    def tell(self, call: str, event: e.Event) -> None:
        self.timelines.note(self.log.append(CallId(call), event))

    def begin(self, call: str, sip_call_id: str = "", project: str = "default") -> LegId:
        leg = LegId(f"l-{call}")
        self.tell(call, e.CallCreated("browser", "", "", None, project))
        self.tell(call, e.LegAdded(leg, e.Role.CALLER, LegKind.SIP, "north"))
        if sip_call_id:
            self.tell(call, e.LegDialog(leg, sip_call_id))
        return leg

    def end(self, call: str) -> None:
        self.tell(call, e.CallEnded(NORMAL, True, 1, 1))

    def sip(self, text: str, *, sent: bool = False) -> None:
        self.timelines.sip(packet(text, at=self.clock.monotonic, sent=sent))

    def of(self, call: str, project: str = "default") -> Timeline:
        return self.timelines.of(CallId(call), project)


def lines(timeline: Timeline) -> list[str]:
    return [
        x.message.first_line.split(" sip")[0] for x in timeline.entries if isinstance(x, SipSeen)
    ]


def test_an_invite_that_came_before_its_call_is_the_first_entry() -> None:
    node = Node()
    node.sip(request("INVITE", "a@x"))
    node.clock.advance(0.002)
    node.begin("c", "a@x")
    node.clock.advance(0.5)
    node.sip(response("200 OK", "a@x"), sent=True)
    timeline = node.of("c")
    assert lines(timeline) == ["INVITE", "SIP/2.0 200 OK"]
    assert [timeline.offset_ms(x.at) for x in timeline.entries if isinstance(x, SipSeen)] == [
        -2.0, 500.0,
    ]  # fmt: skip
    assert isinstance(timeline.entries[0], SipSeen)
    ats = [entry.at for entry in timeline.entries]
    assert ats == sorted(ats)


def test_events_samples_and_messages_share_one_clock() -> None:
    node = Node()
    leg = node.begin("c", "a@x")
    node.clock.advance(1)
    node.timelines.sample(CallId("c"), leg, node.clock.monotonic, STATS)
    node.clock.advance(1)
    node.tell("c", e.LegTransport(leg, Layer.ICE, "connected", "host-host", 1000.5))
    timeline = node.of("c")
    seen = [(type(x).__name__, timeline.offset_ms(x.at)) for x in timeline.entries[3:]]
    assert seen == [("Happened", 500.0), ("QualitySample", 1000.0)]
    sample = timeline.entries[-1]
    assert isinstance(sample, QualitySample)
    assert sample.stats == STATS
    assert timeline.wall(sample.at) == replace(timeline.created).wall.replace(
        second=timeline.created.wall.second + 1
    )


def test_another_projects_call_is_not_there() -> None:
    node = Node()
    node.begin("c", project="acme")
    assert node.of("c", "acme").call == "c"
    for call, project in (("c", "default"), ("d", "acme")):
        with pytest.raises(GatewayError) as refused:
            node.of(call, project)
        assert refused.value.verdict.http_status == 404


def test_a_call_id_that_two_live_calls_claim_shows_nothing_more_to_either() -> None:
    node = Node()
    node.begin("mine", "a@x", "acme")
    node.sip(request("INVITE", "a@x"))
    node.begin("theirs", "a@x", "evil")
    node.sip(request("BYE", "a@x"))
    assert lines(node.of("mine", "acme")) == ["INVITE"]
    assert lines(node.of("theirs", "evil")) == []


def test_a_call_id_may_be_used_again_when_its_call_is_over() -> None:
    node = Node()
    node.begin("one", "a@x")
    node.end("one")
    node.sip(request("BYE", "a@x"))
    node.begin("two", "a@x")
    node.sip(request("INVITE", "a@x"))
    assert (lines(node.of("one")), lines(node.of("two"))) == (["BYE"], ["INVITE"])


def test_messages_of_a_flood_keep_its_beginning_and_its_end() -> None:
    node = Node()
    node.begin("c", "a@x")
    for number in range(1000):
        node.sip(request("OPTIONS", "a@x", cseq=number))
    node.sip(request("BYE", "a@x"))
    timeline = node.of("c")
    cseqs = [x.message.cseq for x in timeline.entries if isinstance(x, SipSeen)]
    assert len(cseqs) == 200
    assert (cseqs[0], cseqs[-1]) == ("0 OPTIONS", "1 BYE")
    assert timeline.left_out == 801


def test_memory_of_a_call_is_bounded_by_bytes_too() -> None:
    node = Node()
    node.begin("c", "a@x")
    for number in range(100):
        node.sip(request("INFO", "a@x", body="y" * 8000, cseq=number))
    assert node.timelines.bytes < 300 * 1024
    assert node.of("c").left_out > 50


def test_events_of_a_call_are_bounded() -> None:
    node = Node()
    leg = node.begin("c")
    for number in range(3000):
        node.tell("c", e.DigitReceived(leg, "1", 80, number))
    node.end("c")
    happened = [x.envelope.event for x in node.of("c").entries if isinstance(x, Happened)]
    assert len(happened) == 1000
    assert isinstance(happened[0], e.CallCreated)
    assert isinstance(happened[-1], e.CallEnded)


def test_calls_that_are_over_are_forgotten_after_a_while() -> None:
    node = Node(keep_minutes=2)
    node.begin("c", "a@x")
    node.begin("lives")
    node.end("c")
    node.clock.advance(119)
    node.timelines.tick()
    assert node.of("c").ended
    node.clock.advance(1)
    node.timelines.tick()
    with pytest.raises(GatewayError):
        node.of("c")
    assert not node.of("lives").ended


def test_room_is_made_by_forgetting_the_oldest_that_is_over() -> None:
    node = Node(memory_mb=1)
    for number in range(100):
        node.begin(f"c{number}", f"{number}@x")
        for _ in range(10):
            node.sip(request("INFO", f"{number}@x", body="y" * 4000))
        node.end(f"c{number}")
        assert node.timelines.bytes <= 1024 * 1024
    assert node.of("c99").ended
    with pytest.raises(GatewayError):
        node.of("c0")


def test_live_calls_get_no_more_messages_when_there_is_no_room() -> None:
    node = Node(memory_mb=1)
    for number in range(20):
        node.begin(f"c{number}", f"{number}@x")
        for _ in range(30):
            node.sip(request("INFO", f"{number}@x", body="y" * 4000))
    assert node.timelines.bytes <= 1024 * 1024 + 20 * 4096
    last = node.of("c19")
    assert last.left_out == 30
    assert any(isinstance(x, Happened) for x in last.entries)


def test_messages_of_no_call_take_little_room() -> None:
    node = Node()
    for number in range(5000):
        node.sip(request("OPTIONS", f"{number}@scanner", body="y" * 4000))
    for number in range(5000):
        node.sip(request("OPTIONS", "same@scanner", cseq=number))
    assert node.timelines.bytes <= 1024 * 1024
    assert len(node.timelines) == 0


def test_forgetting_everything_leaves_nothing() -> None:
    node = Node(keep_minutes=0)
    leg = node.begin("c", "a@x")
    node.sip(request("INVITE", "a@x"))
    node.timelines.sample(CallId("c"), leg, 1.0, STATS)
    node.end("c")
    assert node.timelines.bytes > 0
    node.timelines.tick()
    assert (node.timelines.bytes, len(node.timelines)) == (0, 0)


def test_an_hour_of_samples_keeps_its_last_minutes_whole() -> None:
    node = Node()
    leg = node.begin("c")
    for second in range(3600):
        node.timelines.sample(CallId("c"), leg, 1000.0 + second, STATS._replace(rx_packets=second))
    seen = [x for x in node.of("c").entries if isinstance(x, QualitySample)]
    assert len(seen) < MAX_SAMPLES
    seconds = [x.stats.rx_packets for x in seen]
    assert seconds[-300:] == list(range(3300, 3600))
    assert seconds[0] == 0
    assert max(b - a for a, b in pairwise(seconds)) <= 16


@virtual_time
async def test_the_log_is_followed_and_every_live_leg_sampled_each_second() -> None:
    clock = LoopClock()
    log = EventLog(clock)
    timelines = Timelines(log, clock, TimelineConfig())
    timelines.start()
    call, legs = CallId("c"), [LegId(f"l{n}") for n in range(40)]
    log.append(call, e.CallCreated("browser", "", ""))

    def stats(port: int) -> PortStats:
        if port == 3:
            raise GatewayError(NORMAL)
        return STATS._replace(tx_packets=port)

    ports = [LivePort(call, leg, number) for number, leg in enumerate(legs)]
    sampler = QualitySampler(timelines, lambda: ports, stats, clock)
    sampling = asyncio.create_task(sampler.run())
    await asyncio.sleep(5.5)
    sampling.cancel()
    await asyncio.gather(sampling, return_exceptions=True)
    await timelines.close()
    timeline = timelines.of(call, "default")
    of_one = [x for x in timeline.entries if isinstance(x, QualitySample) and x.leg == legs[7]]
    assert [timeline.offset_ms(x.at) for x in of_one] == [1000, 2000, 3000, 4000, 5000]
    assert of_one[0].stats.tx_packets == 7
    assert not any(isinstance(x, QualitySample) and x.leg == legs[3] for x in timeline.entries)
