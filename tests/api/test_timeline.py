"""The timeline over HTTP: who may see it, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway import events as e
from gateway.api.operations import Operation
from gateway.api.timeline import TimelineEndpoint
from gateway.config.identity import Scope
from gateway.config.timeline import TimelineConfig
from gateway.ids import CallId, LegId
from gateway.observability.timeline import Timelines
from gateway.ports import Layer, LegKind
from gateway.storage.event_log import EventLog
from tests.api.conftest import StartApi
from tests.api.known import Stand, known
from tests.identity.makers import Clock
from tests.timeline.packets import packet, request
from tests.timeline.test_store import STATS

CALL, LEG = CallId("c-1"), LegId("l-1")
TIMELINE, LADDER = "/v1/calls/c-1/timeline", "/v1/calls/c-1/ladder"


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    """A node that knows keys, and had one call of the project `acme`."""
    made_of: list[Timelines] = []

    def operations(clock: Clock) -> list[Operation]:
        made_of.append(Timelines(EventLog(clock), clock, TimelineConfig()))
        return TimelineEndpoint(made_of[0]).operations()

    async with known(start_api, operations) as made:
        (timelines,), log = made_of, EventLog(made.clock)
        at = made.clock.now().monotonic
        for event in (
            e.CallCreated("browser", "+14155550100", "100", None, "acme"),
            e.LegAdded(LEG, e.Role.CALLER, LegKind.SIP, "north"),
            e.LegDialog(LEG, "a@x"),
            e.LegTransport(LEG, Layer.ICE, "connected", "host-host", at),
            e.DigitReceived(LEG, "5", 80, 1),
        ):
            timelines.note(log.append(CALL, event))
        timelines.sip(packet(request("INVITE", "a@x"), at=at - 0.001))
        timelines.sample(CALL, LEG, at + 1, STATS)
        yield made


async def test_a_call_is_shown_to_its_project_alone(stand: Stand) -> None:
    acme = await stand.key(Scope.CALLS_READ, project="acme")
    other = await stand.key(Scope.ADMIN, name="other")
    writer = await stand.key(Scope.CALLS_WRITE, name="writer", project="acme")
    for path in (TIMELINE, LADDER):
        async with stand.api.client.get(path, headers=acme) as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == "no-store"
        assert (await stand.ask("GET", path, other))[0] == 404
        assert (await stand.ask("GET", path.replace("c-1", "c-2"), acme))[0] == 404
        assert (await stand.ask("GET", path, writer))[0] == 403


async def test_entries_are_in_order_and_say_what_they_are(stand: Stand) -> None:
    acme = await stand.key(Scope.CALLS_READ, project="acme")
    _, told = await stand.ask("GET", TIMELINE, acme)
    assert told["legs"] == [{"id": LEG, "role": "caller", "kind": "sip", "trunk": "north"}]
    entries = told["entries"]
    assert [entry["kind"] for entry in entries] == ["sip", *["event"] * 5, "quality"]
    first, *_, digit, sample = entries
    assert (first["at_ms"], first["direction"], first["leg"]) == (-1.0, "received", LEG)
    assert first["text"].startswith("INVITE sip:100@")
    assert (first["peer"], first["cseq"]) == ("192.0.2.7:5070", "1 INVITE")
    assert digit["type"] == "digit.received"
    assert digit["data"]["digit"] == "5"
    assert (sample["at_ms"], sample["rx_packets"], sample["rx_lost"]) == (1000.0, 50, 1)
    assert [entry["at_ms"] for entry in entries] == sorted(entry["at_ms"] for entry in entries)


async def test_kinds_are_chosen(stand: Stand) -> None:
    acme = await stand.key(Scope.CALLS_READ, project="acme")
    _, told = await stand.ask("GET", TIMELINE + "?kind=sip&kind=quality", acme)
    assert [entry["kind"] for entry in told["entries"]] == ["sip", "quality"]
    assert (await stand.ask("GET", TIMELINE + "?kind=rtp", acme))[0] == 400


async def test_the_ladder_is_mermaid(stand: Stand) -> None:
    acme = await stand.key(Scope.CALLS_READ, project="acme")
    async with stand.api.client.get(LADDER, headers=acme) as response:
        assert response.content_type == "text/vnd.mermaid"
        lines = (await response.text()).splitlines()
    assert lines[0] == "sequenceDiagram"
    assert "    L1->>G: INVITE (-1 ms)" in lines
