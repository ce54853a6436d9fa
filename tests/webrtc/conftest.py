"""A plane on a fake media plane, and peers that are always closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config.model import WebRtcConfig
from gateway.legs.webrtc.leg import WebRtcLeg
from gateway.legs.webrtc.peer import ProbePeer
from gateway.legs.webrtc.peer_sdp import OfferShape
from gateway.legs.webrtc.plane import WebRtcPlane
from gateway.ports import LegEvent, LegTransport
from tests.support.processes import Condition, wait_until
from tests.webrtc.fake_media import FakeMedia


@dataclass
class Rig:
    """What a test needs: planes and peers, closed at its end."""

    media: FakeMedia
    planes: list[WebRtcPlane] = field(default_factory=list)
    peers: list[ProbePeer] = field(default_factory=list)

    def plane(
        self, *, bridge_rate: int = 16000, loopback: bool = True, **config: Any
    ) -> WebRtcPlane:
        """A plane on this machine."""
        plane = WebRtcPlane(
            WebRtcConfig(**config), self.media, bridge_rate=bridge_rate, loopback=loopback
        )
        self.planes.append(plane)
        return plane

    def peer(self, **shape: Any) -> ProbePeer:
        """A probe peer."""
        peer = ProbePeer(OfferShape(**shape))
        self.peers.append(peer)
        return peer

    async def call(
        self, plane: WebRtcPlane | None = None, *, called: bool = False, **shape: Any
    ) -> tuple[WebRtcLeg, ProbePeer, list[LegEvent]]:
        """A connected leg, its peer, and the list that its events go to."""
        peer = self.peer(**shape)
        leg, answer = await (plane or self.plane()).answer_offer(await peer.offer(), called=called)
        events = heard_by(leg)
        await peer.accept(answer)
        await until(lambda: leg.port is not None)
        return leg, peer, events


def heard_by(leg: WebRtcLeg) -> list[LegEvent]:
    """The list that the leg's events go to, but for the states of ICE and DTLS."""
    events: list[LegEvent] = []
    leg.listen(lambda event: None if isinstance(event, LegTransport) else events.append(event))
    return events


async def until(condition: Condition, within: float = 10.0) -> None:
    """Returns as soon as `condition` holds; fails after `within` seconds."""
    await wait_until(condition, within, "the expected state")


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Planes and peers that are closed when the test is over."""
    rig = Rig(FakeMedia(echo=True))
    stray: list[dict[str, Any]] = []  # exceptions that reached the loop
    asyncio.get_running_loop().set_exception_handler(lambda _, context: stray.append(context))
    yield rig
    for peer in rig.peers:
        await peer.close()
    for plane in rig.planes:
        await plane.close()
    assert not rig.media.ports
    assert stray == []
