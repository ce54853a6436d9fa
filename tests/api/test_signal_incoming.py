"""Incoming calls over the signalling WebSocket: ringing, accepting, declining, giving up."""

from __future__ import annotations

import pytest

from gateway.api.ports import CallState, DigitHeard, StateChanged
from gateway.errors import CANCELLED, NO_COMMON_CODEC, GatewayError
from gateway.ids import new_leg_id
from tests.api.conftest import Api
from tests.api.doubles import ANSWER, OFFER
from tests.api.steps import until


async def test_an_incoming_call_rings_and_is_answered(api: Api) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    [leg] = api.directory.ring("alice", "+4915112345", call.id)
    assert await browser.receive("call") == {
        "v": 1,
        "type": "call",
        "call": call.id,
        "from": "+4915112345",
    }
    api.webrtc.gate.clear()
    await browser.send("answer", call=call.id, sdp=OFFER, id="m2")
    await browser.send("candidate", call=call.id, candidate="candidate:1", mid="0")
    await until(lambda: api.webrtc.waiting)
    api.webrtc.gate.set()
    answer = await browser.receive("answer")
    assert (answer["call"], answer["sdp"], answer["in_reply_to"]) == (call.id, ANSWER, "m2")
    assert api.webrtc.legs[0].called
    assert api.webrtc.legs[0].candidates == [("candidate:1", "0")]
    call.tell(StateChanged(CallState.ANSWERED))
    assert (await browser.receive("state"))["state"] == "answered"
    call.tell(DigitHeard(leg.id, "1", 1))  # the browser's own: the ringing leg's id is its leg's
    call.tell(DigitHeard(new_leg_id(), "2", 2))
    assert (await browser.receive("dtmf"))["digit"] == "2"
    await browser.send("dtmf", call=call.id, tones="9")
    await browser.request("hangup", "state", call=call.id)
    assert [tone_leg for tone_leg, _ in call.tones] == [leg.id]


async def test_declining_ends_the_ringing_leg(api: Api) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    events: list[object] = []
    [leg] = api.directory.ring("alice", "phone", call.id)
    leg.listen(events.append)
    await browser.receive("call")
    hangup = await browser.request("hangup", "hangup", call=call.id)
    assert hangup["reason"]["code"] == "declined"
    assert [type(event).__name__ for event in events] == ["LegRinging", "LegEnded"]
    assert call.hung_up == []  # other sessions of the user may still ring


async def test_a_withdrawn_call_stops_ringing(api: Api) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    [leg] = api.directory.ring("alice", "phone", call.id)
    leg.listen(lambda _: None)
    await browser.receive("call")
    leg.hangup(CANCELLED)
    hangup = await browser.receive("hangup")
    assert (hangup["call"], hangup["reason"]["code"]) == (call.id, "cancelled")
    error = await browser.request("answer", "error", call=call.id, sdp=OFFER)
    assert error["code"] == "no_such_call"


async def test_a_call_withdrawn_while_it_is_being_answered_leaves_no_leg(api: Api) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    [leg] = api.directory.ring("alice", "phone", call.id)
    await browser.receive("call")
    api.webrtc.gate.clear()
    await browser.send("answer", call=call.id, sdp=OFFER)
    await until(lambda: api.webrtc.waiting)
    leg.hangup(CANCELLED)
    api.webrtc.gate.set()
    await browser.receive("hangup")
    await until(lambda: api.webrtc.legs and api.webrtc.legs[0].hung_up)
    assert call.sinks == []


@pytest.mark.parametrize("error", [GatewayError(NO_COMMON_CODEC), RuntimeError("bug")])
async def test_a_browser_that_cannot_answer_does_not_ring_on(api: Api, error: Exception) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    events: list[object] = []
    [leg] = api.directory.ring("alice", "phone", call.id)
    leg.listen(events.append)
    await browser.receive("call")
    api.webrtc.error = error
    await browser.request("answer", "hangup", call=call.id, sdp=OFFER)
    await browser.receive("error")
    assert len(events) == 2
    assert type(events[-1]).__name__ == "LegEnded"


async def test_answering_twice_is_an_error(api: Api) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    api.directory.ring("alice", "phone", call.id)
    await browser.receive("call")
    await browser.request("answer", "answer", call=call.id, sdp=OFFER)
    error = await browser.request("answer", "error", call=call.id, sdp=OFFER)
    assert error["code"] == "bad_request"
    assert len(api.webrtc.legs) == 1


async def test_a_ringing_call_takes_no_tones_and_no_renegotiation(api: Api) -> None:
    browser = await api.browser("alice")
    call = api.calls.incoming()
    api.directory.ring("alice", "phone", call.id)
    await browser.receive("call")
    for type_, fields in (("dtmf", {"tones": "1"}), ("call", {"sdp": OFFER})):
        error = await browser.request(type_, "error", call=call.id, **fields)
        assert error["code"] == "bad_request"


async def test_all_sessions_of_a_user_ring(api: Api) -> None:
    first, second = await api.browser("alice"), await api.browser("alice")
    call = api.calls.incoming()
    legs = api.directory.ring("alice", "phone", call.id)
    assert len({leg.id for leg in legs}) == 2
    await first.receive("call")
    await second.receive("call")
    await first.request("answer", "answer", call=call.id, sdp=OFFER)
    legs[1].hangup(CANCELLED.because("Answered elsewhere"))
    assert (await second.receive("hangup"))["reason"]["text"] == "Answered elsewhere"


async def test_nobody_rings_when_nobody_is_signed_in(api: Api) -> None:
    await api.browser("")
    assert api.directory.ring("", "phone", "c-1") == []
    assert api.directory.ring("alice", "phone", "c-1") == []


async def test_a_socket_closed_while_ringing_ends_its_leg(api: Api) -> None:
    browser = await api.browser("alice")
    events: list[object] = []
    [leg] = api.directory.ring("alice", "phone", api.calls.incoming().id)
    leg.listen(events.append)
    await browser.socket.close()
    await until(lambda: len(events) == 2)
    assert type(events[-1]).__name__ == "LegEnded"
