"""Trunks over HTTP: each project its own, no secrets, and how they do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.calls import pinging
from gateway.config.identity import Scope
from gateway.errors import NORMAL, PEER_UNREACHABLE
from gateway.ports import OptionsReply
from tests.api.conftest import StartApi
from tests.api.known import Stand, known
from tests.api.steps import until


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


async def test_a_project_sees_its_own_and_an_admin_all(stand: Stand) -> None:
    for project, name in (("default", "carrier"), ("sales", "theirs")):
        key = await stand.key(Scope.TRUNKS_READ, project=project)
        _, told = await stand.ask("GET", "/v1/trunks", key)
        assert [trunk["name"] for trunk in told["trunks"]] == [name]
        other = "theirs" if name == "carrier" else "carrier"
        assert (await stand.ask("GET", f"/v1/trunks/{other}", key))[0] == 404
        assert await stand.ask("GET", f"/v1/trunks/{name}", key) == (200, told["trunks"][0])
    _, told = await stand.ask("GET", "/v1/trunks", await stand.key(Scope.ADMIN))
    assert [trunk["name"] for trunk in told["trunks"]] == ["carrier", "theirs"]
    assert "secret" not in json.dumps(told)
    assert told["trunks"][1]["transport"] == "tcp"
    assert (await stand.ask("GET", "/v1/trunks", await stand.key(Scope.CALLS_READ)))[0] == 403


async def test_calls_tell_how_it_does(stand: Stand) -> None:
    key = await stand.key(Scope.TRUNKS_READ, Scope.CALLS_WRITE)
    body = {"to": {"trunk": "carrier", "number": "2125550100"}, "program": "echo"}

    async def called(number: int) -> None:
        assert (await stand.ask("POST", "/v1/calls", key, json=body))[0] == 201
        assert len(stand.node.sip.legs) == number

    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert (told["state"], told["last_success"], told["last_failure"]) == ("unknown", None, None)
    await called(1)
    stand.node.sip.legs[0].ends(PEER_UNREACHABLE)
    await until(lambda: not stand.node.registry.calls)
    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert (told["state"], told["failures_in_row"], told["failed"]) == ("failing", 1, 1)
    assert told["last_failure"]["code"] == "peer_unreachable"
    await called(2)
    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert told["live"] == {"incoming": 0, "outgoing": 1}
    stand.node.sip.legs[1].answers()
    [call] = stand.node.registry.calls.values()
    await until(lambda: call.view().answered)
    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert (told["state"], told["failures_in_row"], told["answered"]) == ("up", 0, 1)
    stand.node.sip.legs[1].ends(NORMAL)


async def test_pings_tell_how_it_does(stand: Stand) -> None:
    key = await stand.key(Scope.TRUNKS_READ)
    assert (await stand.ask("GET", "/v1/trunks/carrier", key))[1]["options"] is None
    now = stand.clock.now()
    begun = pinging.begin(30, now.monotonic, 0)
    stand.pings["carrier"], sends = pinging.tick(begun, now, 0.5)
    assert sends
    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert told["state"] == "unknown"
    assert told["options"] == {
        "interval": 30, "last_asked": now.wall.isoformat().replace("+00:00", "Z"),
        "last_answered": None, "last_status": None, "last_reason": None, "rtt_ms": None,
        "misses_in_row": 0,
    }  # fmt: skip
    reply = OptionsReply(405, "Method Not Allowed", 0.0123)
    stand.pings["carrier"] = pinging.replied(stand.pings["carrier"], 1, reply, now)
    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert (told["state"], told["failures_in_row"]) == ("up", 0)
    options = told["options"]
    assert options["last_answered"] == options["last_asked"]
    assert (options["last_status"], options["last_reason"]) == (405, "Method Not Allowed")
    assert options["rtt_ms"] == 12.3
    stand.pings["carrier"] = replace(
        stand.pings["carrier"], reach=pinging.Reach.DOWN, misses=3, since=now.monotonic
    )
    _, told = await stand.ask("GET", "/v1/trunks/carrier", key)
    assert (told["state"], told["options"]["misses_in_row"]) == ("down", 3)
