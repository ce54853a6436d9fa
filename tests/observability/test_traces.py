"""Traces of calls as a real collector gets them: parents, times, attributes; one that is down."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway import events as e
from gateway.clock import SystemClock
from gateway.config.tracing import TracingConfig
from gateway.errors import BUSY, NORMAL, PEER_UNREACHABLE, Verdict
from gateway.ids import CallId, LegId
from gateway.observability.logs import configure_logs
from gateway.observability.tracing import Tracing
from gateway.ports import LegKind
from gateway.storage.event_log import EventLog
from gateway.testing import ManualClock
from tests.observability.collector import attributes, collecting
from tests.observability.site import looped, talk
from tests.storage.calls import CALLEE, CALLER
from tests.support.processes import HOST, free_ports, wait_until

CALL, BROWSER, FIRST, SECOND = CallId("c-1"), LegId("l-a"), LegId("l-b"), LegId("l-c")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Told:
    """A call whose events happen when the test says so, traced."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = EventLog(self.clock)

    def tell(self, after: float, *events: e.Event) -> None:
        self.clock.advance(after)
        for event in events:
            self.log.append(CALL, event)


async def traced(told: Told, config: TracingConfig, verdict: Verdict = NORMAL) -> None:
    """A call that one phone refuses and another takes."""
    async with AsyncExitStack() as stack:
        Tracing(config, told.log).start(stack)
        told.tell(
            0,
            e.CallCreated("browser", CALLER, CALLEE, traceparent=None),
            e.LegAdded(BROWSER, e.Role.CALLER, LegKind.WEBRTC, None, CALLER),
        )
        told.tell(0.25, e.CallRouted(f"browser[3] {CALLEE}", ()))
        told.tell(0, e.ProgramStarted("ivr"), e.VerbStarted("say"))
        told.tell(0, e.LegAdded(FIRST, e.Role.CALLEE, LegKind.SIP, "out", CALLEE))
        told.tell(1, e.LegGone(FIRST, PEER_UNREACHABLE, False))
        told.tell(0, e.LegAdded(SECOND, e.Role.CALLEE, LegKind.SIP, "spare", CALLEE))
        told.tell(2, e.CallRinging(SECOND))
        told.tell(3, e.CallAnswered(SECOND))
        told.tell(0.125, e.MediaStarted(BROWSER), e.MediaStarted(SECOND))
        told.tell(60, e.LegGone(SECOND, verdict, True), e.LegGone(BROWSER, verdict, False))
        told.tell(0, e.CallEnded(verdict, True, 66_375, 60_125, e.Role.CALLEE))


def seconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


async def test_the_spans_of_a_call_their_parents_and_their_times() -> None:
    told = Told()
    began = told.clock.now().wall.timestamp()
    async with collecting() as collector:
        await traced(told, TracingConfig(otlp=collector.url))
    [root] = collector.named("call")
    assert not root.parent_span_id
    assert {span.parent_span_id for span in collector.spans if span is not root} == {root.span_id}
    assert {span.trace_id for span in collector.spans} == {root.trace_id}
    assert root.start_time_unix_nano == pytest.approx(began * 1e9)
    took = sorted((span.name, seconds(span)) for span in collector.spans)
    assert took == [
        ("call", 66.375),
        ("dial", 1.0),
        ("dial", 5.0),
        ("media", 0.125),  # the callee's, from the answer
        ("media", 6.375),  # the browser's, from its beginning
        ("program", 66.125),
        ("route", 0.25),
    ]
    for span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    [refused] = collector.named("dial", trunk="out")
    assert refused.status.code == Status.STATUS_CODE_ERROR
    assert attributes(refused)["error.type"] == attributes(refused)["gateway.code"]
    [taken] = collector.named("dial", trunk="spare")
    assert taken.status.code == Status.STATUS_CODE_UNSET
    [rang] = taken.events
    assert (rang.name, rang.time_unix_nano - taken.start_time_unix_nano) == ("ringing", 2e9)
    [program] = collector.named("program", program="ivr")
    assert [attributes(each) for each in program.events] == [{"gateway.verb": "say"}]
    assert attributes(root)["gateway.call.id"] == CALL
    assert collector.resource["service.name"] == "gateway"


