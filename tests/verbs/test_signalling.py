"""answer, ring, reject, hangup and pause, as a telephone sees and hears them."""

from __future__ import annotations

import time

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.sip.sipp import caller_request, pause, receive
from tests.verbs.hearing import hears, tones_now
from tests.verbs.house import House
from tests.verbs.phone import HANGS_UP, Phone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

ACK = caller_request("ACK", 1)
BYE = (caller_request("BYE", 2), receive(200))
TRYING = receive(100, optional=True)


async def test_ring_is_180_then_early_media_is_heard_and_only_answer_is_200(
    house: House, north: Phone
) -> None:
    xml = north.dials(
        "announces", TRYING, receive(180), receive(183), receive(200), ACK, pause(300), *BYE
    )
    async with north.follows(xml, target=house.gateway.sip_port) as sip:
        await hears(north.rtp, 440)
        assert not sip.received("SIP/2.0 200")
        await north.rtp.send_digits("#")  # what the announcement waits for
        await sip.done()
    [ringing], [early] = sip.received("SIP/2.0 180"), sip.received("SIP/2.0 183")
    assert "m=audio" not in ringing
    assert "m=audio" in early


async def test_reject_says_why(house: House, north: Phone) -> None:
    xml = north.dials("rejects", TRYING, receive(486), ACK)
    async with north.follows(xml, target=house.gateway.sip_port) as sip:
        await sip.done()
    [refusal] = sip.received("SIP/2.0 486")
    assert 'Reason: Q.850;cause=17;text="486 Try the other one"' in refusal


async def test_hangup_is_a_bye_with_its_reason(house: House, north: Phone) -> None:
    xml = north.dials("hangs-up", TRYING, receive(200), ACK, *HANGS_UP)
    async with north.follows(xml, target=house.gateway.sip_port) as sip:
        await sip.done()
    [bye] = sip.received("BYE")
    assert 'Reason: Q.850;cause=16;text="Closed on Sundays"' in bye


async def test_a_command_hangs_up_a_browsers_call(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    await house.verb(call, "hangup", "Enough")
    assert "Enough" in await house.ends(call)


async def test_pause_is_silence_in_rtp_that_goes_on(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    await hears(peer)
    began, before = time.monotonic(), len(peer.heard)
    answer = await house.verb(call, "pause", 1.0)
    assert answer == {"state": "done", "outcome": {}}
    assert time.monotonic() - began >= 1.0
    assert len(peer.heard) - before > 35
    assert tones_now(peer) == frozenset()
