"""Who may call whom, of which project, and how much: before any INVITE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.config.identity import Scope
from gateway.errors import NORMAL
from gateway.ports import IncomingSip, LegKind
from gateway.testing import FakeLeg
from tests.api.conftest import StartApi
from tests.api.doubles import OFFER
from tests.api.known import SDP, Stand, bearer, known
from tests.api.registry import FakeBrowserLeg
from tests.api.steps import until


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    """A node that knows keys, its own tokens and one issuer."""
    async with known(start_api) as made:
        yield made


# ---- destinations ---------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", ["2125550100", "+12125550100", "_+1212555010X"])
async def test_a_token_for_one_number_calls_no_other(stand: Stand, allowed: str) -> None:
    text = stand.token(destinations=[allowed])
    browser = await stand.browser(text)
    others = ["2125550200", "+12125550200", "12125550199", "support", "echo", "alice", "911"]
    others += ["+442079460000", "2125550100;x=y", "+1 212 555 0100", "2125550100@evil.example"]
    for to in others:
        error = await browser.request("call", "error", to=to, sdp=OFFER)
        assert error["code"] == "forbidden", to
        assert await stand.whip(bearer(text), to) == (403, "forbidden")
    assert not stand.invited
    assert not stand.node.media.subscribed  # no leg was made for them
    await browser.request("call", "answer", to="2125550100", sdp=OFFER)
    assert stand.invited == ["+12125550100"]


async def test_a_name_that_is_allowed_may_lead_to_a_number(stand: Stand) -> None:
    text = stand.token(destinations=["support"])
    assert (await stand.whip(bearer(text), "support"))[0] == 201
    assert (await stand.whip(bearer(text), "2125550199"))[0] == 403
    assert stand.invited == ["+12125550199"]


async def test_countries_are_those_of_the_number_that_leaves(stand: Stand) -> None:
    text = stand.token(countries=["GB"])
    for to in ("2125550100", "support", "+33142685300"):
        assert await stand.whip(bearer(text), to) == (403, "forbidden")
    assert not stand.invited
    assert (await stand.whip(bearer(text), "+442079460000"))[0] == 201
    assert stand.invited == ["+442079460000"]


async def test_a_caller_shows_only_its_own_numbers(stand: Stand) -> None:
    await stand.whip(bearer(stand.token(caller_ids=["+14155550100"])), "2125550100")
    await stand.whip(bearer(stand.token()), "2125550100")
    assert [target.caller for target in stand.node.sip.targets] == ["+14155550100", "alice"]


async def test_a_key_with_limited_destinations(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, destinations=["+12125550100", "echo"])
    good = {"trunk": "carrier", "number": "2125550100"}
    bad = {"trunk": "carrier", "number": "2125550200"}
    for to, more in [
        (bad, {"program": "echo"}),
        (good, {"callee": "2125550200"}),
        ({"user": "alice"}, {"callee": "2125550100"}),
    ]:
        status, _ = await stand.ask("POST", "/v1/calls", headers, json={"to": to, **more})
        assert status == 403
    assert not stand.invited
    body = {"to": good, "callee": "echo"}
    status, told = await stand.ask("POST", "/v1/calls", headers, json=body)
    assert status == 201
    [phone] = stand.node.sip.legs
    phone.answers()
    call = stand.node.registry.get(told["id"])
    await until(lambda: call.state == "program")
    path = f"/v1/calls/{told['id']}/verbs"
    for verb in ({"dial": bad}, {"goto": {"context": "crm", "callee": "2125550200"}}):
        status, _ = await stand.ask("POST", path, headers, json=verb)
        assert status in (200, 403)  # a goto is done; what it leads to is refused
    assert stand.invited == ["+12125550100"]


async def test_a_limited_key_makes_no_foreign_call_dial(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, destinations=["echo"])
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    call = stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", "wait"))
    assert call is not None
    await until(lambda: leg.port)
    path = f"/v1/calls/{call.id}/verbs"
    for verb in (
        {"dial": {"user": "x"}},
        {"goto": {"context": "browser"}},
        {"http": "https://a.example"},
    ):
        assert (await stand.ask("POST", path, headers, json=verb))[0] == 403
    status, _ = await stand.ask("POST", path, headers, json={"send_dtmf": {"digits": "5"}})
    assert status == 200


# ---- projects -------------------------------------------------------------------------------


async def test_a_key_sees_no_other_projects_calls_or_users(stand: Stand) -> None:
    sales = await stand.key(Scope.ADMIN, project="sales")
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    call = stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", "wait"))
    assert call is not None
    await until(lambda: leg.port)
    path = f"/v1/calls/{call.id}/verbs"
    assert (await stand.ask("POST", path, sales, json={"hangup": {}}))[0] == 404
    assert (await stand.ask("POST", path, await stand.key(Scope.ADMIN), json={"pause": 0.01}))[
        0
    ] == 200

    await stand.browser(stand.token("alice"))
    for user, status in (("alice", 404), ("default/alice", 403), ("sales/alice", 403)):
        body = {"to": {"user": user}, "callee": "echo"}
        assert (await stand.ask("POST", "/v1/calls", sales, json=body))[0] == status
    theirs = await stand.browser(stand.token("alice", project="sales"))
    status, told = await stand.ask(
        "POST", "/v1/calls", sales, json={"to": {"user": "alice"}, "callee": "echo"}
    )
    assert status == 201
    assert (await theirs.receive("call"))["call"] == told["id"]
    own = stand.node.registry.get(told["id"])
    assert (own.project, own.context) == ("sales", "sales")


async def test_calls_of_different_projects_are_not_joined(stand: Stand) -> None:
    sales = await stand.key(Scope.ADMIN, project="sales")
    tab = FakeBrowserLeg(stand.node.media)
    stand.node.directory.ring = lambda user, caller, call_id: [tab]  # type: ignore[method-assign]
    body = {"to": {"user": "alice"}, "callee": "echo"}
    _, told = await stand.ask("POST", "/v1/calls", sales, json=body)
    tab.media(early=True)
    tab.answers()
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    other = stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", "wait"))
    assert other is not None
    await until(lambda: leg.port)
    await until(lambda: stand.node.registry.get(told["id"]).state == "program")
    path = f"/v1/calls/{told['id']}/verbs"
    status, problem = await stand.ask("POST", path, sales, json={"bridge": {"call": other.id}})
    assert (status, problem["code"]) == (404, "not_found")


async def test_who_made_a_call_by_http_ends_it(stand: Stand) -> None:
    path = "/v1/webrtc/calls?to=echo"
    headers = SDP | bearer(stand.token("alice"))
    async with stand.api.client.post(path, data=OFFER, headers=headers) as response:
        where = response.headers["Location"]
    for text in (stand.token("bob"), stand.token("alice", project="sales")):
        assert (await stand.ask("DELETE", where, bearer(text)))[0] == 404
    async with stand.api.client.delete(where, headers=bearer(stand.token("alice"))) as response:
        assert response.status == 200


# ---- caps -----------------------------------------------------------------------------------


async def test_calls_at_the_same_time_do_not_slip_through(stand: Stand) -> None:
    text = stand.token(max_calls=2)
    done = await asyncio.gather(*(stand.whip(bearer(text), "2125550100") for _ in range(12)))
    assert sorted(status for status, _ in done) == [201, 201] + [429] * 10
    assert {code for status, code in done if status == 429} == {"caller_busy"}
    assert len(stand.invited) == 2
    browser = await stand.browser(stand.token(max_calls=2))  # another token of the same user
    assert (await browser.request("call", "error", to="echo", sdp=OFFER))["code"] == "caller_busy"
    stand.node.sip.legs[0].ends(NORMAL)
    await until(lambda: len(stand.node.registry.calls) == 1)
    await browser.request("call", "answer", to="echo", sdp=OFFER)


async def test_keys_have_caps_too_and_what_is_refused_gives_its_place_back(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, max_calls=1)
    refused = {"to": {"user": "nobody"}, "program": "echo"}
    for _ in range(3):
        assert (await stand.ask("POST", "/v1/calls", headers, json=refused))[0] == 404
    body = {"to": {"trunk": "carrier", "number": "2125550100"}, "program": "echo"}
    asked = (stand.ask("POST", "/v1/calls", headers, json=body) for _ in range(5))
    done = await asyncio.gather(*asked)
    assert sorted(status for status, _ in done) == [201, 429, 429, 429, 429]
    assert len(stand.invited) == 1
    assert await stand.whip(bearer(stand.token()), "nowhere") == (404, "not_found")


async def test_calls_per_second(stand: Stand) -> None:
    headers = bearer(stand.token(calls_per_second=2))
    codes = [(await stand.whip(headers, "echo"))[1] for _ in range(4)]
    assert codes == ["", "", "calling_too_fast", "calling_too_fast"]


async def test_help_is_called_whatever_the_caps_say(stand: Stand) -> None:
    headers = bearer(stand.token(max_calls=0, minutes_per_day=0, countries=["GB"]))
    assert (await stand.whip(headers, "2125550100"))[0] == 429
    assert (await stand.whip(headers, "911"))[0] == 201
    assert stand.invited == ["911"]
