"""gather: barge-in, patterns, digits that the other side never gets, and digits kept secret."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.sip.sipp import caller_request, receive
from tests.support.processes import wait_until
from tests.verbs.hearing import (
    PATIENCE,
    SPEECH,
    digits_of,
    falls_silent,
    hears,
    loudest,
)
from tests.verbs.house import House
from tests.verbs.phone import HANGS_UP, Phone
from tests.verbs.recordings import channels_of, stretches
from tests.verbs.talks import BROWSER_HZ, PHONE_HZ, signed_in, talking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

CARD = "4929173856"
ASK = {"file": "long1300.wav"}


async def test_the_first_key_stops_the_question_and_bad_digits_have_it_asked_again(
    house: House, north: Phone
) -> None:
    ack = caller_request("ACK", 1)
    xml = north.dials("gathers", receive(100, optional=True), receive(200), ack, *HANGS_UP)
    async with north.follows(xml, target=house.gateway.sip_port) as sip:
        began = time.monotonic()
        await wait_until(lambda: loudest(north.rtp, began) > SPEECH, PATIENCE, "the question")
        pressed = time.monotonic()
        await north.rtp.send_digits("7")
        assert await falls_silent(north.rtp) - pressed < 2.0
        again = time.monotonic()
        await north.rtp.send_digits("#")  # 7 alone is not what it wants
        await wait_until(lambda: loudest(north.rtp, again) > SPEECH, PATIENCE, "asks again")
        await north.rtp.send_digits("42")
        await sip.done()
    told = await house.tells(callee="gathers")
    assert (told["digits"], told["good"]) == ("42", True)


async def test_digits_that_are_gathered_do_not_reach_the_other_side(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    async with talking(house, peer, north) as talk:
        wish = {"question": ASK, "max_digits": 3}
        gathering = asyncio.create_task(house.verb(talk.call, "gather", wish))
        await hears(peer, PHONE_HZ, 1300)  # the question is heard over the talk
        await hears(north.rtp, BROWSER_HZ)
        await peer.send_digits("123")
        outcome = (await gathering)["outcome"]
        assert outcome == {"digits": "123", "gather_reason": "complete"}
        await peer.send_digits("9")
        await wait_until(lambda: north.rtp.received_digits, PATIENCE, "9")
        assert digits_of(north.rtp.received_digits) == "9"


async def test_the_callee_is_asked_too(house: House, peer: ProbePeer, north: Phone) -> None:
    async with talking(house, peer, north) as talk:
        wish = {"question": ASK, "max_digits": 1, "leg": "callee"}
        gathering = asyncio.create_task(house.verb(talk.call, "gather", wish))
        await hears(north.rtp, BROWSER_HZ, 1300)
        await north.rtp.send_digits("6")
        assert (await gathering)["outcome"]["digits"] == "6"
        assert peer.received_digits == []


async def test_secret_digits_are_in_no_event_log_or_recording(
    house: House, peer: ProbePeer, other_peer: ProbePeer
) -> None:
    async with signed_in(house, "user-alice", other_peer) as alice:
        call = await house.call(peer, "waits")
        await house.begin(call, "dial", {"user": "user-alice"})
        await alice.answer()
        peer.start_tone(BROWSER_HZ)
        other_peer.start_tone(PHONE_HZ)
        await hears(other_peer, BROWSER_HZ)
        await hears(peer, PHONE_HZ)
        started = await house.verb(call, "record", {"action": "start", "consent": True})
        await asyncio.sleep(1.0)  # so much of the talk before the capture is recorded
        wish = {"question": ASK, "max_digits": 10, "secure": True, "terminators": ""}
        gathering = asyncio.create_task(house.verb(call, "gather", wish))
        await hears(peer, PHONE_HZ, 1300)
        await peer.send_digits(CARD, duration_ms=80, gap_ms=60)
        answer = await gathering
        assert answer["outcome"]["digits"] == CARD
        await peer.send_digits("5")  # one too many, and still a secret
        await wait_until(
            lambda: [m for m in alice.messages if m["type"] == "dtmf"][21:], PATIENCE, "events"
        )
        await asyncio.sleep(1.0)  # so much of the talk behind it
        stopped = await house.verb(call, "record", {"action": "stop"})
        await house.verb(call, "hangup")
        await house.ends(call)
    assert digits_of(other_peer.received_digits) == ""
    told = [m["digit"] for m in alice.messages if m["type"] == "dtmf"]
    assert set(told) == {"X"}
    assert CARD not in house.gateway.log
    assert CARD not in str([alice.messages, other_peer.messages, started, stopped])
    left, right = channels_of(house.folder / "recordings" / f"{call}-1.wav")
    for channel, hz in ((left, BROWSER_HZ), (right, PHONE_HZ)):
        found = stretches(channel)
        # A leg that comes from the direct path may need a moment before it is heard.
        assert found[found[0] == "silence" :] == [f"{hz} Hz", "silence", f"{hz} Hz"]
