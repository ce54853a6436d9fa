"""A media plane for the tests: keeps what it is told, reads the sockets, echoes RTP if asked."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field

import pylibsrtp

from gateway.legs.webrtc.seam import RELAY_TAG, DatagramSink
from gateway.media.values import Direction, WebRtcParams
from gateway.ports import PortStats


@dataclass
class FakePort:
    """One port and everything that happened to it."""

    params: WebRtcParams
    tx: pylibsrtp.Session
    rx: pylibsrtp.Session
    sockets: dict[int, socket.socket] = field(default_factory=dict)
    allowed: set[tuple[str, int]] = field(default_factory=set)
    selected: list[tuple[int, str, int]] = field(default_factory=list)
    directions: list[Direction] = field(default_factory=list)
    sink: DatagramSink | None = None
    rtp: list[bytes] = field(default_factory=list)  # decrypted
    through_python: int = 0
    refused: int = 0


def _session(key: bytes, kind: int, profile: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=profile))


class FakeMedia:
    """Implements `WebRtcMedia` on the asyncio loop."""

    def __init__(self, *, echo: bool = False) -> None:
        self.ports: dict[int, FakePort] = {}
        self.closed: list[int] = []
        self.echo = echo
        self._next = 1

    @property
    def only(self) -> FakePort:
        """The single open port."""
        (port,) = self.ports.values()
        return port

    def webrtc_open(self, params: WebRtcParams) -> int:
        tx = _session(params.tx_key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, params.srtp_profile)
        rx = _session(params.rx_key, pylibsrtp.Policy.SSRC_ANY_INBOUND, params.srtp_profile)
        number, self._next = self._next, self._next + 1
        self.ports[number] = FakePort(params, tx, rx)
        return number

    def webrtc_add_socket(self, port: int, tag: int, fd: int) -> None:
        assert self.ports[port].allowed, "the peer's first packets would be refused"
        sock = socket.socket(fileno=os.dup(fd))
        self.ports[port].sockets[tag] = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable, port, tag)

    def webrtc_allow(self, port: int, ip: str, udp_port: int) -> None:
        self.ports[port].allowed.add((ip, udp_port))

    def webrtc_select(self, port: int, tag: int, ip: str, udp_port: int) -> None:
        self.ports[port].selected.append((tag, ip, udp_port))

    def webrtc_input(self, port: int, data: bytes) -> None:
        self.ports[port].through_python += 1
        self._rtp(self.ports[port], data)

    def webrtc_direction(self, port: int, direction: Direction) -> None:
        self.ports[port].directions.append(direction)

    def on_datagrams(self, port: int, sink: DatagramSink | None) -> None:
        self.ports[port].sink = sink

    def stats(self, port: int) -> PortStats:
        return PortStats(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0)

    def close(self, port: int) -> None:
        gone = self.ports.pop(port, None)
        if gone is not None:
            self.closed.append(port)
            for sock in gone.sockets.values():
                asyncio.get_running_loop().remove_reader(sock.fileno())
                sock.close()

    def _readable(self, number: int, tag: int) -> None:
        port = self.ports[number]
        for _ in range(16):
            try:
                data, address = port.sockets[tag].recvfrom(2048)
            except BlockingIOError:
                return
            source = (address[0], address[1])
            if data[:1] <= b"\x03":
                assert port.sink is not None
                port.sink(tag, data, source)
            elif source not in port.allowed:
                port.refused += 1
            elif 20 <= data[0] <= 63:
                assert port.sink is not None
                port.sink(tag, data, source)
            else:
                self._rtp(port, data)
            if number not in self.ports:
                return

    def _rtp(self, port: FakePort, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            return
        packet = port.rx.unprotect(data)
        port.rtp.append(packet)
        if self.echo and port.selected:
            self.send(port, packet)

    def send(self, port: FakePort, packet: bytes) -> None:
        """Sends an RTP packet to the selected pair, as ours."""
        packet = packet[:8] + port.params.ssrc.to_bytes(4, "big") + packet[12:]
        data = port.tx.protect(packet)
        tag, ip, udp_port = port.selected[-1]
        if tag == RELAY_TAG:
            assert port.sink is not None
            port.sink(RELAY_TAG, data, (ip, udp_port))
        else:
            port.sockets[tag].sendto(data, (ip, udp_port))
