"""Outgoing SIP calls, answered and refused by SIPp."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.model import Trunk
from gateway.errors import BUSY, NORMAL, Verdict
from gateway.ports import LegAnswered, LegEnded, LegMedia, LegRinging, SipTarget
from tests.sip.conftest import Heard, StartGateway
from tests.sip.sipp import (
    Transport,
    free_ports,
    receive,
    receive_invite,
    reply,
    scenario,
    sdp,
    sipp,
    wait_until,
)

ANSWERS = scenario(
    receive_invite(),
    reply("100 Trying"),
    reply("180 Ringing"),
    reply("200 OK", sdp()),
    receive("ACK"),
    receive("BYE"),
    reply("200 OK", to="[last_To:]"),
)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_rings_is_answered_and_hung_up_by_us(
    start_gateway: StartGateway, tmp_path: Path, transport: Transport
) -> None:
    async with sipp(tmp_path, ANSWERS, transport=transport) as peer:
        trunk = Trunk(name="t", host="127.0.0.1", port=peer.port, transport=transport)
        gateway = await start_gateway(trunk)
        heard = Heard(gateway.plane.dial(SipTarget("t", "+14155550100", "alice")))
        await heard.next(LegAnswered)
        heard.leg.hangup(NORMAL.because('Said "bye"'))
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegRinging", "LegMedia", "LegAnswered", "LegEnded"]
    media = heard.all(LegMedia)[0]
    assert not media.early
    assert media.description == "pcmu/8000 + telephone-event/8000"
    assert ended.verdict.code == "normal"
    assert not ended.by_peer
    (invite,) = peer.received("INVITE")
    assert invite.startswith(f"INVITE sip:+14155550100@127.0.0.1:{peer.port}")
    assert "From: <sip:alice@127.0.0.1>" in invite
    (bye,) = peer.received("BYE")
    assert 'Reason: Q.850;cause=16;text="Said \\"bye\\""' in bye
    assert gateway.media.noted("media")
    assert not gateway.media.open
