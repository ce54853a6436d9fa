"""The gateway calls itself: one SipPlane, two calls, one of them incoming."""

from __future__ import annotations

import re

import pytest

from gateway.config.model import Trunk
from gateway.errors import BUSY, NORMAL
from gateway.ports import LegAnswered, LegEnded, LegMedia, LegRinging, SipTarget
from gateway.terms import Codec
from tests.sip.conftest import Heard, StartGateway
from tests.sip.sipp import Transport


def loop_trunk(port: int, transport: Transport = "udp", *codecs: Codec) -> Trunk:
    """A trunk whose far end is the gateway's own address."""
    return Trunk(
        name="loop",
        host="127.0.0.1",
        port=port,
        transport=transport,
        allow=["127.0.0.0/8"],
        codecs=list(codecs) or [Codec.PCMU],
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_to_ourselves_has_two_legs_that_end_together(
    start_gateway: StartGateway, sip_port: int, transport: Transport
) -> None:
    gateway = await start_gateway(loop_trunk(sip_port, transport), port=sip_port)
    out = Heard(gateway.plane.dial(SipTarget("loop", "echo", "alice")))
    incoming, inside = await gateway.offered()
    assert (incoming.trunk, incoming.caller, incoming.callee) == ("loop", "alice", "echo")
    incoming.leg.ring()
    await out.next(LegRinging)
    incoming.leg.answer()
    await out.next(LegAnswered)
    await inside.next(LegAnswered)
    assert out.all(LegMedia)[0].port != inside.all(LegMedia)[0].port
    out.leg.hangup(NORMAL)
    mine, theirs = await out.next(LegEnded), await inside.next(LegEnded)
    assert (mine.verdict.code, mine.by_peer) == ("normal", False)
    assert (theirs.verdict.code, theirs.by_peer) == ("normal", True)
    assert not gateway.media.open
    assert gateway.plane.leg_count == 0


async def test_a_refusal_by_ourselves_reaches_the_caller_with_its_verdict(
    start_gateway: StartGateway, sip_port: int
) -> None:
    gateway = await start_gateway(loop_trunk(sip_port), port=sip_port)
    out = Heard(gateway.plane.dial(SipTarget("loop", "200")))
    incoming, _ = await gateway.offered()
    incoming.leg.hangup(BUSY)
    ended = await out.next(LegEnded)
    assert (ended.verdict.code, ended.verdict.sip_status) == ("busy", 486)
    assert ended.by_peer


async def test_early_media_opens_both_paths_before_the_answer(
    start_gateway: StartGateway, sip_port: int
) -> None:
    gateway = await start_gateway(loop_trunk(sip_port), port=sip_port)
    out = Heard(gateway.plane.dial(SipTarget("loop", "300")))
    incoming, inside = await gateway.offered()
    incoming.leg.early_media()
    assert (await out.next(LegMedia)).early
    assert (await inside.next(LegMedia)).early
    incoming.leg.answer()
    await out.next(LegAnswered)
    assert out.kinds == ["LegMedia", "LegAnswered"]


@pytest.mark.parametrize(
    ("codec", "rate", "description"),
    [
        (Codec.OPUS, 16000, "opus/48000 + telephone-event/48000"),
        (Codec.OPUS, 8000, "opus/48000 + telephone-event/48000"),
        (Codec.G722, 16000, "g722/8000 + telephone-event/8000"),
        (Codec.PCMA, 8000, "pcma/8000 + telephone-event/8000"),
        (Codec.L16, 16000, r"l16/(16000|44100) + telephone-event/\1"),
    ],
)
async def test_each_codec_is_negotiated_with_telephone_event_of_its_clock_rate(
    start_gateway: StartGateway, sip_port: int, codec: Codec, rate: int, description: str
) -> None:
    trunk = loop_trunk(sip_port, "udp", codec)
    gateway = await start_gateway(trunk, port=sip_port, bridge_rate=rate)
    out = Heard(gateway.plane.dial(SipTarget("loop", "400")))
    incoming, inside = await gateway.offered()
    incoming.leg.answer()
    pattern = description.replace("+", r"\+")
    assert re.fullmatch(pattern, (await out.next(LegMedia)).description)
    assert re.fullmatch(pattern, (await inside.next(LegMedia)).description)
