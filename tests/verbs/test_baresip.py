"""A telephone that is no work of ours: baresip hears, types, reads digits and hangs up."""

from __future__ import annotations

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.processes import wait_until
from tests.support.tones import strongest
from tests.verbs.hearing import PATIENCE, digits_of, hears
from tests.verbs.house import BARESIP_HZ, House
from tests.verbs.talks import BROWSER_HZ

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]


async def test_a_talk_with_hold_digits_and_a_hangup_from_the_far_end(
    house: House, peer: ProbePeer
) -> None:
    phone = house.baresip

    async def it_hears(hz: float) -> None:
        await wait_until(
            lambda: abs(strongest(phone.heard().part(-0.4)).hz - hz) < 6, PATIENCE, f"{hz:g} Hz"
        )

    async with phone:
        call = await house.call(peer, "waits")
        await house.begin(call, "dial", {"trunk": phone.name, "number": phone.user})
        await phone.tells("CALL_ESTABLISHED", PATIENCE)
        peer.start_tone(BROWSER_HZ)
        await hears(peer, BARESIP_HZ)
        await it_hears(BROWSER_HZ)
        await house.verb(call, "hold", {"leg": "callee", "music": "long1300.wav"})
        await it_hears(1300)
        await hears(peer)
        await house.verb(call, "unhold", {"leg": "callee"})
        await hears(peer, BARESIP_HZ)
        await it_hears(BROWSER_HZ)
        await peer.send_digits("17")
        await wait_until(lambda: phone.digits == "17", PATIENCE, "its receiver reads 17")
        await phone.command("sndcode", "2")
        await wait_until(lambda: digits_of(peer.received_digits) == "2", PATIENCE, "2")
        await house.verb(call, "send_dtmf", {"digits": "9", "leg": "callee"})
        await wait_until(lambda: phone.digits == "179", PATIENCE, "its receiver reads 9")
        await phone.command("hangup")
        await wait_until(peer.lost.is_set, PATIENCE, "the browser's end")
        assert "code=normal" in await house.ends(call)
