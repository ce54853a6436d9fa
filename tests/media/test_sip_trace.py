"""SIP messages that nobody takes in time are lost, bounded, and counted for operators."""

from __future__ import annotations

import socket

from gateway.config.model import MediaConfig, SipConfig, SipListen
from gateway.legs.sip.plane import SipPlane
from gateway.media.engine import MediaEngine
from gateway.observability.timeline import SipPacket
from tests.media.conftest import nobody_is_called
from tests.media.test_ports import until

HOST = "127.0.0.1"
MOST = 2000
"""Messages; those that are kept take 1 MiB, each of these 4 KiB and its answer."""


def options(number: int) -> bytes:
    """A long request, to which pjsip answers by itself."""
    lines = [
        f"OPTIONS sip:a@{HOST} SIP/2.0", f"Via: SIP/2.0/UDP {HOST};rport;branch=z9hG4bK{number}",
        f"From: <sip:b@{HOST}>;tag=1", f"To: <sip:a@{HOST}>", f"Call-ID: {number}",
        "CSeq: 1 OPTIONS", "Max-Forwards: 70",
        "Subject: " + "x" * 4000, "Content-Length: 0", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


async def test_what_comes_while_the_loop_is_busy_is_counted_and_then_all_is_well() -> None:
    engine, seen = MediaEngine(), list[SipPacket]()
    config = SipConfig(listen=[SipListen(port=0)])
    sip = SipPlane(config, MediaConfig(), engine, nobody_is_called)
    await sip.start()
    [(_, _, port)] = sip.listening
    engine.start()
    engine.trace_sip(seen.append)
    before = engine.sip_messages_lost
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((HOST, 0))
        sent = 0
        while engine.sip_messages_lost == before and sent < MOST:  # the loop does not run
            stranger.sendto(options(sent), (HOST, port))
            stranger.settimeout(5)
            stranger.recv(65535)
            sent += 1
        lost = engine.sip_messages_lost - before
        assert 0 < lost <= 2
        assert 100 < sent < MOST
        await until(lambda: len(seen) == 2 * sent - lost)
        stranger.sendto(options(sent), (HOST, port))
        await until(lambda: len(seen) == 2 * sent - lost + 2)
    assert engine.sip_messages_lost - before == lost
    engine.stop()
    await sip.stop()
