"""What calls add to the metrics, from the events that a call writes."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway import events as e
from gateway.errors import BUSY, PEER_UNREACHABLE, Verdict
from gateway.ids import CallId, LegId
from gateway.observability import call_metrics
from gateway.observability.metrics import Metrics
from gateway.observability.node_metrics import NodeState
from gateway.ports import LegKind
from gateway.storage.event_log import EventLog
from gateway.testing import ManualClock
from tests.storage.calls import CALLEE, CALLER, DIGITS, whole

CALL, BROWSER, PHONE = CallId("c-1"), LegId("l-1"), LegId("l-2")


class Site:
    """A log, and the metrics of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = EventLog(self.clock)
        self.metrics = Metrics(self.log, NodeState, ["out"])

    def tell(self, *events: e.Event, after: float = 0.0, call: CallId = CALL) -> None:
        """The clock moves, then these happen."""
        self.clock.advance(after)
        for event in events:
            self.log.append(call, event)

    async def value(self, sample: str, **labels: str) -> float | None:
        """A sample of the next scrape; None: it has none."""
        text, _ = await self.metrics.scrape()
        for family in text_string_to_metric_families(text.decode()):
            for found in family.samples:
                if found.name == sample and labels.items() <= found.labels.items():
                    return found.value
        return None


@pytest.fixture
def site() -> Site:
    return Site()


def dialled(number: str = CALLEE, caller: str = CALLER) -> list[e.Event]:
    return [
        e.CallCreated("browser", caller, number),
        e.LegAdded(BROWSER, e.Role.CALLER, LegKind.WEBRTC, None, caller),
        e.CallRouted("rule", ()),
        e.LegAdded(PHONE, e.Role.CALLEE, LegKind.SIP, "out", number),
    ]


def over(verdict: Verdict, *, by_peer: bool = True, talk_ms: int = 0) -> list[e.Event]:
    return [
        e.LegGone(PHONE, verdict, by_peer),
        e.LegGone(BROWSER, verdict, by_peer=False),
        e.CallEnded(verdict, bool(talk_ms), 5000, talk_ms, e.Role.CALLEE),
    ]


async def test_a_call_is_timed_from_its_beginning_and_its_leg_from_the_dialling(site: Site) -> None:
    created, caller, routed, callee = dialled()
    site.tell(created, caller)
    site.tell(routed, callee, after=0.3)
    site.tell(e.CallRinging(PHONE), after=1.5)
    site.tell(e.CallAnswered(PHONE), after=4.0)
    where = {"kind": "sip", "trunk": "out"}
    delay = await site.value("gateway_post_dial_delay_seconds_sum", **where)
    assert delay == pytest.approx(1.5)
    for stage, seconds in (("ringing", 1.8), ("answered", 5.8)):
        took = await site.value("gateway_call_setup_seconds_sum", stage=stage)
        assert took == pytest.approx(seconds)
    assert await site.value("gateway_post_dial_delay_seconds_count", kind="webrtc") is None
    assert await site.value("gateway_legs_live", **where) == 1


async def test_a_second_ringing_or_answer_changes_no_time(site: Site) -> None:
    site.tell(*dialled())
    site.tell(e.CallRinging(PHONE), after=1)
    site.tell(e.CallRinging(PHONE), e.CallAnswered(None), after=1)
    site.tell(e.CallAnswered(PHONE), after=1)
    for stage in ("ringing", "answered"):
        assert await site.value("gateway_call_setup_seconds_count", stage=stage) == 1
    assert await site.value("gateway_call_setup_seconds_sum", stage="answered") == 2


