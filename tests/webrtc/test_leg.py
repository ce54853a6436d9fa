"""A browser's leg from offer to end, against a probe peer and a fake media plane."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.model import Codec
from gateway.errors import BUSY
from gateway.ports import LegAnswered, LegEnded, LegMedia

from .conftest import Rig, until


async def test_audio_and_digits_flow_both_ways(rig: Rig) -> None:
    leg, peer, events = await rig.call()
    assert leg.port is not None
    assert events == [LegMedia(leg.port, True, "opus/48000 + telephone-event/48000")]
    peer.start_tone(440)
    await peer.send_digits("159#", duration_ms=100, gap_ms=60)
    await until(lambda: len(peer.received_digits) == 4)
    heard = [(d.digit, d.duration_ms) for d in peer.received_digits]
    assert heard == [("1", 100), ("5", 100), ("9", 100), ("#", 100)]
    await until(lambda: len(peer.received_audio(1.0)) == 2 * 48000, 3)
    assert peer.stats.refused == 0
    assert peer.stats.lost == 0


async def test_hangup_ends_both_sides(rig: Rig) -> None:
    leg, peer, events = await rig.call(called=True)
    assert [type(e) for e in events] == [LegMedia, LegAnswered]
    leg.hangup(BUSY)
    assert not rig.media.ports
    await until(lambda: len(events) == 3)
    assert events[-1] == LegEnded(BUSY, by_peer=False)
    await asyncio.wait_for(peer.lost.wait(), 5)
    await leg.wait_closed()


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
@pytest.mark.parametrize("codec", [Codec.OPUS, Codec.PCMU, Codec.PCMA])
async def test_every_role_and_codec(rig: Rig, setup: str, codec: Codec) -> None:
    _, peer, _ = await rig.call(setup=setup, codecs=(codec,))
    await until(lambda: peer.stats.received > 5)
    assert rig.media.only.params.codec is codec
