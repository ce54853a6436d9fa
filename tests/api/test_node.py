"""Browsers on real sockets, through the real registry: calls out, calls in, and digits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from gateway.api.ports import BrowserLeg
from gateway.errors import NORMAL, from_sip_status
from gateway.ports import IncomingSip, LegKind
from gateway.testing import FakeLeg
from tests.api.conftest import Api, StartApi
from tests.api.doubles import ANSWER, OFFER
from tests.api.registry import FakeBrowserLeg, Node
from tests.api.steps import until


@dataclass
class NodeWebRtc:
    """Gives each offer a leg of the node's fake media."""

    node: Node
    legs: list[FakeBrowserLeg] = field(default_factory=list)

    async def answer_offer(self, sdp: str, /, *, called: bool = False) -> tuple[BrowserLeg, str]:
        self.legs.append(FakeBrowserLeg(self.node.media))
        return self.legs[-1], ANSWER


@dataclass
class Running:
    """The API of a node."""

    api: Api
    node: Node
    webrtc: NodeWebRtc


@pytest.fixture
async def running(start_api: StartApi) -> AsyncIterator[Running]:
    """A node whose API is up."""
    node = Node()
    webrtc = NodeWebRtc(node)
    api = await start_api(calls=node.calls, webrtc=webrtc, directory=node.directory)
    yield Running(api, node, webrtc)
    await node.close()


async def test_a_browser_calls_a_phone(running: Running) -> None:
    browser = await running.api.browser("bob")
    answer = await browser.request("call", "answer", to="3000", sdp=OFFER)
    [leg], [phone] = running.webrtc.legs, running.node.sip.legs
    leg.media()
    phone.rings()
    assert (await browser.receive("state"))["state"] == "ringing"
    port = phone.answers()
    assert (await browser.receive("state"))["state"] == "answered"
    path = await browser.receive("state")
    assert "opus/48000" in path["media"]
    assert "pcmu/8000" in path["media"]
    running.node.media.press(port, "5", 80)
    assert (await browser.receive("dtmf"))["phase"] == "began"
    assert (await browser.receive("dtmf"))["duration_ms"] == 80
    assert [json.loads(text)["digit"] for text in leg.messages] == ["5", "5"]
    await browser.send("dtmf", call=answer["call"], tones="9", duration=60)

    def to_phone() -> list[tuple[str, int]]:
        sent = [each for each in running.node.media.sent if each.port == port]
        return [(each.digit, each.duration_ms) for each in sent]

    await until(to_phone)
    assert to_phone() == [("9", 60)]
    ended = await browser.request("hangup", "state", call=answer["call"])
    assert (ended["state"], ended["reason"]["code"]) == ("ended", "normal")


async def test_an_unknown_destination_is_an_error(running: Running) -> None:
    browser = await running.api.browser()
    error = await browser.request("call", "error", to="nowhere", sdp=OFFER)
    assert (error["code"], error["reason"]["sip_status"]) == ("not_found", 404)
    await until(lambda: running.webrtc.legs[0].ended)


async def test_a_refused_call_tells_the_sip_reason(running: Running) -> None:
    browser = await running.api.browser()
    await browser.request("call", "answer", to="3000", sdp=OFFER)
    running.node.sip.legs[0].ends(from_sip_status(486, "Busy Here"))
    ended = await browser.receive("state")
    assert ended["reason"]["code"] == "busy"
    assert ended["reason"]["text"] == "486 Busy Here"


async def test_a_phone_calls_a_browser(running: Running) -> None:
    browser, other = await running.api.browser("alice"), await running.api.browser("alice")
    phone = FakeLeg(LegKind.SIP, running.node.media)
    call = running.node.registry.start_sip_call(IncomingSip(phone, "carrier", "+4930", "alice"))
    assert call is not None
    ringing = await browser.receive("call")
    assert (ringing["call"], ringing["from"]) == (call.id, "+4930")
    await other.receive("call")
    await until(lambda: "ring" in phone.asked)
    await browser.request("answer", "answer", call=call.id, sdp=OFFER)
    running.webrtc.legs[0].answers()
    assert (await other.receive("hangup"))["reason"]["text"] == "Answered elsewhere"
    states = [(await browser.receive("state"))["state"] for _ in range(2)]
    assert states == ["ringing", "answered"]
    await until(lambda: "answer" in phone.asked)
    phone.ends(NORMAL)
    state = "answered"
    while state == "answered":
        state = (await browser.receive("state"))["state"]
    assert state == "ended"
    await until(lambda: running.webrtc.legs[0].ended)


async def test_a_declined_call_is_declined_to_the_phone(running: Running) -> None:
    browser = await running.api.browser("alice")
    phone = FakeLeg(LegKind.SIP, running.node.media)
    call = running.node.registry.start_sip_call(IncomingSip(phone, "carrier", "1", "alice"))
    assert call is not None
    await browser.receive("call")
    await browser.request("hangup", "hangup", call=call.id)
    await until(lambda: phone.ended)
    assert phone.verdict is not None
    assert phone.verdict.code == "declined"


async def test_a_phone_that_gives_up_stops_the_ringing(running: Running) -> None:
    browser = await running.api.browser("alice")
    phone = FakeLeg(LegKind.SIP, running.node.media)
    running.node.registry.start_sip_call(IncomingSip(phone, "carrier", "1", "alice"))
    await browser.receive("call")
    phone.ends(NORMAL)
    assert (await browser.receive("hangup"))["reason"]["code"] == "cancelled"


async def test_a_closed_socket_hangs_up_the_phone(running: Running) -> None:
    browser = await running.api.browser()
    await browser.request("call", "answer", to="3000", sdp=OFFER)
    running.webrtc.legs[0].media()
    phone = running.node.sip.legs[0]
    phone.answers()
    await browser.socket.close()
    await until(lambda: phone.ended)
    await until(lambda: not running.node.registry.calls)


async def test_a_call_by_http_has_the_status_of_its_verdict(running: Running) -> None:
    headers = {"Content-Type": "application/sdp"}
    post = running.api.client.post
    for to, status in (("nowhere", 404), ("alice", 404), ("echo", 201)):
        response = await post(f"/v1/webrtc/calls?to={to}", data=OFFER, headers=headers)
        assert response.status == status
    where = response.headers["Location"]
    assert (await running.api.client.delete(where)).status == 200
    await until(lambda: not running.node.registry.calls)