async def test_ends_are_counted_by_code_and_blame_and_nothing_is_live_then(site: Site) -> None:
    site.tell(*dialled(), *over(BUSY))
    assert await site.value("gateway_calls_started_total", trunk="") == 1
    assert await site.value("gateway_calls_ended_total", code="busy", blame="callee") == 1
    gone = {"kind": "sip", "trunk": "out", "code": "busy", "blame": "callee", "by": "peer"}
    assert await site.value("gateway_legs_ended_total", **gone) == 1
    assert await site.value("gateway_legs_live", kind="sip") == 0
    assert await site.value("gateway_legs_live", kind="webrtc") == 0
    assert await site.value("gateway_call_talk_seconds_count") == 0


async def test_a_trunk_that_does_not_react_is_counted_until_it_does(site: Site) -> None:
    async def in_a_row() -> float | None:
        return await site.value("gateway_trunk_failures_in_a_row", trunk="out")

    assert await in_a_row() == 0
    for number in range(3):
        call = CallId(f"c-{number}")
        site.tell(*dialled(), *over(PEER_UNREACHABLE, by_peer=False), call=call)
    assert await in_a_row() == 3
    site.tell(*dialled(), *over(BUSY, by_peer=False))  # the caller gave up: it says nothing
    assert await in_a_row() == 3
    site.tell(*dialled(), *over(BUSY))
    assert await in_a_row() == 0


async def test_quality_of_legs(site: Site) -> None:
    site.tell(
        *dialled(),
        e.LegQuality(PHONE, "pcmu/8000", 950, 50, 500, 5, 12.0, 80.0),
        e.LegQuality(BROWSER, "opus/48000", 0, 0, 0, 0, 0.0, 0.0),
    )
    where = {"kind": "sip", "trunk": "out"}
    for name, labels, value in (
        ("leg_loss_ratio", {"direction": "rx"}, 0.05),
        ("leg_loss_ratio", {"direction": "tx"}, 0.01),
        ("leg_jitter_seconds", {}, 0.012),
        ("leg_rtt_seconds", {}, 0.08),
    ):
        found = await site.value(f"gateway_{name}_sum", **where, **labels)
        assert found == pytest.approx(value)
    opinion = await site.value("gateway_leg_mos_sum", **where)
    assert opinion is not None
    assert 3.0 < opinion < 4.0  # 5 % of G.711 lost
    assert await site.value("gateway_leg_mos_count", kind="webrtc") is None  # it said nothing


async def test_digits_are_counted_and_not_told(site: Site) -> None:
    whole(site.log, "c-1")
    assert await site.value("gateway_dtmf_digits_total", what="received") == len(DIGITS)


async def test_events_that_come_too_fast_leave_nothing_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_metrics, "QUEUE", 10)
    site.metrics = Metrics(site.log, NodeState)
    site.tell(*dialled())
    assert await site.value("gateway_legs_live", kind="sip") == 1
    site.tell(*[e.CallRinging(PHONE)] * 20)
    assert await site.value("gateway_metrics_events_lost_total") == 10
    assert await site.value("gateway_legs_live", kind="sip") is None
    site.tell(*dialled(), *over(BUSY))
    assert await site.value("gateway_legs_live", kind="sip") == 0


async def test_it_counts_without_being_scraped(site: Site) -> None:
    async with AsyncExitStack() as stack:
        site.metrics.start(stack)
        for number in range(100):
            whole(site.log, f"c-{number}")
    assert await site.value("gateway_calls_started_total", trunk="") == 100
    assert site.log.subscribers == 0


names = st.text(min_size=6, max_size=20).filter(lambda text: text.strip())


@given(names, names)
@settings(deadline=None, max_examples=50)
async def test_no_number_and_no_name_becomes_a_label(caller: str, callee: str) -> None:
    """The metrics of a call with odd numbers are those of any other call."""
    texts = []
    for who in ((caller, callee), ("a", "b")):
        site = Site()
        site.tell(*dialled(who[1], who[0]), *over(BUSY.because(f"no {who}"), talk_ms=10))
        text, _ = await site.metrics.scrape()
        texts.append(re.findall(r"^gateway_.*$", text.decode(), re.MULTILINE))
    assert texts[0] == texts[1]
