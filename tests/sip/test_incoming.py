"""Incoming SIP calls, made by SIPp."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.model import Trunk
from gateway.errors import BUSY, NORMAL, NOT_FOUND, GatewayError
from gateway.ports import LegAnswered, LegEnded, LegMedia
from gateway.terms import Codec
from tests.sip.conftest import Gateway, StartGateway
from tests.sip.sipp import (
    Transport,
    caller_request,
    cancel,
    receive,
    reply,
    scenario,
    sdp,
    sipp,
)

TRYING = receive(100, optional=True)
INVITE = caller_request("INVITE", 1, sdp())
ACK = caller_request("ACK", 1)
BYE = caller_request("BYE", 2) + receive(200)


def trunk(**changes: object) -> Trunk:
    """A trunk that may call from anywhere on loopback."""
    settings = {"name": "t", "host": "127.0.0.1", "allow": ["127.0.0.0/8"], **changes}
    return Trunk.model_validate(settings)


def refused(status: int, invite: str = INVITE) -> str:
    """A caller that expects to be refused."""
    return scenario(invite, TRYING, receive(status), ACK)


def audio_of(message: str) -> tuple[list[str], dict[str, str]]:
    """Payload types of the first audio description, and their encodings."""
    lines = message.replace("\r", "").splitlines()
    media = next(line for line in lines if line.startswith("m=audio"))
    maps = dict(line[9:].split(maxsplit=1) for line in lines if line.startswith("a=rtpmap:"))
    return media.split()[3:], maps


async def answer_one(gateway: Gateway) -> None:
    """Answer the next call and hold the line until it ends."""
    incoming, heard = await gateway.offered()
    incoming.leg.answer()
    await heard.next(LegEnded)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_comes_in_is_rung_answered_and_ended_by_the_caller(
    start_gateway: StartGateway, tmp_path: Path, transport: Transport
) -> None:
    gateway = await start_gateway(trunk())
    gone = caller_request("BYE", 2, "", 'Reason: Q.850;cause=31;text="Gone, \\"x\\""')
    calls = scenario(INVITE, receive(100), receive(180), receive(200), ACK, gone, receive(200))
    async with sipp(tmp_path, calls, target=gateway.port, transport=transport) as peer:
        incoming, heard = await gateway.offered()
        assert (incoming.trunk, incoming.caller, incoming.callee) == ("t", "alice", "100")
        assert incoming.caller_name == 'Alice "A"'
        incoming.leg.ring()
        incoming.leg.answer()
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegMedia", "LegAnswered", "LegEnded"]
    assert not heard.all(LegMedia)[0].early
    assert ended.by_peer
    assert (ended.verdict.code, ended.verdict.q850) == ("normal", 31)
    assert ended.verdict.text == 'Gone, "x"'
    assert not gateway.media.open


async def test_headers_of_the_invite_are_there_for_the_dialplan(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    invite = caller_request("INVITE", 1, sdp(), "X-Tenant: acme\r\nX-Tenant: blue")
    calls = scenario(invite, receive(100), receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        assert incoming.headers["x-tenant"] == "acme, blue"
        incoming.leg.answer()
        await heard.next(LegEnded)
        await peer.done()


async def test_we_end_an_answered_call(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(trunk())
    ends = scenario(
        INVITE, TRYING, receive(200), ACK, receive("BYE"), reply("200 OK", to="[last_To:]")
    )
    async with sipp(tmp_path, ends, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        incoming.leg.answer()
        await heard.next(LegAnswered)
        incoming.leg.hangup(NORMAL.because("Enough"))
        incoming.leg.hangup(BUSY)
        ended = await heard.next(LegEnded)
        await peer.done()
    assert (ended.verdict.text, ended.by_peer) == ("Enough", False)
    assert 'Reason: Q.850;cause=16;text="Enough"' in peer.received("BYE")[0]


async def test_early_media_is_a_183_with_the_answer(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(INVITE, TRYING, receive(183), receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.early_media()
        assert (await heard.next(LegMedia)).early
        incoming.leg.answer()
        await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegMedia", "LegAnswered", "LegEnded"]
    assert "m=audio" in peer.received("SIP/2.0 183")[0]


async def test_an_unknown_source_gets_403_and_reaches_nobody(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk(allow=["127.0.0.0/31"]))
    async with sipp(tmp_path, refused(403), target=gateway.port, address="127.0.0.2") as peer:
        await peer.done()
    assert gateway.incoming.empty()
    assert gateway.plane.leg_count == 0


async def test_the_trunk_with_the_most_specific_network_takes_the_call(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    wide = trunk(name="wide", allow=["127.0.0.0/8"])
    narrow = trunk(name="narrow", allow=["10.0.0.0/8", "127.0.0.2/32"])
    middle = trunk(name="middle", allow=["127.0.0.0/24"])
    gateway = await start_gateway(wide, narrow, middle)
    for address, name in [("127.0.0.2", "narrow"), ("127.0.0.3", "middle"), ("127.1.0.1", "wide")]:
        calls = refused(486)
        async with sipp(tmp_path, calls, target=gateway.port, address=address) as peer:
            incoming, _ = await gateway.offered()
            incoming.leg.hangup(BUSY)
            await peer.done()
        assert incoming.trunk == name


@pytest.mark.parametrize(
    ("verdict", "status"), [(NOT_FOUND, 404), (BUSY, 486), (NORMAL, 480)], ids=lambda v: str(v)[:20]
)
async def test_hanging_up_an_unanswered_call_refuses_it(
    start_gateway: StartGateway, tmp_path: Path, verdict: object, status: int
) -> None:
    gateway = await start_gateway(trunk())
    async with sipp(tmp_path, refused(status), target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.hangup(verdict)  # type: ignore[arg-type]
        ended = await heard.next(LegEnded)
        await peer.done()
    assert (ended.verdict, ended.by_peer) == (verdict, False)
    assert "Reason: Q.850;cause=" in peer.received(f"SIP/2.0 {status}")[0]


async def test_a_handler_that_raises_refuses_the_call_with_its_verdict(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    gateway.refuse = GatewayError(NOT_FOUND, "no rule")
    async with sipp(tmp_path, refused(404), target=gateway.port) as peer:
        await peer.done()
    gateway.refuse = RuntimeError("a bug")  # type: ignore[assignment]
    async with sipp(tmp_path, refused(500), target=gateway.port) as peer:
        await peer.done()


async def test_a_call_that_nobody_deals_with_ends_by_itself(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk(), patience=0.3)
    async with sipp(tmp_path, refused(500), target=gateway.port) as peer:
        _, heard = await gateway.offered()
        ended = await heard.next(LegEnded)
        await peer.done()
    assert ended.verdict.code == "internal"


async def test_the_caller_hangs_up_before_the_answer(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    why = 'Reason: SIP;cause=200;text="Call completed elsewhere"'
    gives_up = scenario(INVITE, TRYING, receive(180), cancel(why), receive(200), receive(487), ACK)
    async with sipp(tmp_path, gives_up, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.ring()
        ended = await heard.next(LegEnded)
        incoming.leg.answer()
        incoming.leg.hangup(BUSY)
        await peer.done()
    assert (ended.verdict.code, ended.by_peer) == ("cancelled", True)
    assert ended.verdict.text == "Call completed elsewhere"


async def test_no_common_codec_is_refused_with_488(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk(codecs=["pcma"]), trunk(name="other", codecs=["pcmu"]))
    for formats in [("0 PCMU/8000", "101 telephone-event/8000"), ("18 G729/8000",)]:
        calls = refused(488, caller_request("INVITE", 1, sdp(*formats)))
        async with sipp(tmp_path, calls, target=gateway.port) as peer:
            await peer.done()
    assert gateway.incoming.empty()
    assert gateway.plane.leg_count == 0


@pytest.mark.parametrize(
    ("codecs", "offer", "answer"),
    [
        (
            ["pcma", "pcmu"],
            ["0 PCMU/8000", "8 PCMA/8000", "97 telephone-event/8000"],
            {"8": "PCMA/8000", "97": "telephone-event/8000"},
        ),
        (
            ["opus", "pcmu"],
            ["0 PCMU/8000", "98 opus/48000/2", "97 telephone-event/8000",
             "99 telephone-event/48000"],
            {"98": "opus/48000/2", "99": "telephone-event/48000"},
        ),
        (
            ["opus", "pcmu"],
            ["98 opus/48000/2", "0 PCMU/8000", "97 telephone-event/8000"],
            {"0": "PCMU/8000", "97": "telephone-event/8000"},
        ),
        (["g722"], ["9 G722/8000"], {"9": "G722/8000"}),
    ],
)  # fmt: skip
async def test_the_answer_has_one_codec_and_the_matching_telephone_event(
    start_gateway: StartGateway,
    tmp_path: Path,
    codecs: list[str],
    offer: list[str],
    answer: dict[str, str],
) -> None:
    other = trunk(name="other", allow=["10.0.0.0/8"], codecs=list(Codec)[:4])
    gateway = await start_gateway(other, trunk(codecs=codecs))
    invite = caller_request("INVITE", 1, sdp(*offer))
    calls = scenario(invite, TRYING, receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await answer_one(gateway)
        await peer.done()
    numbers, maps = audio_of(peer.received("SIP/2.0 200")[0])
    assert {number: maps[number] for number in numbers} == answer


async def test_an_invite_without_an_offer_gets_ours_in_the_200(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk(codecs=["pcma", "pcmu"]))
    calls = scenario(
        caller_request("INVITE", 1), TRYING, receive(180), receive(200),
        caller_request("ACK", 1, sdp("0 PCMU/8000", "101 telephone-event/8000")), BYE,
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.early_media()
        incoming.leg.answer()
        media = await heard.next(LegMedia)
        await heard.next(LegEnded)
        await peer.done()
    assert media.description == "pcmu/8000 + telephone-event/8000"
    numbers, _ = audio_of(peer.received("SIP/2.0 200")[0])
    assert numbers[:2] == ["8", "0"]


async def test_video_and_text_of_an_offer_are_refused(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    more = ("m=video 30000 RTP/AVP 96", "a=rtpmap:96 VP8/90000",
            "m=text 30002 RTP/AVP 98", "a=rtpmap:98 t140/1000")  # fmt: skip
    invite = caller_request("INVITE", 1, sdp(extra=more))
    calls = scenario(invite, TRYING, receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await answer_one(gateway)
        await peer.done()
    answer = peer.received("SIP/2.0 200")[0]
    assert "m=video 0 " in answer
    assert "m=text 0 " in answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("v=0\nthis is no SDP", 400),
        ("v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0", 400),
        (sdp("999 PCMU/8000"), 400),
        ("v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio x RTP/AVP 0", 400),
    ],
)
async def test_a_malformed_offer_is_refused_and_the_next_call_works(
    start_gateway: StartGateway, tmp_path: Path, body: str, status: int
) -> None:
    gateway = await start_gateway(trunk())
    calls = refused(status, caller_request("INVITE", 1, body))
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await peer.done()
    assert gateway.plane.leg_count == 0
    calls = scenario(INVITE, TRYING, receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await answer_one(gateway)
        await peer.done()


async def test_refer_and_replaces_are_refused(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(trunk())
    refer = caller_request("REFER", 2, "", "Refer-To: <sip:900@127.0.0.1>")
    calls = scenario(
        INVITE, TRYING, receive(200), ACK, refer, receive(603),
        caller_request("BYE", 3), receive(200),
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await answer_one(gateway)
        await peer.done()
    assert gateway.incoming.empty()


async def test_ending_the_plane_refuses_calls_that_are_not_answered(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    async with sipp(tmp_path, refused(503), target=gateway.port) as peer:
        _, heard = await gateway.offered()
        await gateway.plane.stop()
        await peer.done()
    assert (await heard.next(LegEnded)).verdict.code == "shutting_down"
