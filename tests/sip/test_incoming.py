"""Incoming SIP calls, made by SIPp."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.model import Codec, Trunk
from gateway.errors import BUSY, NORMAL, NOT_FOUND, GatewayError
from gateway.ports import LegAnswered, LegEnded, LegMedia
from tests.sip.conftest import Heard, StartGateway
from tests.sip.sipp import (
    Transport,
    caller_request,
    pause,
    receive,
    scenario,
    sdp,
    sipp,
)

INVITE = caller_request("INVITE", 1, sdp(), user="100").replace("[peer_tag_param]", "")
ACK = caller_request("ACK", 1)


def trunk(**changes: object) -> Trunk:
    """A trunk that may call from anywhere on loopback."""
    settings = {"name": "t", "host": "127.0.0.1", "allow": ["127.0.0.0/8"], **changes}
    return Trunk.model_validate(settings)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_comes_in_is_rung_answered_and_ended_by_the_caller(
    start_gateway: StartGateway, tmp_path: Path, transport: Transport
) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(
        INVITE, receive(100), receive(180), receive(200), ACK,
        caller_request("BYE", 2, "", 'Reason: Q.850;cause=31;text="Gone, \\"x\\""'), receive(200),
    )  # fmt: skip
    async with sipp(tmp_path, calls, target=gateway.port, transport=transport) as peer:
        incoming, heard = await gateway.offered()
        assert (incoming.trunk, incoming.caller, incoming.callee) == ("t", "alice", "100")
        assert incoming.caller_name == 'Alice "A"'
        incoming.leg.ring()
        incoming.leg.answer()
        ended = await heard.next(LegEnded)
        await peer.done()
    assert heard.kinds == ["LegMedia", "LegAnswered", "LegEnded"]
    assert not heard.all(LegMedia)[0].early
    assert ended.by_peer
    assert (ended.verdict.code, ended.verdict.q850) == ("normal", 31)
    assert ended.verdict.text == 'Gone, "x"'
