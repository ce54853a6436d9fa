"""Every message of the signalling WebSocket about calls out, as a browser sends and sees it."""

from __future__ import annotations

import json

import pytest
from aiohttp import WSServerHandshakeError

from gateway.api.limits import Limits
from gateway.api.ports import CallState, DigitHeard, StateChanged, Tones
from gateway.errors import MEDIA_FAILED, NO_COMMON_CODEC, PEER_UNREACHABLE, GatewayError
from gateway.ids import new_leg_id
from tests.api.conftest import Api, StartApi
from tests.api.doubles import ANSWER, OFFER, REANSWER
from tests.api.steps import place, until


async def test_hello_tells_session_user_and_ice_servers(api: Api) -> None:
    browser = await api.connect()
    hello = await browser.request("hello", "hello", user="alice", id="m1")
    assert hello["user"] == "alice"
    assert hello["in_reply_to"] == "m1"
    assert hello["session"].startswith("s-")
    assert hello["ice_servers"] == [
        {"urls": ["stun:stun.example:3478"]},
        {"urls": ["turn:turn.example"], "username": "u", "credential": "c"},
    ]
    assert api.directory.is_signed_in("alice")


async def test_a_second_hello_changes_the_name(api: Api) -> None:
    browser = await api.browser("alice")
    hello = await browser.request("hello", "hello", user="bob")
    assert hello["user"] == "bob"
    assert not api.directory.is_signed_in("alice")
    assert api.directory.is_signed_in("bob")


async def test_hello_comes_first(api: Api) -> None:
    browser = await api.connect()
    error = await browser.request("call", "error", to="echo", sdp=OFFER, id="m1")
    assert error["code"] == "bad_request"
    assert error["in_reply_to"] == "m1"
    assert api.calls.calls == {}


async def test_a_call_is_answered_and_its_states_follow(api: Api) -> None:
    browser = await api.browser("alice")
    answer = await browser.request("call", "answer", to="echo", sdp=OFFER, id="m1")
    call = api.calls.last
    assert answer == {
        "v": 1,
        "type": "answer",
        "call": call.id,
        "sdp": ANSWER,
        "in_reply_to": "m1",
    }
    assert (call.caller, call.to) == ("alice", "echo")
    assert not api.webrtc.legs[0].called
    for state in (CallState.RINGING, CallState.EARLY, CallState.ANSWERED, CallState.HELD):
        call.tell(StateChanged(state, media="browser opus/48000 -> port 1"))
        told = await browser.receive("state")
        assert told["call"] == call.id
        assert told["state"] == state.value
        assert told["media"] == "browser opus/48000 -> port 1"
        assert "reason" not in told


async def test_the_end_of_a_call_tells_the_sip_reason(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    call.end(PEER_UNREACHABLE.because("503 Service Unavailable"))
    ended = await browser.receive("state")
    assert ended["state"] == "ended"
    assert ended["reason"] == {
        "code": "peer_unreachable",
        "text": "503 Service Unavailable",
        "sip_status": 503,
        "q850": 27,
        "blame": "peer",
    }
    error = await browser.request("hangup", "error", call=call.id)
    assert error["code"] == "no_such_call"


async def test_states_that_came_before_the_answer_are_not_lost(api: Api) -> None:
    browser = await api.browser()

    api.calls.at_once = StateChanged(CallState.RINGING)
    await place(api, browser)
    assert (await browser.receive("state"))["state"] == "ringing"


async def test_an_unknown_destination_is_an_error_and_leaves_no_leg(api: Api) -> None:
    browser = await api.browser()
    error = await browser.request("call", "error", to="nowhere", sdp=OFFER, id="m1")
    assert error["code"] == "not_found"
    assert error["in_reply_to"] == "m1"
    assert error["reason"]["sip_status"] == 404
    [leg] = api.webrtc.legs
    assert [verdict.code for verdict in leg.hung_up] == ["not_found"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GatewayError(NO_COMMON_CODEC), "no_common_codec"),
        (GatewayError(MEDIA_FAILED), "media_failed"),
        (RuntimeError("a bug with secrets"), "internal"),
    ],
)
async def test_a_failed_offer_tells_its_code_and_the_session_stays(
    api: Api, error: Exception, code: str
) -> None:
    browser = await api.browser()
    api.webrtc.error = error
    told = await browser.request("call", "error", to="echo", sdp=OFFER)
    assert told["code"] == code
    assert "secrets" not in json.dumps(told)
    api.webrtc.error = None
    await place(api, browser)


async def test_malformed_sdp_is_an_error(api: Api) -> None:
    browser = await api.browser()
    error = await browser.request("call", "error", to="echo", sdp="rubbish")
    assert error["code"] == "bad_sdp"


async def test_a_call_needs_a_destination(api: Api) -> None:
    browser = await api.browser()
    error = await browser.request("call", "error", sdp=OFFER)
    assert error["code"] == "bad_request"
    assert "to" in error["message"]


async def test_a_bug_behind_one_message_does_not_end_the_session(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)

    api.calls.error = RuntimeError("secret")
    error = await browser.request("dtmf", "error", call=call.id, tones="1")
    assert error["code"] == "internal"
    assert "secret" not in json.dumps(error)
    await browser.request("hello", "hello")


