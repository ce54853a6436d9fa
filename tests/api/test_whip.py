"""The WHIP-shaped endpoint as an HTTP client sees it (RFC 9725), and problem+json everywhere."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from aiohttp import ClientResponse
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.limits import Limits
from gateway.api.ports import CallState, DigitHeard, StateChanged
from gateway.api.sdpfrag import parse_fragment
from gateway.errors import MEDIA_FAILED, NO_COMMON_CODEC, TOO_MANY_CALLS, GatewayError
from gateway.ids import new_leg_id
from tests.api.conftest import Api, StartApi
from tests.api.doubles import ANSWER, OFFER

CALLS = "/v1/webrtc/calls"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.1 9999 typ host"
TRICKLE = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    f"m=audio 9 RTP/AVP 0\r\na=mid:0\r\na={CANDIDATE}\r\na=end-of-candidates\r\n"
)


async def problem_of(response: ClientResponse, status: int) -> dict[str, Any]:
    """Checks that the response is a problem (RFC 9457 3.1); its members."""
    assert response.status == status
    assert response.content_type == "application/problem+json"
    value: dict[str, Any] = json.loads(await response.text())
    assert value["status"] == status
    assert value["title"]
    assert value["detail"]
    assert value["type"] == f"urn:gateway:problem:{value['code']}"
    assert "Traceback" not in json.dumps(value)
    return value


async def post(api: Api, to: str = "echo", sdp: str = OFFER) -> ClientResponse:
    return await api.client.post(CALLS, params={"to": to}, data=sdp, headers=SDP)


async def test_a_call_by_http_from_offer_to_hangup(api: Api) -> None:
    response = await post(api)
    call = api.calls.last
    assert response.status == 201
    assert response.headers["Location"] == f"{CALLS}/{call.id}"
    assert response.content_type == "application/sdp"
    assert await response.text() == ANSWER
    assert response.headers.getall("Link") == [
        '<stun:stun.example:3478>; rel="ice-server"',
        '<turn:turn.example>; rel="ice-server"; username="u"; credential="c"; '
        'credential-type="password"',
    ]
    where, etag = response.headers["Location"], response.headers["ETag"]
    headers = {**FRAGMENT, "If-Match": etag}
    trickled = await api.client.patch(where, data=TRICKLE, headers=headers)
    assert trickled.status == 204
    assert api.webrtc.legs[0].candidates == [(CANDIDATE, "0"), (None, None)]
    assert (await api.client.delete(where)).status == 200
    assert [verdict.code for verdict in call.hung_up] == ["normal"]
    assert (await problem_of(await api.client.delete(where), 404))["code"] == "no_such_call"


async def test_an_offer_that_is_sent_again_under_its_key_makes_no_second_call(api: Api) -> None:
    """A client that lost the answer gets the same one: also the ETag and the servers."""
    answers = []
    for _ in range(2):
        async with api.client.post(
            CALLS,
            params={"to": "echo"},
            data=OFFER,
            headers={"Content-Type": "application/sdp", "Idempotency-Key": "1"},
        ) as response:
            assert response.status == 201
            headers = response.headers.copy()
            told = [headers.getall(name) for name in ("Location", "ETag", "Accept-Patch")]
            answers.append((await response.text(), told, headers.getall("Link", [])))
            assert ("Idempotency-Replayed" in headers) == (len(answers) == 2)
    assert answers[0] == answers[1]
    assert len(api.calls.calls) == 1


async def test_phone_digits_go_out_on_the_data_channel(api: Api) -> None:
    await post(api)
    call = api.calls.last
    call.tell(StateChanged(CallState.ANSWERED))
    call.tell(DigitHeard(new_leg_id(), "4", 1, 80))
    call.tell(DigitHeard(api.webrtc.legs[0].id, "5", 2, 80))
    [text] = api.webrtc.legs[0].messages
    assert json.loads(text)["digit"] == "4"
    assert json.loads(text)["duration_ms"] == 80


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GatewayError(NO_COMMON_CODEC), NO_COMMON_CODEC.http_status, "no_common_codec"),
        (GatewayError(MEDIA_FAILED), 500, "media_failed"),
        (RuntimeError("a bug with secrets"), 500, "internal"),
    ],
)
async def test_a_failed_offer_is_a_problem(
    api: Api, error: Exception, status: int, code: str
) -> None:
    api.webrtc.error = error
    problem = await problem_of(await post(api), status)
    assert problem["code"] == code
    assert "secrets" not in json.dumps(problem)


async def test_a_call_that_is_refused_is_a_problem(api: Api) -> None:
    assert (await problem_of(await post(api, to="nowhere"), 404))["code"] == "not_found"
    api.calls.error = GatewayError(TOO_MANY_CALLS)
    assert (await problem_of(await post(api), 429))["code"] == "too_many_calls"


@pytest.mark.parametrize("sdp", ["", "   ", "rubbish"])
async def test_malformed_sdp_is_400(api: Api, sdp: str) -> None:
    assert (await problem_of(await post(api, sdp=sdp), 400))["code"] == "bad_sdp"


async def test_sdp_that_is_not_utf8_is_400(api: Api) -> None:
    response = await api.client.post(CALLS + "?to=echo", data=b"v=0\xff", headers=SDP)
    await problem_of(response, 400)


@pytest.mark.parametrize("to", ["", "a\r\nb", "\x00", "x" * 257])
async def test_a_bad_destination_is_400(api: Api, to: str) -> None:
    assert (await problem_of(await post(api, to=to), 400))["code"] == "bad_request"


async def test_the_wrong_content_type_is_415(api: Api) -> None:
    response = await api.client.post(CALLS + "?to=echo", data=OFFER)
    assert (await problem_of(response, 415))["code"] == "unsupported_media_type"
    where = (await post(api)).headers["Location"]
    await problem_of(
        await api.client.patch(where, data=TRICKLE, headers={**SDP, "If-Match": '"x"'}), 415
    )


async def test_a_body_over_the_limit_is_413(api: Api) -> None:
    problem = await problem_of(await post(api, sdp=OFFER + "a" * 128 * 1024), 413)
    assert problem["code"] == "too_large"
    assert api.webrtc.legs == []


async def test_other_methods_are_405_and_say_what_is_allowed(api: Api) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        response = await api.client.request(method, CALLS)
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) == {"OPTIONS", "POST"}
    await problem_of(await api.client.get(CALLS), 405)
    where = (await post(api)).headers["Location"]
    problem = await problem_of(await api.client.get(where), 405)
    assert problem["code"] == "method_not_allowed"


async def test_unknown_paths_are_404_problems(api: Api) -> None:
    assert (await problem_of(await api.client.get("/nothing/here"), 404))["code"] == "not_found"


async def test_options_tell_the_types_and_no_cors(api: Api) -> None:
    response = await api.client.options(CALLS, headers={"Origin": "https://evil.example"})
    assert response.status == 204
    assert response.headers["Accept-Post"] == "application/sdp"
    where = (await post(api)).headers["Location"]
    session = await api.client.options(where)
    assert session.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    for each in (response, session):
        assert not [name for name in each.headers if name.startswith("Access-Control")]


async def test_a_foreign_page_cannot_make_calls(api: Api) -> None:
    headers = {**SDP, "Origin": "https://evil.example"}
    response = await api.client.post(CALLS + "?to=echo", data=OFFER, headers=headers)
    assert (await problem_of(response, 403))["code"] == "forbidden"
    assert api.webrtc.legs == []


@pytest.mark.parametrize(
    ("if_match", "body", "status"),
    [
        (None, TRICKLE, 428),
        ('"other"', TRICKLE, 412),
        ("*", TRICKLE, 422),
        ("ETAG", TRICKLE.replace("abcd", "wxyz"), 422),
        ("ETAG", "not sdp", 400),
        ("ETAG", "m=audio 9 RTP/AVP 0\r\n", 400),
    ],
)
async def test_patches_that_cannot_be_done(
    api: Api, if_match: str | None, body: str, status: int
) -> None:
    response = await post(api)
    headers = dict(FRAGMENT)
    if if_match is not None:
        headers["If-Match"] = if_match.replace("ETAG", response.headers["ETag"])
    where = response.headers["Location"]
    await problem_of(await api.client.patch(where, data=body, headers=headers), status)
    assert api.webrtc.legs[0].candidates == []


async def test_candidates_are_bounded(start_api: StartApi) -> None:
    api = await start_api(limits=Limits(candidates_per_call=3))
    response = await post(api)
    headers = {**FRAGMENT, "If-Match": response.headers["ETag"]}
    body = "m=audio 9 RTP/AVP 0\r\n" + f"a={CANDIDATE}\r\n" * 4
    where = response.headers["Location"]
    await problem_of(await api.client.patch(where, data=body, headers=headers), 400)


async def test_an_ended_call_is_gone(api: Api) -> None:
    response = await post(api)
    api.calls.last.end()
    await problem_of(await api.client.delete(response.headers["Location"]), 404)


async def test_without_demo_every_method_is_401(start_api: StartApi) -> None:
    api = await start_api(demo=False)
    response = await post(api)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    await problem_of(response, 401)
    await problem_of(await api.client.delete(CALLS + "/c-1"), 401)
    await problem_of(await api.client.patch(CALLS + "/c-1", data=TRICKLE, headers=FRAGMENT), 401)


async def test_shutdown_ends_calls_made_by_http(api: Api) -> None:
    await post(api)
    await api.server.app.shutdown()
    assert [verdict.code for verdict in api.calls.last.hung_up] == ["shutting_down"]
    await problem_of(await post(api), 503)


async def test_readiness_tells_why_not(start_api: StartApi) -> None:
    api = await start_api(not_ready=lambda: "SIP is not up")
    assert (await problem_of(await api.client.get("/readyz"), 503))["detail"] == "SIP is not up"


async def test_a_healthy_node_is_ready(api: Api) -> None:
    assert await (await api.client.get("/readyz")).json() == {"status": "ready"}
    assert await (await api.client.get("/healthz")).json() == {"status": "ok"}


def test_mids_belong_to_their_sections() -> None:
    fragment = parse_fragment(
        "a=candidate:0\r\nm=audio 9 RTP/AVP 0\r\na=candidate:1\r\na=mid:a\r\n"
        "m=application 9 X 0\r\na=mid:b\r\na=x-unknown:1\r\na=candidate:2\r\n"
    )
    assert [(item.candidate, item.mid) for item in fragment.candidates] == [
        ("candidate:0", None),
        ("candidate:1", "a"),
        ("candidate:2", "b"),
    ]
    assert not fragment.end


@given(st.text())
def test_any_fragment_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(GatewayError):
        parse_fragment(text)
