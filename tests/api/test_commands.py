"""Verbs, outgoing calls and the dialplan over HTTP, through the real registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.api.commands import CallCommands
from gateway.api.dialplan_reload import ReloadEndpoint
from gateway.calls import Call
from gateway.config.document import Problem
from gateway.errors import NORMAL
from gateway.ports import IncomingSip, LegKind
from gateway.testing import FakeLeg
from tests.api.conftest import Api, StartApi
from tests.api.registry import FakeBrowserLeg, Node
from tests.api.steps import until

DEMO_PLAN = """
contexts:
  browser:
    - {match: echo, echo: }
  demo:
    - {match: _NXX., dial: {trunk: carrier, number: "${callee}"}}
    - {match: echo, echo: }
  carrier:
    - {match: wait, steps: [answer: , pause: 3600]}
"""


@dataclass
class Reloads:
    """A dialplan that can be read again."""

    problems: tuple[Problem, ...] = ()

    def differences(self) -> list[str]:
        return ["+ browser: 3"]


@dataclass
class Stand:
    api: Api
    node: Node
    reloads: Reloads

    async def post(self, path: str, body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
        async with self.api.client.post(path, json=body, **more) as response:
            return response.status, await response.json(content_type=None)

    def phone(self, to: str = "wait") -> tuple[FakeLeg, Call]:
        leg = FakeLeg(LegKind.SIP, self.node.media)
        call = self.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", to))
        assert call is not None
        return leg, call


async def _stand(start_api: StartApi, *, demo: bool) -> Stand:
    node, reloads = Node(DEMO_PLAN), Reloads()

    async def reload(_: str) -> Reloads:
        return reloads

    operations = (
        *CallCommands(node.registry, node.gate).operations(),
        *ReloadEndpoint(reload).operations(),
    )
    api = await start_api(
        demo=demo, calls=node.calls, directory=node.directory, operations=operations
    )
    return Stand(api, node, reloads)


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    """A node in demo mode."""
    made = await _stand(start_api, demo=True)
    yield made
    await made.node.close()


async def test_a_verb_is_performed_on_a_live_call(stand: Stand) -> None:
    leg, call = stand.phone()
    await until(lambda: leg.port)
    status, told = await stand.post(f"/v1/calls/{call.id}/verbs", {"send_dtmf": {"digits": "5"}})
    assert (status, told) == (200, {"state": "done", "outcome": {}})
    assert [sent.digit for sent in stand.node.media.sent] == ["5"]
    status, told = await stand.post(f"/v1/calls/{call.id}/verbs", {"hangup": {"reason": "Bye"}})
    assert status == 200
    await until(lambda: leg.ended)
    assert leg.verdict is not None
    assert leg.verdict.text == "Bye"


async def test_gathered_digits_are_the_outcome(stand: Stand) -> None:
    leg, call = stand.phone()
    await until(lambda: leg.port)
    asked = asyncio.create_task(
        stand.post(f"/v1/calls/{call.id}/verbs", {"gather": {"max_digits": 2}})
    )
    await until(lambda: any(leg.withheld for leg in call._supervisor.state.legs))
    assert leg.port is not None
    stand.node.media.press(leg.port, "42")
    status, told = await asked
    assert status == 200
    assert told["outcome"] == {"digits": "42", "gather_reason": "complete"}


async def test_who_does_not_wait_is_told_that_it_goes_on(stand: Stand) -> None:
    leg, call = stand.phone()
    await until(lambda: leg.port)
    status, told = await stand.post(f"/v1/calls/{call.id}/verbs?wait=0", {"pause": 60})
    assert (status, told) == (202, {"state": "running"})
    leg.ends(NORMAL)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"say": {}}, 400, "text"),
        ({"shout": {}}, 400, "no verb 'shout'"),
        ([], 400, "valid dictionary"),
        ({"gather": {"leg": "callee"}}, 400, "no callee"),
        ({"bridge": {"call": "c-nobody"}}, 404, "No such call"),
        ({"record": {"consent": True}}, 403, "configure recordings"),
        ({"http": {"url": "https://example.com/"}}, 403, "asks no servers"),
        ({"play": {"file": "../secret.wav"}}, 403, "folder of sounds"),
        ({"goto": {"context": "nowhere"}}, 400, "nowhere"),
    ],
)
async def test_what_a_call_cannot_do_is_a_problem(
    stand: Stand, body: Any, status: int, word: str
) -> None:
    leg, call = stand.phone()
    await until(lambda: leg.port)
    got, told = await stand.post(f"/v1/calls/{call.id}/verbs", body)
    assert (got, told["status"]) == (status, status), told
    assert word in told["detail"]
    assert call.verdict is None  # the call goes on


async def test_calls_that_are_over_and_bodies_that_are_none(stand: Stand) -> None:
    assert (await stand.post("/v1/calls/c-none/verbs", {"pause": 1}))[0] == 404
    path = "/v1/calls/c-none/verbs"
    async with stand.api.client.post(path, data="{", headers={"Content-Type": "text/plain"}) as no:
        assert no.status == 415
    json_type = {"Content-Type": "application/json"}
    async with stand.api.client.post(path, data="{", headers=json_type) as no:
        assert no.status == 400
    assert (await stand.post(path + "?wait=9999", {"pause": 1}))[0] == 400


async def test_a_call_that_ends_ends_its_verbs(stand: Stand) -> None:
    leg, call = stand.phone()
    await until(lambda: leg.port)
    waiting = asyncio.create_task(stand.post(f"/v1/calls/{call.id}/verbs", {"pause": 60}))
    await until(lambda: len(call._supervisor._programs._running) == 2)
    leg.ends(NORMAL)
    status, told = await waiting
    assert (status, told["code"]) == (409, "cancelled")


# ---- calls that the gateway starts ----------------------------------------------------------


async def test_click_to_call_rings_the_browser_then_the_phone(stand: Stand) -> None:
    tab = FakeBrowserLeg(stand.node.media)
    stand.node.directory.ring = lambda user, caller, call_id: [tab] if user == "alice" else []  # type: ignore[method-assign]
    status, told = await stand.post("/v1/calls", {"to": {"user": "alice"}, "callee": "2125550100"})
    assert status == 201
    assert not stand.node.sip.legs
    tab.media(early=True)
    tab.answers()
    await until(lambda: stand.node.sip.legs)
    [phone] = stand.node.sip.legs
    assert stand.node.sip.targets[0].number == "2125550100"
    port = phone.answers()
    await until(lambda: (tab.port, port) in stand.node.media.connections)
    assert stand.node.registry.get(told["id"]).view().state == "connected"
    phone.ends(NORMAL)
    await until(lambda: tab.ended)


async def test_who_declines_is_no_call(stand: Stand) -> None:
    status, told = await stand.post(
        "/v1/calls", {"to": {"trunk": "carrier", "number": "2125550100"}, "program": "echo"}
    )
    assert status == 201
    [phone] = stand.node.sip.legs
    call = stand.node.registry.get(told["id"])
    phone.ends(NORMAL)
    await until(lambda: call.ended)
    assert call.verdict is not None
    assert call.verdict.code == "declined"


async def test_a_program_speaks_with_who_is_called(stand: Stand) -> None:
    await stand.post(
        "/v1/calls", {"to": {"trunk": "carrier", "number": "2125550100"}, "program": "echo"}
    )
    [phone] = stand.node.sip.legs
    port = phone.answers()
    await until(lambda: (port, port) in stand.node.media.connections)
    phone.ends(NORMAL)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"to": {"user": "nobody"}, "callee": "echo"}, 404, "not signed in"),
        ({"to": {"user": "alice"}}, 422, "callee"),
        ({"to": {"user": "alice"}, "callee": "echo", "program": "echo"}, 422, "callee"),
        ({"to": {"user": "alice"}, "program": "nothing"}, 404, "no program"),
        ({"to": {}, "callee": "echo"}, 422, "to"),
        ({"to": {"trunk": "carrier", "number": "1;x"}, "callee": "echo"}, 400, ""),
        ({"to": {"user": "alice"}, "callee": "echo", "colour": "red"}, 400, "colour"),
    ],
)
async def test_calls_that_cannot_be_started_are_problems(
    stand: Stand, body: Any, status: int, word: str
) -> None:
    got, told = await stand.post("/v1/calls", body)
    assert got == status, told
    assert word in told["detail"]
    assert not stand.node.registry.calls
    assert not stand.node.sip.legs


# ---- the dialplan ---------------------------------------------------------------------------


async def test_the_dialplan_is_read_again_or_its_problems_are_told(stand: Stand) -> None:
    assert await stand.post("/v1/dialplan/reload", None) == (200, {"changes": ["+ browser: 3"]})
    stand.reloads.problems = (Problem("plan.yaml", 4, 20, "unknown key 'ecco'", "write echo"),)
    status, told = await stand.post("/v1/dialplan/reload", None)
    assert (status, told["code"]) == (422, "dialplan_refused")
    assert told["problems"] == [
        {
            "file": "plan.yaml",
            "line": 4,
            "column": 20,
            "message": "unknown key 'ecco'",
            "remedy": "write echo",
        }
    ]


@pytest.mark.parametrize("path", ["/v1/calls", "/v1/calls/c-1/verbs", "/v1/dialplan/reload"])
async def test_nobody_commands_calls_without_signing_in(start_api: StartApi, path: str) -> None:
    closed = await _stand(start_api, demo=False)
    status, told = await closed.post(path, {"pause": 1})
    assert (status, told["code"]) == (401, "unauthorized")
    await closed.node.close()