async def test_no_number_is_in_a_span() -> None:
    async with collecting() as collector:
        refused = BUSY.because(f"486 {CALLEE} is busy")
        await traced(Told(), TracingConfig(otlp=collector.url), refused)
    sent = b"".join(collector.bodies)
    assert len(collector.spans) == 7
    for number in (CALLER, CALLEE):
        assert number.lstrip("+").encode() not in sent
    [root] = collector.named("call")
    assert root.status.code == Status.STATUS_CODE_UNSET  # that somebody is busy is no error


async def test_headers_ratio_and_path() -> None:
    async with collecting() as collector:
        config: dict[str, Any] = {
            "headers": [{"name": "X-Tenant", "secret": "one"}],
            "otlp": f"{collector.url}/v1/traces",
        }
        await traced(Told(), TracingConfig(**config))
        assert collector.requests[0].headers["X-Tenant"] == "one"
        before = len(collector.spans)
        await traced(Told(), TracingConfig(**config, ratio=0))
        assert len(collector.spans) == before


async def test_a_call_that_lives_when_the_node_stops_is_sent_as_incomplete() -> None:
    told = Told()
    async with collecting() as collector, AsyncExitStack() as stack:
        Tracing(TracingConfig(otlp=collector.url), told.log).start(stack)
        told.tell(0, e.CallCreated("browser", CALLER, CALLEE))
        told.tell(2, e.CallRouted("rule", ()))
        told.clock.advance(5)
        await stack.aclose()
        [root] = collector.named("call", incomplete=True)
        assert seconds(root) == 2  # of the rest nothing is known
    assert told.log.subscribers == 0


@pytest.mark.parametrize("down", ["nobody listens", "it fails", "it hangs"])
async def test_a_collector_that_is_down_costs_no_call_anything(down: str) -> None:
    """The loop is never held up, and the node stops in seconds."""
    told, late = Told(), 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            late = max(late, time.monotonic() - due)

    with socket.create_server((HOST, 0)) as silent:  # takes connections and never answers
        hanging = f"http://{HOST}:{silent.getsockname()[1]}"
        async with collecting() as collector:
            collector.status = 503
            urls = {
                "nobody listens": f"http://{HOST}:{free_ports()}",
                "it fails": collector.url,
                "it hangs": hanging,
            }
            watching = asyncio.create_task(watch())
            began = time.monotonic()
            await traced(told, TracingConfig(otlp=urls[down]))
            took = time.monotonic() - began
            watching.cancel()
    assert took < 10
    assert late < 1


async def test_a_failing_collector_is_told_of_once_and_so_is_its_return() -> None:
    told, stream = Told(), io.StringIO()
    configure_logs("json", "info", stream)
    async with collecting() as collector, AsyncExitStack() as stack:
        collector.status = 400  # which is not tried again
        Tracing(TracingConfig(otlp=collector.url), told.log).start(stack)
        for number, status in enumerate((400, 400, 200), start=1):
            collector.status = status
            told.tell(0, e.CallCreated("browser", CALLER, CALLEE), e.CallEnded(NORMAL, False, 0, 0))
            await wait_until(partial(collector.has, number), 10, "an export")
    said = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert said == ["traces.not_sent", "traces.sent_again"]


def test_nothing_is_loaded_where_nothing_is_traced() -> None:
    """`tracing` absent: OpenTelemetry and what it needs are not even imported."""
    code = "import sys, gateway.app.node; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_real_call_continues_the_trace_of_the_request_that_made_it(tmp_path: Path) -> None:
    async with collecting() as collector:
        tracing = {"otlp": collector.url}
        async with looped(tmp_path, tracing=tracing) as gateway:
            await talk(gateway, traceparent=f"00-{TRACE}-{SPAN}-01")
        outer = collector.named("call", context="browser")[0]
        inner = collector.named("call", context="loop")[0]
        for root, names in (
            (outer, ["call", "dial", "media", "media", "route"]),
            (inner, ["call", "media", "program", "route"]),
        ):
            mine = [span for span in collector.spans if span.trace_id == root.trace_id]
            assert sorted(span.name for span in mine) == names
            assert all(seconds(span) >= 0 for span in mine)
            assert 1 < seconds(root) < 30
        assert (outer.trace_id.hex(), outer.parent_span_id.hex()) == (TRACE, SPAN)
        assert inner.trace_id != outer.trace_id  # SIP brings none
        [dial] = collector.named("dial", trunk="loop")
        assert seconds(dial) < seconds(outer)
        began = outer.start_time_unix_nano / 1e9
        assert abs(began - SystemClock().now().wall.timestamp()) < 60
    gateway.assert_clean()
