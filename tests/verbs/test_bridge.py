"""bridge: two calls that were live already."""

from __future__ import annotations

import asyncio

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.sip.sipp import caller_request, receive
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE, digits_of, hears
from tests.verbs.house import House
from tests.verbs.phone import HANGS_UP, Phone
from tests.verbs.talks import BROWSER_HZ, PHONE_HZ

OTHER_HZ = 1000

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]


async def test_two_calls_hear_each_other_and_end_together(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    ack = caller_request("ACK", 1)
    xml = north.dials("waits", receive(100, optional=True), receive(200), ack, *HANGS_UP)
    before = len(house.told(callee="waits"))
    async with north.follows(xml, target=house.gateway.sip_port) as sip:
        other = (await house.tells(before + 1, callee="waits"))["call"]
        call = await house.call(peer, "waits")
        peer.start_tone(BROWSER_HZ)
        await hears(north.rtp)
        north.rtp.start_tone(PHONE_HZ)
        await house.begin(call, "bridge", other)
        await hears(north.rtp, BROWSER_HZ)
        await hears(peer, PHONE_HZ)
        await peer.send_digits("12")
        await wait_until(lambda: len(north.rtp.received_digits) == 2, PATIENCE, "12")
        await north.rtp.send_digits("34")
        await wait_until(lambda: len(peer.received_digits) == 2, PATIENCE, "34")
        assert digits_of(north.rtp.received_digits) == "12"
        assert digits_of(peer.received_digits) == "34"
        await peer.close()
        await sip.done()
    await house.ends(call)
    await house.ends(other)


async def test_who_talks_is_joined_with_another_call_and_lets_the_telephone_go(
    house: House, peer: ProbePeer, other_peer: ProbePeer, north: Phone
) -> None:
    async with north.follows(north.answers()) as sip:
        call, other = await house.call(peer, "waits"), await house.call(other_peer, "waits")
        await house.begin(call, "dial", {"trunk": north.name, "number": "100"})
        peer.start_tone(BROWSER_HZ)
        north.rtp.start_tone(PHONE_HZ)
        other_peer.start_tone(OTHER_HZ)
        await hears(peer, PHONE_HZ)
        assert await house.bridge(other, call) == (202, {"state": "running"})
        await sip.done()
        await hears(peer, OTHER_HZ)
        await hears(other_peer, BROWSER_HZ)
        await peer.send_digits("12")
        await wait_until(lambda: len(other_peer.received_digits) == 2, PATIENCE, "12")
        await other_peer.send_digits("34")
        await wait_until(lambda: len(peer.received_digits) == 2, PATIENCE, "34")
        await other_peer.close()
    await house.ends(other)
    assert "The other call ended" in await house.ends(call)


async def test_who_joined_goes_on_when_the_other_call_ends(
    house: House, peer: ProbePeer, other_peer: ProbePeer
) -> None:
    call, other = await house.call(peer, "waits"), await house.call(other_peer, "waits")
    other_peer.start_tone(BROWSER_HZ)
    joined = asyncio.create_task(house.verb(call, "bridge", other))
    await hears(peer, BROWSER_HZ)
    await house.verb(other, "hangup", "Over")
    assert "Over" in await house.ends(other)
    await wait_until(other_peer.lost.is_set, PATIENCE, "the end of the other call")
    assert (await joined)["state"] == "done"
    await hears(peer)
    await house.begin(call, "play", "long1300.wav")
    await hears(peer, 1300)


async def test_a_joined_call_can_be_muted_held_and_asked(
    house: House, peer: ProbePeer, other_peer: ProbePeer
) -> None:
    call, other = await house.call(peer, "waits"), await house.call(other_peer, "waits")
    peer.start_tone(BROWSER_HZ)
    other_peer.start_tone(PHONE_HZ)
    await house.begin(call, "bridge", other)
    await hears(other_peer, BROWSER_HZ)
    await hears(peer, PHONE_HZ)
    for muted in (call, other):
        deaf, talker = (other_peer, peer) if muted is call else (peer, other_peer)
        await house.verb(muted, "mute")
        await hears(deaf)
        await hears(talker, PHONE_HZ if talker is peer else BROWSER_HZ)
        await house.verb(muted, "unmute")
        await hears(deaf, BROWSER_HZ if deaf is other_peer else PHONE_HZ)
    await house.verb(other, "hold", {"music": "long1300.wav"})
    await hears(other_peer, 1300)
    await hears(peer)
    await house.verb(other, "unhold")
    await hears(other_peer, BROWSER_HZ)
    await hears(peer, PHONE_HZ)
    await keeps_digits(house, call, peer, PHONE_HZ, other_peer)
    await keeps_digits(house, other, other_peer, BROWSER_HZ, peer)


async def keeps_digits(
    house: House, call: str, typing: ProbePeer, hearing: int, far: ProbePeer
) -> None:
    """Digits that are gathered stay in their call; those behind them do not."""
    wish = {"question": {"play": "long1300.wav"}, "max_digits": 3}
    gathering = asyncio.create_task(house.verb(call, "gather", wish))
    await hears(typing, 1300, hearing)
    await typing.send_digits("123")
    assert (await gathering)["outcome"]["digits"] == "123"
    await typing.send_digits("9")
    await wait_until(lambda: far.received_digits, PATIENCE, "9")
    assert digits_of(far.received_digits) == "9"


async def test_what_is_no_call_cannot_be_joined(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    status, problem = await house.try_verb(call, "bridge", "c-unknown")
    assert (status, problem["code"]) == (404, "not_found")
    status, problem = await house.try_verb(call, "bridge", call)
    assert (status, problem["code"]) == (400, "bad_request")
