"""Later offers of a running leg: hold and resume, and what needs a new call."""

from __future__ import annotations

import re

import pytest

from gateway.errors import BAD_REQUEST, BAD_SDP, NORMAL, GatewayError
from gateway.media.values import Direction
from gateway.ports import LegHeld, LegMedia
from tests.webrtc.conftest import Rig, until


def _line(sdp: str, start: str) -> list[str]:
    return [line for line in sdp.splitlines() if line.startswith(start)]


async def test_hold_and_resume(rig: Rig) -> None:
    leg, peer, events = await rig.call(data_channel=True)
    first = leg.answer_sdp()
    port = rig.media.only
    answer = await leg.renegotiate(peer.reoffer(Direction.SENDONLY))
    assert port.directions == [Direction.RECVONLY]
    assert events[1:] == [LegHeld(True)]
    assert "a=recvonly" in answer.splitlines()
    await leg.renegotiate(peer.reoffer(Direction.INACTIVE))
    assert events[1:] == [LegHeld(True)]
    last = await leg.renegotiate(peer.reoffer(Direction.SENDRECV))
    assert port.directions[1:] == [Direction.INACTIVE, Direction.SENDRECV]
    assert events[1:] == [LegHeld(True), LegHeld(False)]
    # Everything but the version stays: transport, codec, source.
    assert _line(last, "o=")[0].split()[2] == "4"
    strip = re.compile(r"^o=.*$", re.MULTILINE)
    assert strip.sub("", last) == strip.sub("", first)
    await until(lambda: peer.stats.received > 5)


async def test_a_browser_without_a_microphone_is_not_held(rig: Rig) -> None:
    _, _, events = await rig.call(direction=Direction.RECVONLY)
    assert [type(e) for e in events] == [LegMedia]
    assert rig.media.only.directions == [Direction.SENDONLY]


async def test_a_call_that_begins_on_hold(rig: Rig) -> None:
    _, _, events = await rig.call(direction=Direction.SENDONLY)
    assert events[1:] == [LegHeld(True)]
    assert rig.media.only.directions == [Direction.RECVONLY]


@pytest.mark.parametrize(
    ("pattern", "other", "words"),
    [
        (r"a=ice-ufrag:.*", "a=ice-ufrag:other", "need a new call"),
        (r"a=ice-pwd:.*", "a=ice-pwd:" + "x" * 24, "need a new call"),
        (r"a=fingerprint:.*", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "need a new call"),
        (r"111 0 110 126", "0 110 126", "need a new call"),
        (r"a=rtpmap:110 telephone-event/48000\r\n", "", "need a new call"),
        (r"m=application \d+", "m=application 0", "need a new call"),
        (r"m=audio \d+", "m=audio 0", "no audio section"),
    ],
)
async def test_what_needs_a_new_call(rig: Rig, pattern: str, other: str, words: str) -> None:
    leg, peer, _ = await rig.call(data_channel=True)
    changed, count = re.subn(pattern, other, peer.reoffer(Direction.SENDONLY))
    assert count
    with pytest.raises(GatewayError) as caught:
        await leg.renegotiate(changed)
    assert caught.value.verdict.code == BAD_SDP.code
    assert words in caught.value.verdict.text
    # The call goes on as it was.
    assert rig.media.only.directions == []
    received = peer.stats.received
    await until(lambda: peer.stats.received > received + 3)


async def test_video_added_later_is_rejected(rig: Rig) -> None:
    leg, peer, _ = await rig.call()
    offer = peer.reoffer(Direction.SENDRECV) + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n"
    answer = await leg.renegotiate(offer)
    assert _line(answer, "m=video") == ["m=video 0 UDP/TLS/RTP/SAVPF 96"]


async def test_candidates_of_later_offers_do_not_add_up(rig: Rig) -> None:
    leg, peer, _ = await rig.call()
    for _ in range(40):  # Firefox trickles a new set each time
        await leg.renegotiate(peer.reoffer(Direction.SENDRECV))
        for line in peer.candidate_lines:
            leg.add_candidate(line, "0")


async def test_an_ended_leg(rig: Rig) -> None:
    leg, peer, _ = await rig.call()
    leg.hangup(NORMAL)
    with pytest.raises(GatewayError) as caught:
        await leg.renegotiate(peer.reoffer(Direction.SENDRECV))
    assert caught.value.verdict.code == BAD_REQUEST.code