async def test_candidates_reach_the_leg_and_null_ends_them(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    await browser.send("candidate", call=call.id, candidate="candidate:1 1 udp 1 ::1 9", mid="0")
    await browser.send("candidate", call=call.id, candidate=None)
    await browser.request("hello", "hello")
    assert api.webrtc.legs[0].candidates == [("candidate:1 1 udp 1 ::1 9", "0"), (None, None)]


async def test_candidates_of_one_call_are_bounded(start_api: StartApi) -> None:
    api = await start_api(limits=Limits(candidates_per_call=2))
    browser = await api.browser()
    call = await place(api, browser)
    for _ in range(2):
        await browser.send("candidate", call=call.id, candidate="candidate:1", mid="0")
    error = await browser.request("candidate", "error", call=call.id, candidate="candidate:1")
    assert error["code"] == "bad_request"
    assert len(api.webrtc.legs[0].candidates) == 2


async def test_an_offer_for_a_running_call_renegotiates_it(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    hold = OFFER + "a=sendonly\r\n"
    answer = await browser.request("call", "answer", call=call.id, sdp=hold, id="m9")
    assert (answer["call"], answer["sdp"], answer["in_reply_to"]) == (call.id, REANSWER, "m9")
    assert api.webrtc.legs[0].offers == [hold]
    assert len(api.calls.calls) == 1


async def test_a_bad_renegotiation_leaves_the_call_alone(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    error = await browser.request("call", "error", call=call.id, sdp="rubbish")
    assert (error["code"], error["call"]) == ("bad_sdp", call.id)
    assert call.hung_up == []


async def test_tones_go_to_the_call_as_if_the_leg_had_sent_them(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    await browser.send("dtmf", call=call.id, tones="12,#a", duration=200, gap=50)
    await browser.send("dtmf", call=call.id, tones="5")
    await browser.request("hello", "hello")
    leg = api.webrtc.legs[0].id
    assert call.tones == [(leg, Tones("12,#A", 200, 50)), (leg, Tones("5", 100, 70))]


async def test_phone_digits_reach_the_socket_and_the_data_channel(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    phone = new_leg_id()
    call.tell(DigitHeard(phone, "7", 3))
    began = await browser.receive("dtmf")
    assert began == {
        "v": 1,
        "type": "dtmf",
        "call": call.id,
        "digit": "7",
        "phase": "began",
        "event": 3,
    }
    call.tell(DigitHeard(phone, "7", 3, 120))
    ended = await browser.receive("dtmf")
    assert (ended["phase"], ended["duration_ms"], ended["event"]) == ("ended", 120, 3)
    assert [json.loads(text) for text in api.webrtc.legs[0].messages] == [began, ended]


async def test_the_browsers_own_digits_do_not_come_back(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    call.tell(DigitHeard(api.webrtc.legs[0].id, "1", 1))
    call.tell(StateChanged(CallState.ANSWERED))
    await browser.receive("state")
    assert api.webrtc.legs[0].messages == []


async def test_hangup_ends_the_call(api: Api) -> None:
    browser = await api.browser()
    call = await place(api, browser)
    ended = await browser.request("hangup", "state", call=call.id, reason="user")
    assert (ended["state"], ended["reason"]["code"]) == ("ended", "normal")
    assert [verdict.code for verdict in call.hung_up] == ["normal"]


async def test_a_closed_socket_ends_its_calls_and_signs_out(api: Api) -> None:
    browser = await api.browser("alice")
    call = await place(api, browser)
    await browser.socket.close()
    await until(lambda: call.hung_up)
    assert [verdict.code for verdict in call.hung_up] == ["normal"]
    assert call.sinks == []
    assert not api.directory.is_signed_in("alice")


async def test_a_socket_closed_while_the_offer_is_answered_leaves_nothing(api: Api) -> None:
    browser = await api.browser()
    api.webrtc.gate.clear()
    await browser.send("call", to="echo", sdp=OFFER)
    await until(lambda: api.webrtc.waiting)
    await browser.socket.close()
    await until(lambda: not api.webrtc.waiting)
    assert api.calls.calls == {}


async def test_a_slow_offer_does_not_hold_up_other_messages(api: Api) -> None:
    browser = await api.browser()
    api.webrtc.gate.clear()
    await browser.send("call", to="echo", sdp=OFFER)
    await until(lambda: api.webrtc.waiting)
    await browser.request("hello", "hello")
    api.webrtc.gate.set()
    await browser.receive("answer")


async def test_calls_of_one_session_are_bounded(start_api: StartApi) -> None:
    api = await start_api(limits=Limits(calls_per_session=1))
    browser = await api.browser("alice")
    call = await place(api, browser)
    error = await browser.request("call", "error", to="echo", sdp=OFFER)
    assert error["code"] == "too_many_calls"
    assert api.directory.ring("alice", "phone", "c-2") == []
    await browser.request("hangup", "state", call=call.id)
    await place(api, browser)


async def test_sessions_do_not_reach_each_others_calls(api: Api) -> None:
    alice, mallory = await api.browser("alice"), await api.browser("mallory")
    call = await place(api, alice)
    for type_, fields in (
        ("hangup", {}),
        ("dtmf", {"tones": "1"}),
        ("candidate", {"candidate": None}),
        ("answer", {"sdp": OFFER}),
        ("call", {"sdp": OFFER}),
    ):
        error = await mallory.request(type_, "error", call=call.id, **fields)
        assert error["code"] == "no_such_call"
    assert (call.hung_up, call.tones) == ([], [])


async def test_without_demo_nobody_gets_in(start_api: StartApi) -> None:
    api = await start_api(demo=False)
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.connect()
    assert refused.value.status == 401
