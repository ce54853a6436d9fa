"""set, goto and http: programs that lead elsewhere, and servers that say what to do."""

from __future__ import annotations

import json
import time

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from gateway.legs.webrtc.peer import ProbePeer
from tests.verbs.hearing import audio, hears, tones_in
from tests.verbs.house import SECRET, House

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]


async def test_a_program_goes_to_a_context_whose_rules_see_what_it_has_set(
    house: House, peer: ProbePeer
) -> None:
    call = await house.call(peer, "sets")
    await hears(peer, 880)
    told = await house.tells(call=call)
    assert told["variables"] == {"department": "sales", "tries": "2", "desk": "7"}


async def test_a_goto_that_leads_nowhere_refuses_the_call(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    await house.verb(call, "set", {"department": "complaints"})
    await house.verb(call, "goto", {"context": "routed", "callee": "desk"})
    assert "404" in await house.ends(call)


async def test_a_server_is_told_of_the_call_and_its_verbs_are_performed(
    house: House, peer: ProbePeer
) -> None:
    steps = [{"set": {"order": "12"}}, {"play": "tone1700.wav"}, {"play": {"file": "tone440.wav"}}]
    house.replies["/next"] = lambda _, __: web.json_response({"verbs": steps})
    call = await house.call(peer, "waits")
    await hears(peer)
    await house.verb(call, "set", {"department": "sales"})
    began = time.monotonic()
    answer = await house.verb(call, "http", f"{house.web_url}/next")
    assert answer == {"state": "done", "outcome": {"http_status": "ok"}}
    await hears(peer)
    assert tones_in(audio(peer, began), peer.sample_rate) == {440, 1700}
    [asked] = [each for each in house.requested if each.path == "/next"]
    payload = Webhook(SECRET).verify(asked.body, {k.lower(): v for k, v in asked.headers.items()})
    assert payload == json.loads(asked.body)
    assert (payload["call"], payload["callee"]) == (call, "waits")
    assert payload["variables"] == {"department": "sales"}


async def test_the_fallback_is_performed_when_the_server_fails(
    house: House, peer: ProbePeer
) -> None:
    house.replies["/broken"] = lambda _, __: web.Response(status=500)
    call = await house.call(peer, "waits")
    await hears(peer)
    wish = {
        "url": f"{house.web_url}/broken",
        "attempts": 2,
        "fallback": [{"play": {"file": "tone880.wav"}}],
    }
    began = time.monotonic()
    answer = await house.verb(call, "http", wish)
    assert answer["outcome"] == {"http_status": "fetch_failed"}
    await hears(peer)
    assert tones_in(audio(peer, began), peer.sample_rate) == {880}
    tries = [each for each in house.requested if each.path == "/broken"]
    assert len(tries) == 2
    assert len({each.headers["webhook-id"] for each in tries}) == 1


async def test_what_a_server_says_is_checked(house: House, peer: ProbePeer) -> None:
    house.replies["/odd"] = lambda _, __: web.json_response({"verbs": [{"explode": {}}]})
    call = await house.call(peer, "waits")
    status, problem = await house.try_verb(call, "http", f"{house.web_url}/odd")
    assert (status, problem["code"]) == (400, "bad_request")
    await house.begin(call, "play", "long1300.wav")
    await hears(peer, 1300)  # the call goes on


@pytest.mark.parametrize("host", ["10.0.0.1", "[::1]", "169.254.169.254", "[::ffff:10.0.0.1]"])
async def test_private_addresses_that_nobody_allowed_are_refused(
    house: House, peer: ProbePeer, host: str
) -> None:
    call = await house.call(peer, "waits")
    port = house.web_url.rpartition(":")[2]
    before = len(house.requested)
    for verb in ("http", "play"):
        status, problem = await house.try_verb(call, verb, f"http://{host}:{port}/x.wav")
        assert (status, problem["code"]) == (403, "forbidden")
    assert len(house.requested) == before
