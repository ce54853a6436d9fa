"""What the WebRTC leg asks of the media plane, and takes from the node's configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.media.values import Direction, WebRtcParams
from gateway.ports import MediaPort, PortStats

RELAY_TAG = -1
"""Tag of the relayed (TURN) path, which has no socket that the media plane could read."""

DatagramSink = Callable[[int, bytes, tuple[str, int]], None]
"""(tag, datagram, address): one that came in on socket `tag`, or with RELAY_TAG one to send out."""


MIRROR = {
    Direction.INACTIVE: Direction.INACTIVE,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.SENDRECV: Direction.SENDRECV,
}
"""The same direction as the other side sees it (RFC 3264 6.1)."""


@dataclass(frozen=True, slots=True)
class LegSettings:
    """What a leg takes from the node's configuration."""

    playback_rate: int  # Hz, of the bridge
    called: bool  # the browser is the callee: its offer is its answer to the call
    opus_complexity: int
    rtp_timeout_ms: int
    setup_timeout: float  # seconds


class WebRtcMedia(Protocol):
    """The media plane as WebRTC legs see it. Failures raise GatewayError(MEDIA_FAILED)."""

    def webrtc_open(self, params: WebRtcParams) -> MediaPort:
        """A new port; it hears and sends nothing before a socket and a pair are given."""
        ...

    def webrtc_add_socket(self, port: MediaPort, tag: int, fd: int) -> None:
        """Hands a UDP socket over for reading; `fd` is duplicated and stays the caller's."""
        ...

    def webrtc_allow(self, port: MediaPort, ip: str, udp_port: int) -> None:
        """An ICE-validated remote address: only these may send anything but STUN."""
        ...

    def webrtc_select(self, port: MediaPort, tag: int, ip: str, udp_port: int) -> None:
        """Where RTP goes; RELAY_TAG sends it through Python."""
        ...

    def webrtc_input(self, port: MediaPort, data: bytes) -> None:
        """An RTP or RTCP datagram that came through Python."""
        ...

    def webrtc_direction(self, port: MediaPort, direction: Direction) -> None:
        """Hold and resume, as the gateway sees it."""
        ...

    def on_datagrams(self, port: MediaPort, sink: DatagramSink | None) -> None:
        """Who gets STUN and DTLS that arrive on the port's sockets, and relayed RTP to send."""
        ...

    def stats(self, port: MediaPort) -> PortStats:
        """Counters of the port."""
        ...

    def close(self, port: MediaPort) -> None:
        """Closes the port; nothing happens if it is closed already."""
        ...
