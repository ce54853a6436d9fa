"""dial: failover, who wins, whisper and confirmation, what is heard meanwhile, and its end."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.sip.sipp import pause, receive, receive_invite, reply, reply_saved, scenario
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE, SPEECH, amplitude, audio, hears, loudest, tones_now
from tests.verbs.house import House
from tests.verbs.phone import HANGS_UP, Phone
from tests.verbs.talks import BROWSER_HZ, PHONE_HZ

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

BOTH = [{"trunk": "north", "number": "100"}, {"trunk": "south", "number": "100"}]
RINGING = reply("180 Ringing")
IS_CANCELLED = (
    receive("CANCEL"),
    reply("200 OK"),
    reply_saved("487 Request Terminated"),
    receive("ACK"),
)


async def test_the_second_trunk_is_called_when_the_first_fails(
    house: House, peer: ProbePeer, north: Phone, south: Phone
) -> None:
    async with (
        north.follows(north.refuses("503 Service Unavailable")) as first,
        south.follows(south.answers()) as second,
    ):
        call = await house.call(peer, "rings")
        dialling = asyncio.create_task(
            house.try_verb(call, "dial", {"targets": BOTH, "strategy": "sequence"})
        )
        await first.done()
        await hears(south.rtp)
        peer.start_tone(BROWSER_HZ)
        south.rtp.start_tone(PHONE_HZ)
        await hears(south.rtp, BROWSER_HZ)
        await hears(peer, PHONE_HZ)
        assert not dialling.done()
        await house.verb(call, "hangup")
        await second.done()
        status, problem = await dialling
        assert (status, problem["code"]) == (409, "cancelled")  # it ended with its call


async def test_busy_stops_the_hunt(
    house: House, peer: ProbePeer, north: Phone, south: Phone
) -> None:
    async with (
        north.follows(north.refuses("486 Busy Here")) as first,
        south.follows(south.answers()) as second,
    ):
        call = await house.call(peer, "rings")
        wish = {"targets": BOTH, "strategy": "sequence"}
        outcome = (await house.verb(call, "dial", wish))["outcome"]
        assert outcome == {"dial_status": "busy", "dial_code": "486"}
        await first.done()
        assert second.received("INVITE") == []
        await house.verb(call, "hangup")


async def test_who_does_not_answer_first_is_cancelled(
    house: House, peer: ProbePeer, north: Phone, south: Phone
) -> None:
    async with (
        north.follows(scenario(receive_invite(), RINGING, *IS_CANCELLED)) as loser,
        south.follows(south.answers(first=(RINGING, pause(400)))) as winner,
    ):
        call = await house.call(peer, "rings")
        await house.begin(call, "dial", {"targets": BOTH})
        await loser.done()
        [cancel] = loser.received("CANCEL")
        assert "Answered elsewhere" in cancel
        south.rtp.start_tone(PHONE_HZ)
        await hears(peer, PHONE_HZ)
        await house.verb(call, "hangup")
        await winner.done()


async def test_an_answer_that_crosses_the_cancel_is_ended_at_once(
    house: House, peer: ProbePeer, north: Phone, south: Phone
) -> None:
    late = (
        receive("CANCEL"),
        reply("200 OK"),
        reply_saved("200 OK", north.session),  # RFC 3261 9.1: the CANCEL came too late
        receive("ACK"),
        *HANGS_UP,
    )
    async with (
        north.follows(scenario(receive_invite(), RINGING, *late)) as loser,
        south.follows(south.answers(first=(RINGING, pause(400)))) as winner,
    ):
        call = await house.call(peer, "rings")
        await house.begin(call, "dial", {"targets": BOTH})
        south.rtp.start_tone(PHONE_HZ)
        north.rtp.start_tone(1300)
        await loser.done()
        await hears(peer, PHONE_HZ)
        await house.verb(call, "hangup")
        await winner.done()


async def test_who_answers_is_told_first_and_takes_the_call_by_a_key(
    house: House, peer: ProbePeer, south: Phone
) -> None:
    wish = {
        "trunk": "south",
        "number": "100",
        "whisper": "A call from the shop. Press one to take it, or hang up. " * 2,
        "confirm": "1",
        "music": "long1300.wav",
    }
    async with south.follows(south.answers()) as sip:
        call = await house.call(peer, "waits")
        peer.start_tone(BROWSER_HZ)
        began = time.monotonic()
        await house.begin(call, "dial", wish)
        await hears(peer, 1300)
        south.rtp.start_tone(PHONE_HZ)
        await wait_until(lambda: loudest(south.rtp, began) > SPEECH, PATIENCE, "the whisper")
        await south.rtp.send_digits("2")
        spoken = time.monotonic()
        await asyncio.sleep(1.0)  # a stretch of the whisper, in which the caller hears music alone
        heard = audio(peer, spoken)
        music = amplitude(heard, peer.sample_rate, 1300) ** 2 / 2
        assert music > 0.9 * (heard**2).mean()
        assert loudest(south.rtp, spoken) > SPEECH
        assert BROWSER_HZ not in (tones_now(south.rtp) or ())
        await south.rtp.send_digits("1")
        await hears(peer, PHONE_HZ)
        await hears(south.rtp, BROWSER_HZ)
        assert peer.received_digits == []
        await house.verb(call, "hangup")
        await sip.done()


async def test_an_answered_caller_hears_ringing_until_somebody_answers(
    house: House, peer: ProbePeer, south: Phone
) -> None:
    async with south.follows(south.answers(first=(RINGING, pause(1500)))) as sip:
        call = await house.call(peer, "waits")
        await house.begin(call, "dial", {"trunk": "south", "number": "100"})
        await hears(peer, 425)
        south.rtp.start_tone(PHONE_HZ)
        await hears(peer, PHONE_HZ)
        await house.verb(call, "hangup")
        await sip.done()


async def test_a_talk_that_is_too_long_ends_and_the_program_goes_on(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    async with north.follows(north.answers()) as sip:
        await house.call(peer, "goes-on")
        peer.start_tone(BROWSER_HZ)
        await hears(north.rtp, BROWSER_HZ)
        await sip.done()
        told = await house.tells(callee="goes-on")
        assert told["status"] == "answered"
        assert 1400 < told["talk_ms"] < 3000
        await hears(peer, 440)


async def test_a_talk_that_is_too_long_ends_the_call(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    async with north.follows(north.answers()) as sip:
        call = await house.call(peer, "waits")
        wish = {"trunk": "north", "number": "100", "max_duration": 1}
        await house.begin(call, "dial", wish)
        await sip.done()
        await wait_until(peer.lost.is_set, PATIENCE, "the end of the call")
        assert "lasted as long as it may" in await house.ends(call)


async def test_headers_and_a_withheld_identity_on_the_wire(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    wish = {
        "trunk": "north",
        "number": "100",
        "withhold": True,
        "headers": {"X-Case": "4711", "Subject": "Order 12"},
    }
    async with north.follows(north.answers()) as sip:
        call = await house.call(peer, "waits")
        await house.begin(call, "dial", wish)
        await hears(north.rtp)
        await house.verb(call, "hangup")
        await sip.done()
    [invite] = sip.received("INVITE")
    lines = {line.strip() for line in invite.splitlines()}
    assert {"X-Case: 4711", "Subject: Order 12", "Privacy: id"} <= lines
    [sender] = [line for line in lines if line.startswith("From:")]
    assert "sip:anonymous@anonymous.invalid" in sender  # RFC 3323 4.1.1.3
