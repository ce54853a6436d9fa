"""Outgoing SIP calls, answered and refused by SIPp."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from pathlib import Path

import pytest

from gateway.config.model import Trunk
from gateway.errors import BUSY, NORMAL, GatewayError
from gateway.ports import LegAnswered, LegEnded, LegMedia, LegRinging, SipTarget
from tests.sip.conftest import Heard, StartGateway
from tests.sip.sipp import (
    Transport,
    callee_request,
    pause,
    receive,
    receive_invite,
    reply,
    reply_saved,
    scenario,
    sdp,
    sipp,
)
from tests.support.processes import free_ports, wait_until

ANSWERS = scenario(
    receive_invite(),
    reply("100 Trying"),
    reply("180 Ringing"),
    reply("200 OK", sdp()),
    receive("ACK"),
    receive("BYE"),
    reply("200 OK", to="[last_To:]"),
)
RINGS_ON = scenario(
    receive_invite(),
    reply("180 Ringing"),
    receive("CANCEL"),
    reply("200 OK"),
    reply_saved("487 Request Terminated"),
    receive("ACK"),
)


def trunk(port: int, **changes: object) -> Trunk:
    """A trunk on loopback."""
    return Trunk.model_validate({"name": "t", "host": "127.0.0.1", "port": port, **changes})


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_rings_is_answered_and_hung_up_by_us(
    start_gateway: StartGateway, tmp_path: Path, transport: Transport
) -> None:
    async with sipp(tmp_path, ANSWERS, transport=transport) as peer:
        gateway = await start_gateway(trunk(peer.port, transport=transport, nat=True))
        heard = Heard(gateway.plane.dial(SipTarget("t", "+14155550100", "alice")))
        await heard.next(LegAnswered)
        heard.leg.hangup(NORMAL.because('Said "bye"'))
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegRinging", "LegMedia", "LegAnswered", "LegEnded"]
    media = heard.all(LegMedia)[0]
    assert not media.early
    assert media.description == "pcmu/8000 + telephone-event/8000"
    assert (ended.verdict.code, ended.by_peer) == ("normal", False)
    (invite,) = peer.received("INVITE")
    assert invite.startswith(f"INVITE sip:+14155550100@127.0.0.1:{peer.port}")
    assert "From: <sip:alice@127.0.0.1>" in invite
    (bye,) = peer.received("BYE")
    assert 'Reason: Q.850;cause=16;text="Said \\"bye\\""' in bye
    assert gateway.media.noted("latch") == [True]
    assert gateway.media.noted("timeout") == [30000]
    assert not gateway.media.open
    assert gateway.plane.leg_count == 0


@pytest.mark.parametrize(
    ("response", "code", "status"),
    [
        ("486 Busy Here", "busy", 486),
        ("600 Busy Everywhere", "busy", 600),
        ("603 Decline", "declined", 603),
        ("404 Not Found", "not_found", 404),
        ("480 Temporarily Unavailable", "no_answer", 480),
        ("488 Not Acceptable Here", "no_common_codec", 488),
        ("503 Service Unavailable", "peer_unreachable", 503),
        ("500 Boom", "peer_refused", 500),
        ("302 Moved Temporarily", "peer_refused", 302),
    ],
)
async def test_a_refusal_ends_the_leg_with_the_peers_verdict(
    start_gateway: StartGateway, tmp_path: Path, response: str, code: str, status: int
) -> None:
    async with sipp(tmp_path, scenario(receive_invite(), reply(response), receive("ACK"))) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegEnded"]
    assert (ended.verdict.code, ended.verdict.sip_status) == (code, status)
    assert ended.verdict.text == response
    assert ended.by_peer


async def test_the_q850_cause_of_a_refusal_is_taken_over(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    refuses = reply("500 Server Error", "", 'Reason: Q.850;cause=34;text="No circuit"')
    async with sipp(tmp_path, scenario(receive_invite(), refuses, receive("ACK"))) as peer:
        gateway = await start_gateway(trunk(peer.port))
        ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded)
        await peer.done()
    assert (ended.verdict.sip_status, ended.verdict.q850) == (500, 34)
    assert ended.verdict.text == "No circuit"


async def test_early_media_then_answer(start_gateway: StartGateway, tmp_path: Path) -> None:
    answers = scenario(
        receive_invite(),
        reply("183 Session Progress", sdp()),
        pause(300),
        reply("200 OK", sdp()),
        receive("ACK"),
        callee_request("BYE", 10, "", 'Reason: Q.850;cause=31;text="Line dropped"'),
        receive(200),
    )
    async with sipp(tmp_path, answers) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        assert (await heard.next(LegMedia)).early
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegMedia", "LegAnswered", "LegEnded"]
    assert ended.by_peer
    assert (ended.verdict.code, ended.verdict.q850) == ("normal", 31)
    assert ended.verdict.text == "Line dropped"


async def test_hanging_up_a_ringing_call_cancels_it(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with sipp(tmp_path, RINGS_ON) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegRinging)
        heard.leg.hangup(BUSY.because("Somebody else answered"))
        ended = await heard.next(LegEnded)
        await peer.done()
    assert (ended.verdict.code, ended.by_peer) == ("busy", False)
    (cancel,) = peer.received("CANCEL")
    assert 'Reason: Q.850;cause=17;text="Somebody else answered"' in cancel


async def test_nobody_answers_within_the_ring_timeout(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with sipp(tmp_path, RINGS_ON) as peer:
        gateway = await start_gateway(trunk(peer.port, ring_timeout=0.5))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegRinging", "LegEnded"]
    assert (ended.verdict.code, ended.by_peer) == ("no_answer", False)


async def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_ended(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    late = scenario(
        receive_invite(),
        reply("180 Ringing"),
        receive("CANCEL"),
        reply("200 OK"),
        reply_saved("200 OK", sdp()),
        receive("ACK"),
        receive("BYE"),
        reply("200 OK", to="[last_To:]"),
    )
    async with sipp(tmp_path, late) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegRinging)
        heard.leg.hangup(NORMAL)
        await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegRinging", "LegEnded"]
    assert not gateway.media.open


async def test_a_peer_that_says_nothing_is_unreachable(start_gateway: StartGateway) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        gateway = await start_gateway(trunk(silent.getsockname()[1], ring_timeout=1.0))
        ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded)
    assert ended.verdict.code == "peer_unreachable"
    assert not ended.by_peer


async def test_a_refused_tcp_connection_is_unreachable_at_once(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(trunk(free_ports(), transport="tcp"))
    ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded, within=3)
    assert (ended.verdict.code, ended.verdict.sip_status) == ("peer_unreachable", 503)
    assert "refused" in ended.verdict.text.lower()


def digest(fields: dict[str, str]) -> str:
    """The response that proves "me" knows "secret" (RFC 7616 3.4.1, qop=auth)."""
    function = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[fields["algorithm"]]

    def hashed(*parts: str) -> str:
        return function(":".join(parts).encode()).hexdigest()

    secret, asked = hashed("me", "x", "secret"), hashed("INVITE", fields["uri"])
    return hashed(secret, fields["nonce"], fields["nc"], fields["cnonce"], "auth", asked)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize(("status", "header"), [(401, "WWW"), (407, "Proxy")])
async def test_a_digest_challenge_is_answered(
    start_gateway: StartGateway, tmp_path: Path, algorithm: str, status: int, header: str
) -> None:
    challenge = (
        f'{header}-Authenticate: Digest realm="x",nonce="abc",algorithm={algorithm},qop="auth"'
    )
    challenges = scenario(
        receive_invite(),
        reply(f"{status} Unauthorized", "", challenge),
        receive("ACK"),
        receive_invite(),
        reply("200 OK", sdp()),
        receive("ACK"),
        receive("BYE"),
        reply("200 OK", to="[last_To:]"),
    )
    async with sipp(tmp_path, challenges) as peer:
        gateway = await start_gateway(trunk(peer.port, username="me", password="secret"))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegAnswered)
        heard.leg.hangup(NORMAL)
        await heard.next(LegEnded)
        await peer.done()
    first, second = peer.received("INVITE")
    assert "uthorization:" not in first
    proof = next(line for line in second.splitlines() if "uthorization:" in line)
    fields = dict(re.findall(r'(\w+)="?([^",\r]+)"?', proof))
    assert (fields["username"], fields["algorithm"]) == ("me", algorithm)
    assert fields["response"] == digest(fields)
    assert "secret" not in second


async def test_a_challenge_without_credentials_ends_the_call(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    challenge = 'WWW-Authenticate: Digest realm="x",nonce="abc",algorithm=MD5'
    challenges = reply("401 Unauthorized", "", challenge)
    async with sipp(tmp_path, scenario(receive_invite(), challenges, receive("ACK"))) as peer:
        gateway = await start_gateway(trunk(peer.port))
        ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded)
        await peer.done()
    assert (ended.verdict.code, ended.verdict.sip_status) == ("peer_refused", 401)


@pytest.mark.parametrize("answer", [sdp("18 G729/8000"), sdp().replace("[media_port]", "0")])
async def test_an_answer_without_a_codec_of_ours_ends_the_call(
    start_gateway: StartGateway, tmp_path: Path, answer: str
) -> None:
    answers = scenario(
        receive_invite(),
        reply("200 OK", answer),
        receive("BYE"),
        reply("200 OK", to="[last_To:]"),
        receive("ACK"),
        pause(500),
    )
    async with sipp(tmp_path, answers) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        ended = await heard.next(LegEnded)
        await peer.done()
    assert len(peer.received("BYE")) == 1
    assert heard.kinds == ["LegEnded"]
    assert ended.verdict.code == "no_common_codec"
    assert not gateway.media.open
    assert gateway.plane.leg_count == 0


@pytest.mark.parametrize("field", ["number", "caller"])
@pytest.mark.parametrize(
    "text", ["1\r\nX-Evil: 1", "1\n2", "1\r2", "1\x002", "1\x7f2", "x" * 129, "\ud800"]
)
async def test_text_that_cannot_stand_in_a_header_is_refused_before_anything_is_sent(
    start_gateway: StartGateway, field: str, text: str
) -> None:
    gateway = await start_gateway(trunk(5060))
    target = SipTarget("t", text) if field == "number" else SipTarget("t", "100", text)
    with pytest.raises(GatewayError) as refused:
        gateway.plane.dial(target)
    assert refused.value.verdict.code == "bad_request"
    assert gateway.plane.leg_count == 0


async def test_an_unknown_trunk_is_refused(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    with pytest.raises(GatewayError) as refused:
        gateway.plane.dial(SipTarget("nowhere", "100"))
    assert refused.value.verdict.code == "not_found"


async def test_strange_numbers_and_callers_are_escaped_in_uris(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    refuses = scenario(receive_invite(), reply("404 Not Found"), receive("ACK"))
    async with sipp(tmp_path, refuses) as peer:
        gateway = await start_gateway(trunk(peer.port))
        target = SipTarget("t", '*21#@evil.example>;x="', "Zoë <sip:x@y>")
        await Heard(gateway.plane.dial(target)).next(LegEnded)
        await peer.done()
    (invite,) = peer.received("INVITE")
    host = f"@127.0.0.1:{peer.port}"
    assert invite.startswith(f"INVITE sip:*21%23%40evil.example%3e;x=%22{host} SIP/2.0")
    assert "from: <sip:zo%c3%ab%20%3csip%3ax%40y%3e@127.0.0.1>" in invite.lower()


async def test_text_with_line_breaks_never_reaches_a_reason_header(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with sipp(tmp_path, ANSWERS) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegAnswered)
        heard.leg.hangup(NORMAL.because("a\r\nX-Evil: 1"))
        await heard.next(LegEnded)
        await peer.done()
    (bye,) = peer.received("BYE")
    assert "Reason: Q.850;cause=16\n" in bye.replace("\r", "")
    assert "Evil" not in bye


async def test_a_host_name_is_resolved_and_stays_in_the_request(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with sipp(tmp_path, ANSWERS) as peer:
        gateway = await start_gateway(trunk(peer.port, host="localhost"))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegAnswered)
        heard.leg.hangup(NORMAL)
        await peer.done()
    (invite,) = peer.received("INVITE")
    assert invite.startswith(f"INVITE sip:100@localhost:{peer.port} SIP/2.0")
    assert "Route:" not in invite


async def test_a_name_that_does_not_resolve_is_unreachable(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(trunk(5060, host="no-such-host.invalid"))
    ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded, within=15)
    assert ended.verdict.code == "peer_unreachable"
    assert "no-such-host.invalid" in ended.verdict.text


async def test_a_call_may_be_hung_up_while_its_trunk_is_still_looked_up(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    async def slow(*_: object, **__: object) -> list[object]:
        asked.set_result(None)
        return await loop.create_future()

    monkeypatch.setattr(loop, "getaddrinfo", slow)
    gateway = await start_gateway(trunk(5060, host="slow.example"))
    heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
    await asked
    heard.leg.hangup(NORMAL)
    ended = await heard.next(LegEnded)
    assert (ended.verdict.code, ended.by_peer) == ("normal", False)
    assert gateway.plane.leg_count == 0


async def test_the_offer_lists_the_trunks_codecs_in_order_with_their_event_clocks(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    refuses = scenario(receive_invite(), reply("404 Not Found"), receive("ACK"))
    async with sipp(tmp_path, refuses) as peer:
        codecs = ["g722", "opus", "pcma"]
        gateway = await start_gateway(trunk(peer.port, codecs=codecs))
        await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded)
        await peer.done()
    lines = peer.received("INVITE")[0].replace("\r", "").splitlines()
    media = next(line for line in lines if line.startswith("m=audio"))
    numbers = media.split()[3:]
    maps = dict(line[9:].split() for line in lines if line.startswith("a=rtpmap:"))
    offered = [maps[number].lower() for number in numbers]
    assert offered == [
        "g722/8000", "opus/48000/2", "pcma/8000", "telephone-event/8000", "telephone-event/48000",
    ]  # fmt: skip
    assert len(maps) == len(numbers)
    events = [number for number in numbers if maps[number].startswith("telephone-event")]
    assert all(f"a=fmtp:{number} 0-16" in lines for number in events)
    assert sum(line.startswith("m=") for line in lines) == 1


async def test_ending_the_plane_ends_calls_with_a_bye(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with sipp(tmp_path, ANSWERS) as peer:
        gateway = await start_gateway(trunk(peer.port))
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegAnswered)
        await gateway.plane.stop()
        ended = await heard.next(LegEnded)
        await peer.done()
    assert ended.verdict.code == "shutting_down"
    assert not gateway.media.open
    with pytest.raises(GatewayError):
        gateway.plane.dial(SipTarget("t", "100"))


async def test_a_media_plane_failure_ends_that_call_only(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    two = scenario(*[
        receive_invite(),
        reply("180 Ringing"),
        reply("200 OK", sdp()),
        receive("ACK"),
        receive("BYE"),
        reply("200 OK", to="[last_To:]"),
    ])  # fmt: skip
    async with sipp(tmp_path, two, calls=2) as peer:
        gateway = await start_gateway(trunk(peer.port))
        gateway.media.failure = RuntimeError("native trouble")
        ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded)
        assert (ended.verdict.code, ended.by_peer) == ("internal", False)
        gateway.media.failure = None
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegAnswered)
        heard.leg.hangup(NORMAL)
        await heard.next(LegEnded)
        await wait_until(lambda: len(peer.received("BYE")) == 2, 5, "both calls ended by BYE")
        await peer.done()
