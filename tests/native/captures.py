"""Reads the digits that SIPp plays: dtmf_2833_*.pcap of the Debian package sip-tester."""

from __future__ import annotations

from pathlib import Path

import dpkt

from tests.native.network import Arrivals
from tests.native.trains import Packet

CAPTURES = Path("/usr/share/sip-tester")
NAMES = {"pound": "#", "star": "*"} | {str(n): str(n) for n in range(10)}
DURATION_MS = 280  # 2240 units of 8000 Hz in the last packet
PAUSE_US = 400_000


def read(name: str, start_us: int = 0) -> Arrivals:
    """The event packets of one capture, the first of them at `start_us`."""
    path = CAPTURES / f"dtmf_2833_{name}.pcap"
    assert path.exists(), f"{path} is missing: apt install sip-tester"
    arrivals: Arrivals = []
    with path.open("rb") as file:
        for seconds, frame in dpkt.pcap.Reader(file):
            udp = dpkt.ethernet.Ethernet(frame).data.data
            rtp = dpkt.rtp.RTP(udp.data[: udp.ulen - 8])
            event, flags, high, low = rtp.data
            packet = Packet(0, 0, rtp.ts, event, bool(flags & 0x80), high << 8 | low)
            arrivals.append((round(seconds * 1_000_000), packet))
    first_us = arrivals[0][0]
    return [(at_us - first_us + start_us, packet) for at_us, packet in arrivals]


def row(names: list[str]) -> Arrivals:
    """Captures one after the other in one stream: timestamps jump to and fro."""
    arrivals: Arrivals = []
    for name in names:
        arrivals += read(name, arrivals[-1][0] + PAUSE_US if arrivals else 0)
    return arrivals
