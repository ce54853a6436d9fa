"""Packets seen on loopback: a sniffer that needs root, and RTP as the tests read it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import dpkt

ETH_P_ALL = 3
PACKET_OUTGOING = 4  # linux/if_packet.h; loopback shows each packet outgoing and incoming
SO_TIMESTAMPNS = 35
RECEIVE_BUFFER = 16 << 20  # bytes
RTP_HEADER = 12  # bytes, RFC 3550 5.1


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram. `time`: seconds since the epoch, from the kernel."""

    time: float
    source: int
    destination: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Rtp:
    """One RTP packet (RFC 3550 5.1). `time`: seconds; payload without padding."""

    time: float
    ssrc: int
    sequence: int
    timestamp: int
    marker: bool
    payload_type: int
    payload: bytes

    @staticmethod
    def parse(data: bytes, when: float) -> Rtp | None:
        """The packet in `data`, or None where it is RTCP (RFC 5761 4) or no RTP at all."""
        if len(data) < RTP_HEADER or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
            return None
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        start = RTP_HEADER + 4 * (first & 15)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        end = len(data) - (data[-1] if first & 0x20 else 0)
        return Rtp(
            when, ssrc, sequence, timestamp, bool(second & 0x80), second & 0x7F, data[start:end]
        )


def rtp_to(datagrams: Iterable[Datagram], ports: Container[int]) -> list[Rtp]:
    """The RTP packets sent to one of `ports`, in the order of their arrival."""
    parsed = (Rtp.parse(d.payload, d.time) for d in datagrams if d.destination in ports)
    return [packet for packet in parsed if packet is not None]


def rtp_from(datagrams: Iterable[Datagram], ports: Container[int]) -> list[Rtp]:
    """The RTP packets sent from one of `ports`."""
    parsed = (Rtp.parse(d.payload, d.time) for d in datagrams if d.source in ports)
    return [packet for packet in parsed if packet is not None]


def _udp(frame: bytes, when: float) -> Datagram | None:
    try:
        packet = dpkt.ethernet.Ethernet(frame).data
    except dpkt.dpkt.Error:
        return None
    udp = getattr(packet, "data", None)
    if not isinstance(udp, dpkt.udp.UDP):
        return None
    return Datagram(when, udp.sport, udp.dport, bytes(udp.data))


def read_pcap(path: Path) -> list[Datagram]:
    """The UDP datagrams of a pcap file with Ethernet frames."""
    with path.open("rb") as file:
        found = (_udp(frame, float(when)) for when, frame in dpkt.pcap.Reader(file))
        return [datagram for datagram in found if datagram is not None]


class Sniffer:
    """Everything that UDP carries over loopback between `start` and `stop`.

    Use as a context manager. Needs CAP_NET_RAW; raises PermissionError with the remedy.
    """

    def __init__(self, interface: str = "lo") -> None:
        self._interface = interface
        self._frames: list[tuple[float, bytes]] = []
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Captures from now on."""
        try:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        except PermissionError as refused:
            raise PermissionError(
                "these tests capture packets on loopback: run them as root, or give the "
                "interpreter CAP_NET_RAW"
            ) from refused
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        raw.bind((self._interface, 0))
        raw.settimeout(0.2)
        self._socket = raw
        self._thread = threading.Thread(target=self._run, args=(raw,), name="sniffer", daemon=True)
        self._thread.start()

    def _run(self, raw: socket.socket) -> None:
        while self._socket is not None:
            try:
                frame, ancillary, _, address = raw.recvmsg(65_535, 64)
            except TimeoutError:
                continue
            if address[2] == PACKET_OUTGOING:
                continue
            when = time.time()
            for _, kind, data in ancillary:
                if kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("qq", data)
                    when = seconds + nanoseconds / 1e9
            self._frames.append((when, frame))

    def mark(self) -> int:
        """A place in the capture; give it to `datagrams` to see what came later."""
        return len(self._frames)

    def datagrams(self, since: int = 0) -> Sequence[Datagram]:
        """What has been captured so far, from the mark `since` on."""
        found = (_udp(frame, when) for when, frame in self._frames[since:])
        return [datagram for datagram in found if datagram is not None]

    def stop(self) -> None:
        """Captures no more; what was captured stays readable."""
        raw, self._socket = self._socket, None
        if self._thread is not None:
            self._thread.join()
        if raw is not None:
            raw.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
