"""POST /v1/calls: the gateway calls, and a program or the dialplan deals with who answers."""

from __future__ import annotations

import json
import time

import pytest
from aiohttp import web

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE, SPEECH, hears, loudest
from tests.verbs.house import House
from tests.verbs.phone import Phone
from tests.verbs.talks import BROWSER_HZ, PHONE_HZ, signed_in

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

TO_SOUTH = {"trunk": "south", "number": "100"}


async def test_a_telephone_is_called_and_a_program_speaks_with_it(
    house: House, south: Phone
) -> None:
    async with south.follows(south.answers()) as sip:
        began = time.monotonic()
        status, created = await house.create(
            to=TO_SOUTH, program="greets", variables={"campaign": "spring"}
        )
        assert status == 201
        await wait_until(lambda: loudest(south.rtp, began) > SPEECH, PATIENCE, "speech")
        # Keys that are pressed while it speaks are lost: it asks when it has spoken.
        told: list[dict[str, object]] = []
        while not told:
            await south.rtp.send_digits("1", gap_ms=400)
            told = house.told(call=created["id"])
        await sip.done()
    assert told[0]["digits"] == "1"
    assert told[0]["variables"] == {
        "campaign": "spring", "digits": "1", "gather_reason": "complete"
    }  # fmt: skip
    [bye] = sip.received("BYE")
    assert "Thank you" in bye


async def test_a_server_leads_the_called_telephone_through_a_menu(
    house: House, south: Phone
) -> None:
    menu = [
        {"gather": {"question": {"file": "long1300.wav"}, "max_digits": 1}},
        {"http": f"{house.web_url}/chosen"},
    ]
    house.replies["/menu"] = lambda _, __: web.json_response({"verbs": menu})

    def chosen(_: web.Request, body: str) -> web.Response:
        digits = json.loads(body)["variables"]["digits"]
        return web.json_response({"verbs": [{"hangup": f"You chose {digits}"}]})

    house.replies["/chosen"] = chosen
    async with south.follows(south.answers()) as sip:
        status, _ = await house.create(
            to=TO_SOUTH, program="asks-server", variables={"url": f"{house.web_url}/menu"}
        )
        assert status == 201
        await hears(south.rtp, 1300)
        await south.rtp.send_digits("3")
        await sip.done()
    [bye] = sip.received("BYE")
    assert "You chose 3" in bye


async def test_a_telephone_that_is_busy_ends_the_call(house: House, south: Phone) -> None:
    async with south.follows(south.refuses("486 Busy Here")) as sip:
        status, created = await house.create(to=TO_SOUTH, program="greets")
        assert status == 201
        await sip.done()
    assert "code=busy" in await house.ends(created["id"])


async def test_click_to_call_rings_the_browser_and_then_the_telephone(
    house: House, peer: ProbePeer, south: Phone
) -> None:
    async with signed_in(house, "user-bob", peer) as bob, south.follows(south.answers()) as sip:
        status, created = await house.create(to={"user": "user-bob"}, callee="100")
        assert status == 201
        assert (await bob.next("call"))["call"] == created["id"]
        assert sip.received("INVITE") == []  # nobody is called before the browser answers
        await bob.answer()
        await hears(south.rtp)
        peer.start_tone(BROWSER_HZ)
        south.rtp.start_tone(PHONE_HZ)
        await hears(south.rtp, BROWSER_HZ)
        await hears(peer, PHONE_HZ)
        await peer.send_digits("5")
        await wait_until(lambda: south.rtp.received_digits, PATIENCE, "5")
        await bob.send("hangup", call=created["id"])
        await sip.done()


async def test_who_is_not_there_cannot_be_called(house: House) -> None:
    status, problem = await house.create(to={"user": "nobody"}, callee="100")
    assert (status, problem["code"]) == (404, "unavailable")
    status, problem = await house.create(to=TO_SOUTH, program="unknown")
    assert (status, problem["code"]) == (404, "not_found")
    status, problem = await house.create(to=TO_SOUTH)
    assert (status, problem["code"]) == (422, "unprocessable")
