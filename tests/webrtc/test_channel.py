"""The data channel `gateway`: text both ways, and nothing else."""

from __future__ import annotations

import pytest
from aiortc import RTCDataChannel, RTCDataChannelParameters

from gateway.errors import MEDIA_LOST
from gateway.ports import LegEnded
from tests.webrtc.conftest import Rig, until


async def test_text_both_ways(rig: Rig) -> None:
    leg, peer, _ = await rig.call(data_channel=True)
    heard: list[str] = []
    leg.on_message(heard.append)
    await until(lambda: peer.send_message('{"type":"hello"}'))
    await until(lambda: bool(heard))
    assert heard == ['{"type":"hello"}']
    assert leg.send_message('{"type":"dtmf","digit":"5"}')
    await until(lambda: bool(peer.messages))
    assert peer.messages == ['{"type":"dtmf","digit":"5"}']
    assert not leg.send_message("x" * 70000)  # more than the peer takes


async def test_without_a_channel_nothing_is_sent(rig: Rig) -> None:
    leg, _, _ = await rig.call()
    assert not leg.send_message("x")


async def test_other_labels_are_closed(rig: Rig) -> None:
    leg, peer, _ = await rig.call(data_channel=True)
    await until(lambda: peer.send_message("x"))
    assert peer.channel is not None
    other = RTCDataChannel(peer.channel.transport, RTCDataChannelParameters(label="other"))
    await until(lambda: other.readyState == "closed")
    assert leg.send_message("still here")


async def test_a_message_larger_than_the_window_costs_no_memory(rig: Rig) -> None:
    leg, peer, _ = await rig.call(data_channel=True)
    heard: list[str] = []
    leg.on_message(heard.append)
    await until(lambda: peer.send_message("x"))
    assert peer.channel is not None
    sctp = peer.channel.transport
    sctp._remote_max_message_size = 0  # a peer that does not care
    peer.send_message("y" * 4_000_000)
    received = peer.stats.received
    await until(lambda: peer.stats.received > received + 50)  # a second of audio goes on
    assert heard == ["x"]
    assert leg.port is not None


async def test_sctp_that_aiortc_cannot_digest_ends_this_leg_only(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    plane = rig.plane()
    _, peer, events = await rig.call(plane, data_channel=True)
    _, other, _ = await rig.call(plane, data_channel=True)
    await until(lambda: peer.send_message("x"))
    assert peer.channel is not None
    # An acknowledgement for a channel that nobody opened: aiortc asserts.
    await peer.channel.transport._send(stream_id=77, pp_id=50, user_data=b"\x02")
    await until(lambda: len(events) == 2)
    assert isinstance(events[-1], LegEnded)
    assert events[-1].verdict.code == MEDIA_LOST.code
    assert "DTLS ended by AssertionError" in caplog.text
    received = other.stats.received
    await until(lambda: other.stats.received > received + 3)
