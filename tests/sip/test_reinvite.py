"""Re-INVITE by the peer: hold, resume, new payload types, new address."""

from __future__ import annotations

from pathlib import Path

from gateway.ports import LegAnswered, LegEnded, LegHeld, LegMedia
from tests.sip.conftest import StartGateway
from tests.sip.sipp import caller_request, receive, scenario, sdp, sipp
from tests.sip.test_incoming import ACK, INVITE, TRYING, audio_of, trunk


def reinvite(sequence: int, body: str) -> str:
    """A re-INVITE, its 200 and ACK."""
    return (
        caller_request("INVITE", sequence, body)
        + TRYING
        + receive(200)
        + caller_request("ACK", sequence)
    )


async def test_hold_and_resume(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(
        INVITE, TRYING, receive(200), ACK,
        reinvite(2, sdp(direction="sendonly", version=2)),
        reinvite(3, sdp(direction="inactive", version=3)),
        reinvite(4, sdp(direction="sendrecv", version=4)),
        caller_request("BYE", 5), receive(200),
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        await heard.next(LegEnded)
        await peer.done()
    assert [event.held for event in heard.all(LegHeld)] == [True, False]
    assert heard.kinds == ["LegMedia", "LegAnswered", "LegHeld", "LegHeld", "LegEnded"]
    assert len(gateway.media.noted("media")) == 4, "the media plane hears of each change"
    answers = [m for m in peer.received("SIP/2.0 200") if "m=audio" in m]
    known = ("sendrecv", "recvonly", "sendonly", "inactive")
    directions = [d for m in answers for d in known if f"a={d}" in m]
    assert directions == ["sendrecv", "recvonly", "inactive", "sendrecv"]


async def test_payload_types_and_codec_may_change_in_mid_call(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(
        INVITE, TRYING, receive(200), ACK,
        reinvite(2, sdp("0 PCMU/8000", "96 telephone-event/8000", version=2)),
        reinvite(3, sdp("8 PCMA/8000", "110 telephone-event/8000", version=3)),
        caller_request("BYE", 4), receive(200),
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        await heard.next(LegAnswered)
        changed = await heard.next(LegMedia, count=2)
        await heard.next(LegEnded)
        await peer.done()
    assert changed.description == "pcma/8000 + telephone-event/8000"
    assert changed.port == heard.all(LegMedia)[0].port
    answers = [m for m in peer.received("SIP/2.0 200") if "m=audio" in m]
    assert [audio_of(m)[0] for m in answers] == [["0", "101"], ["0", "96"], ["8", "110"]]
    assert len(gateway.media.noted("media")) == 3
    assert len({port for name, port, _ in gateway.media.calls if name == "media"}) == 1


async def test_a_reinvite_without_a_common_codec_leaves_the_call_as_it_was(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(
        INVITE, TRYING, receive(200), ACK,
        caller_request("INVITE", 2, sdp("18 G729/8000", version=2)), TRYING, receive(488),
        caller_request("ACK", 2),
        caller_request("BYE", 3), receive(200),
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegMedia", "LegAnswered", "LegEnded"]
    assert ended.by_peer


async def test_a_reinvite_without_an_offer_gets_one(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(
        INVITE, TRYING, receive(200), ACK,
        caller_request("INVITE", 2), TRYING, receive(200),
        caller_request("ACK", 2, sdp("0 PCMU/8000", "101 telephone-event/8000", version=2)),
        caller_request("BYE", 3), receive(200),
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        ended = await heard.next(LegEnded)
        await peer.done()
    assert ended.by_peer
    offers = [m for m in peer.received("SIP/2.0 200") if "m=audio" in m]
    assert len(offers) == 2
    assert set(audio_of(offers[1])[0]) <= {"0", "8", "101"}
