"""A browser's leg from offer to end, against a probe peer and a fake media plane."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from gateway.errors import (
    BAD_REQUEST,
    BAD_SDP,
    BUSY,
    MEDIA_FAILED,
    MEDIA_LOST,
    NORMAL,
    SETUP_TIMEOUT,
    SHUTTING_DOWN,
    GatewayError,
)
from gateway.legs.webrtc._aiortc_private import SrtpKeys
from gateway.legs.webrtc.leg import LegState
from gateway.legs.webrtc.link import Link, LinkError
from gateway.ports import Layer, LegAnswered, LegEnded, LegEvent, LegMedia, LegTransport
from gateway.terms import Codec
from tests.webrtc.conftest import Rig, heard_by, until
from tests.webrtc.fake_media import FakeMedia
from tests.webrtc.offers import CHROMIUM, FINGERPRINT


async def test_audio_and_digits_flow_both_ways(rig: Rig) -> None:
    leg, peer, events = await rig.call()
    assert leg.port is not None
    assert events == [LegMedia(leg.port, True, "opus/48000 + telephone-event/48000")]
    peer.start_tone(440)
    await peer.send_digits("159#", duration_ms=100, gap_ms=60)
    await until(lambda: len(peer.received_digits) == 4)
    heard = [(d.digit, d.duration_ms) for d in peer.received_digits]
    assert heard == [("1", 100), ("5", 100), ("9", 100), ("#", 100)]
    await until(lambda: len(peer.received_audio(1.0)) == 2 * 48000, 3)
    assert peer.stats.refused == 0
    assert peer.stats.lost == 0


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
@pytest.mark.parametrize("codec", [Codec.OPUS, Codec.PCMU, Codec.PCMA])
async def test_every_role_and_codec(rig: Rig, setup: str, codec: Codec) -> None:
    _, peer, _ = await rig.call(setup=setup, codecs=(codec,))
    await until(lambda: peer.stats.received > 5)
    assert rig.media.only.params.codec is codec
    assert rig.media.only.params.srtp_profile == 7  # AEAD_AES_128_GCM: both sides have it


def test_the_same_on_uvloop() -> None:
    async def scenario() -> None:
        rig = Rig(FakeMedia(echo=True))
        leg, peer, events = await rig.call(data_channel=True)
        await until(lambda: peer.stats.received > 5)
        await until(lambda: peer.send_message("ready"))
        leg.hangup(NORMAL)
        await until(lambda: len(events) == 2)
        await peer.close()
        await rig.planes[0].close()
        assert not rig.media.ports
        assert asyncio.all_tasks() == {asyncio.current_task()}

    uvloop.run(scenario())


async def test_the_media_plane_gets_every_host_socket_and_all_rtp(rig: Rig) -> None:
    leg, peer, _ = await rig.call()
    port = rig.media.only
    assert peer.negotiated is not None
    offered = {(c.ip, c.port) for c in peer.negotiated.candidates}
    assert {sock.getsockname()[:2] for sock in port.sockets.values()} == offered
    assert leg.selected_pair is not None
    assert leg.selected_pair.tag >= 0
    await until(lambda: len(port.rtp) > 10)
    numbers = [int.from_bytes(packet[2:4], "big") for packet in port.rtp]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[0] == peer.first_sequence
    assert port.directions == []


async def test_a_peer_that_falls_silent_and_comes_back(rig: Rig) -> None:
    leg, peer, events = await rig.call()
    port = rig.media.only
    await until(lambda: len(port.rtp) > 0)
    peer.mute()
    await asyncio.sleep(0.1)
    count = len(port.rtp)
    await asyncio.sleep(0.2)
    assert len(port.rtp) == count
    peer.mute(False)
    await until(lambda: len(port.rtp) > count + 5)
    before, after = (int.from_bytes(port.rtp[n][2:4], "big") for n in (count - 1, count))
    assert (after - before) % 65536 > 5  # counted as lost
    assert len(events) == 1
    assert leg.port is not None


async def test_the_browser_is_asked_for_what_the_bridge_can_carry(rig: Rig) -> None:
    for rate in (8000, 16000):
        _, answer = await rig.plane(bridge_rate=rate).answer_offer(await rig.peer().offer())
        assert f"maxplaybackrate={rate};" in answer
    _, answer = await rig.plane(bridge_rate=48000).answer_offer(await rig.peer().offer())
    assert "maxplaybackrate" not in answer


# ---- candidates -----------------------------------------------------------------------------


async def test_trickled_candidates(rig: Rig) -> None:
    peer = rig.peer()
    leg, answer = await rig.plane().answer_offer(await peer.offer(candidates=False))
    accepted = asyncio.create_task(peer.accept(answer))
    leg.add_candidate("candidate:1 1 udp 2113937151 d5a1-2f.local 40000 typ host", "0")
    for line in peer.candidate_lines:
        leg.add_candidate(line, "0")
    leg.add_candidate("a=end-of-candidates", "0")
    await accepted
    await until(lambda: leg.port is not None)


async def test_a_browser_that_shows_only_mdns_names_connects(rig: Rig) -> None:
    peer = rig.peer()
    offer = await peer.offer(candidates=False)
    leg, answer = await rig.plane().answer_offer(offer)
    leg.add_candidate("candidate:1 1 udp 2113937151 d5a1-2f.local 40000 typ host", "0")
    leg.add_candidate(None, "0")
    await asyncio.sleep(0.1)
    await peer.accept(answer)
    await until(lambda: leg.port is not None)


async def test_an_ice_lite_peer_is_controlled(rig: Rig) -> None:
    peer = rig.peer()
    offer = (await peer.offer()).replace("t=0 0", "t=0 0\r\na=ice-lite")
    leg, answer = await rig.plane().answer_offer(offer)
    await peer.accept(answer)  # the probe claims to be controlling too: RFC 8445 7.3.1.1 decides
    await until(lambda: leg.port is not None)


async def test_candidates_that_cannot_be_taken(rig: Rig) -> None:
    leg, _ = await rig.plane().answer_offer(CHROMIUM)
    for line, mid in [
        ("candidate:nonsense", "0"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host", "9"),
    ]:
        with pytest.raises(GatewayError) as caught:
            leg.add_candidate(line, mid)
        assert caught.value.verdict.code == BAD_REQUEST.code
    room = 64 - CHROMIUM.count(" udp ")
    for number in range(1, room + 1):
        leg.add_candidate(f"candidate:1 1 udp 1 192.0.2.1 {number} typ host", "0")
    with pytest.raises(GatewayError, match="More than 64"):
        leg.add_candidate("candidate:1 1 udp 1 192.0.2.1 9000 typ host", "0")
    leg.hangup(NORMAL)
    leg.add_candidate("candidate:nonsense", "0")  # too late to matter


# ---- how legs end ---------------------------------------------------------------------------


async def test_hangup_ends_both_sides(rig: Rig) -> None:
    leg, peer, events = await rig.call(called=True)
    assert [type(e) for e in events] == [LegMedia, LegAnswered]
    leg.hangup(BUSY)
    leg.hangup(NORMAL)
    assert not rig.media.ports
    assert len(events) == 2  # not from inside hangup
    await until(lambda: len(events) == 3)
    assert events[-1] == LegEnded(BUSY, by_peer=False)
    await asyncio.wait_for(peer.lost.wait(), 5)
    await leg.wait_closed()
    assert leg.state is LegState.ENDED
    assert not rig.planes[0].legs
    assert len(events) == 3


async def test_the_browser_closes(rig: Rig) -> None:
    _, peer, events = await rig.call(data_channel=True)
    await peer.close()
    await until(lambda: len(events) == 2)
    assert events[-1] == LegEnded(NORMAL, by_peer=True)
    assert not rig.media.ports


async def test_the_browser_vanishes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.05)
    _, peer, events = await rig.call()
    await peer.vanish()
    await until(lambda: len(events) == 2, 15)
    assert isinstance(events[-1], LegEnded)
    assert events[-1].verdict.code == MEDIA_LOST.code
    assert not rig.media.ports


async def test_a_leg_tells_the_states_of_ice_and_dtls(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.05)
    peer = rig.peer()
    leg, answer = await rig.plane(dtls_role="active").answer_offer(await peer.offer())
    told: list[LegEvent] = []
    leg.listen(told.append)
    await peer.accept(answer)
    await until(lambda: leg.port is not None)
    await peer.vanish()
    await until(lambda: isinstance(told[-1], LegEnded), 15)
    states = [event for event in told if isinstance(event, LegTransport)]
    assert [(event.layer, event.state) for event in states] == [
        (Layer.ICE, "checking"), (Layer.ICE, "connected"), (Layer.DTLS, "connecting"),
        (Layer.DTLS, "connected"), (Layer.DTLS, "closed"), (Layer.ICE, "consent_lost"),
    ]  # fmt: skip
    assert states[1].detail == "host-host"
    assert states[3].detail.endswith(", client")
    assert [event.monotonic for event in states] == sorted(event.monotonic for event in states)


async def test_set_up_takes_too_long(rig: Rig) -> None:
    leg, _ = await rig.plane(setup_timeout=0.1).answer_offer(CHROMIUM)
    events = heard_by(leg)
    await until(lambda: len(events) == 1)
    assert events == [LegEnded(SETUP_TIMEOUT.because("No connection within 0.1 s"), by_peer=False)]
    await leg.wait_closed()


async def test_a_false_fingerprint(rig: Rig) -> None:
    peer = rig.peer(fingerprint=FINGERPRINT)
    leg, answer = await rig.plane().answer_offer(await peer.offer())
    events = heard_by(leg)
    await peer.accept(answer)
    await until(lambda: len(events) == 1)
    assert isinstance(events[0], LegEnded)
    assert events[0].verdict.code == BAD_SDP.code
    assert "fingerprint" in events[0].verdict.text
    await asyncio.wait_for(peer.lost.wait(), 5)
    assert not rig.media.ports


async def test_hangup_before_anything_happened(rig: Rig) -> None:
    peer = rig.peer()
    leg, _ = await rig.plane().answer_offer(await peer.offer())
    leg.hangup(BUSY)  # the set-up task has not run yet
    await leg.wait_closed()
    events = heard_by(leg)  # late listeners get everything
    assert events == [LegEnded(BUSY, by_peer=False)]


async def test_hangup_in_the_middle_of_set_up(rig: Rig) -> None:
    plane = rig.plane()
    for delay in (0.0, 0.005, 0.02, 0.05):
        peer = rig.peer()
        leg, answer = await plane.answer_offer(await peer.offer())
        accepting = asyncio.create_task(peer.accept(answer, timeout=1))
        await asyncio.sleep(delay)
        leg.hangup(BUSY)
        await leg.wait_closed()
        assert not rig.media.ports
        accepting.cancel()
        await asyncio.wait([accepting])
        if not accepting.cancelled():
            assert isinstance(accepting.exception(), LinkError | TimeoutError | type(None))
    assert not plane.legs


async def test_hangup_in_the_moment_of_success(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Link.connect

    async def connect_and_hang_up(self: Link, *arguments: Any) -> SrtpKeys:
        keys = await connect(self, *arguments)
        if leg._link is self:
            leg.hangup(BUSY)
        return keys

    peer = rig.peer()
    leg, answer = await rig.plane().answer_offer(await peer.offer())
    monkeypatch.setattr(Link, "connect", connect_and_hang_up)
    await peer.accept(answer)
    await asyncio.wait_for(peer.lost.wait(), 5)
    await leg.wait_closed()
    assert leg.state is LegState.ENDED
    assert leg.port is None
    assert not rig.media.ports


async def test_hangup_from_inside_an_event(rig: Rig) -> None:
    peer = rig.peer(data_channel=True)
    leg, answer = await rig.plane().answer_offer(await peer.offer())
    events: list[LegEvent] = []

    def sink(event: LegEvent) -> None:
        if not isinstance(event, LegTransport):
            events.append(event)
        if isinstance(event, LegMedia):
            leg.hangup(BUSY)

    leg.listen(sink)
    await peer.accept(answer)
    await until(lambda: len(events) == 2)
    assert events[-1] == LegEnded(BUSY, by_peer=False)
    await leg.wait_closed()


async def test_a_media_plane_that_fails(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise GatewayError(MEDIA_FAILED, "no more ports")

    peer = rig.peer()
    plane = rig.plane()
    monkeypatch.setattr(rig.media, "webrtc_add_socket", fail)
    leg, answer = await plane.answer_offer(await peer.offer())
    events = heard_by(leg)
    await peer.accept(answer)
    await until(lambda: len(events) == 1)
    assert events == [LegEnded(MEDIA_FAILED.because("no more ports"), by_peer=False)]
    assert not rig.media.ports


async def test_a_bug_ends_the_leg_only(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    peer = rig.peer()
    monkeypatch.setattr(rig.media, "webrtc_allow", bug)
    leg, answer = await rig.plane().answer_offer(await peer.offer())
    events = heard_by(leg)
    await peer.accept(answer)
    await until(lambda: len(events) == 1)
    assert isinstance(events[0], LegEnded)
    assert events[0].verdict.code == "internal"
    assert "ZeroDivisionError" in caplog.text
    assert not rig.media.ports


# ---- the plane ------------------------------------------------------------------------------


async def test_shutdown_ends_every_leg(rig: Rig) -> None:
    plane = rig.plane()
    legs = [await rig.call(plane) for _ in range(3)]
    waiting, _ = await plane.answer_offer(CHROMIUM)
    await plane.close()
    assert not plane.legs
    for _, _, events in legs:
        assert events[-1] == LegEnded(SHUTTING_DOWN, by_peer=False)
    assert waiting.state is LegState.ENDED
    with pytest.raises(GatewayError) as caught:
        await plane.answer_offer(CHROMIUM)
    assert caught.value.verdict is SHUTTING_DOWN


async def test_a_cancelled_request_leaves_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[Link] = []
    gather = Link.gather

    async def slow(self: Link) -> None:
        links.append(self)
        await gather(self)
        await asyncio.Event().wait()

    monkeypatch.setattr(Link, "gather", slow)
    plane = rig.plane()
    request = asyncio.create_task(plane.answer_offer(CHROMIUM))
    await until(lambda: bool(links) and bool(links[0].local_candidates))
    request.cancel()
    await asyncio.wait([request])
    assert request.cancelled()
    assert not links[0].local_candidates  # closed: its sockets are gone
    assert not plane.legs
