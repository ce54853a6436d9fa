"""Joining two ports and taking them apart, whatever fails on the way."""

from __future__ import annotations

import pytest

from gateway.calls.audio import CallAudio
from gateway.calls.bridging import bridge, unbridge
from gateway.errors import GatewayError
from gateway.testing import FakeMedia


def joined() -> tuple[FakeMedia, int, int]:
    media = FakeMedia()
    one, other = media.new_port(), media.new_port()
    bridge(CallAudio(media), one, other)
    return media, one, other


def test_audio_and_digits_go_both_ways_until_they_are_parted() -> None:
    media, one, other = joined()
    assert media.connections == {(one, other), (other, one)}
    assert media.relays == {one: other, other: one}
    unbridge(CallAudio(media), one, other)
    assert not media.connections
    assert not media.relays


def test_other_connections_of_the_ports_stay() -> None:
    media, one, other = joined()
    recorder = media.new_port()
    media.connect(one, recorder)
    unbridge(CallAudio(media), one, other)
    assert media.connections == {(one, recorder)}


@pytest.mark.parametrize("operation", ["relay_digits", "disconnect"])
def test_what_cannot_be_undone_does_not_keep_the_rest(operation: str) -> None:
    media, one, other = joined()
    media.broken.add(operation)
    with pytest.raises(GatewayError, match="is broken"):
        unbridge(CallAudio(media), one, other)
    assert not (media.connections if operation == "relay_digits" else media.relays)


def test_half_a_bridge_can_be_undone() -> None:
    media = FakeMedia()
    one, other = media.new_port(), media.new_port()
    media.broken.add("relay_digits")
    with pytest.raises(GatewayError):
        bridge(CallAudio(media), one, other)
    media.broken.clear()
    unbridge(CallAudio(media), one, other)
    assert not media.connections
