"""hold, unhold, mute, unmute and send_dtmf, on a browser that talks with a telephone."""

from __future__ import annotations

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE, hears
from tests.verbs.house import House
from tests.verbs.phone import Phone
from tests.verbs.talks import BROWSER_HZ, PHONE_HZ, talking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]


async def test_who_is_on_hold_hears_music_alone_and_the_other_nothing(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    async with talking(house, peer, north) as talk:
        await house.verb(talk.call, "hold", {"leg": "caller", "music": "long1300.wav"})
        await hears(peer, 1300)
        await hears(north.rtp)
        await house.verb(talk.call, "unhold", {"leg": "caller"})
        await hears(peer, PHONE_HZ)
        await hears(north.rtp, BROWSER_HZ)
        await house.verb(talk.call, "hold", {"leg": "callee", "music": "tone440.wav"})
        await hears(north.rtp, 440)
        await hears(peer)
        await house.verb(talk.call, "unhold", {"leg": "callee"})
        await hears(north.rtp, BROWSER_HZ)
        await hears(peer, PHONE_HZ)


async def test_mute_is_one_way(house: House, peer: ProbePeer, north: Phone) -> None:
    async with talking(house, peer, north) as talk:
        await house.verb(talk.call, "mute", {"leg": "caller"})
        await hears(north.rtp)
        await hears(peer, PHONE_HZ)
        await peer.send_digits("7")  # its keys still count
        await wait_until(lambda: north.rtp.received_digits, PATIENCE, "7")
        await house.verb(talk.call, "unmute", {"leg": "caller"})
        await hears(north.rtp, BROWSER_HZ)
        await house.verb(talk.call, "mute", {"leg": "callee"})
        await hears(peer)
        await hears(north.rtp, BROWSER_HZ)
        await house.verb(talk.call, "unmute", {"leg": "callee"})
        await hears(peer, PHONE_HZ)


async def test_tones_to_one_side_are_as_long_as_asked_and_reach_no_other(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    async with talking(house, peer, north) as talk:
        wish = {"digits": "19#", "duration_ms": 160, "gap_ms": 60, "leg": "callee"}
        await house.verb(talk.call, "send_dtmf", wish)
        await wait_until(lambda: len(north.rtp.received_digits) == 3, PATIENCE, "3 digits")
        found = [(each.digit, each.duration_ms) for each in north.rtp.received_digits]
        assert found == [("1", 160), ("9", 160), ("#", 160)]
        await house.verb(talk.call, "send_dtmf", {"digits": "5", "duration_ms": 250})
        await wait_until(lambda: peer.received_digits, PATIENCE, "a digit")
        assert [(each.digit, each.duration_ms) for each in peer.received_digits] == [("5", 250)]
        assert len(north.rtp.received_digits) == 3
