"""One gateway with all the far ends that the end-to-end tests call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.baresip import Baresip
from tests.support.capture import Rtp, Sniffer, rtp_to
from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import free_ports
from tests.support.sipp import Answering, Sipp
from tests.support.tones import Audio, from_ulaw

RTP_TIMEOUT = 8.0  # seconds, as the gateway is configured here
EARLY_MS = 6000
BARESIP_HZ = 700.0
BARESIP_DB = -9.3
PCMU, EVENTS = 0, 101  # payload types on the SIP legs


@dataclass(frozen=True, slots=True)
class Site:
    """The gateway, its far ends and a running capture. Browsers dial the far ends' names."""

    gateway: Gateway
    sniffer: Sniffer
    echo: Sipp  # "sipp"
    echo_tcp: Sipp  # "sipp-tcp"
    early: Sipp  # "early"
    phone: Baresip  # "baresip"; it also calls in

    def rtp_to_sipp(self, sipp: Sipp, since: int) -> list[Rtp]:
        """The RTP that SIPp has got from the gateway since a mark of the sniffer."""
        return rtp_to(self.sniffer.datagrams(since), {sipp.media_port})

    def heard_by_sipp(self, sipp: Sipp, since: int) -> Audio:
        """The audio in it."""
        audio = [p.payload for p in self.rtp_to_sipp(sipp, since) if p.payload_type == PCMU]
        return from_ulaw(b"".join(audio))


@asynccontextmanager
async def running_site(folder: Path) -> AsyncIterator[Site]:
    """Starts everything; ends it in the opposite order and asserts a clean gateway log."""
    async with AsyncExitStack() as stack:
        sniffer = stack.enter_context(Sniffer())
        echo = await stack.enter_async_context(Sipp(folder / "sipp", Answering().scenario()))
        echo_tcp = await stack.enter_async_context(
            Sipp(folder / "sipp-tcp", Answering().scenario(), tcp=True)
        )
        early = await stack.enter_async_context(
            Sipp(folder / "early", Answering(early_media_ms=EARLY_MS).scenario())
        )
        busy = await stack.enter_async_context(
            Sipp(folder / "busy", Answering(refuse="486 Busy Here").scenario())
        )
        phone = await stack.enter_async_context(
            Baresip(folder / "baresip", user="baresip", tone_hz=int(BARESIP_HZ))
        )
        gateway = Gateway(
            folder / "gateway",
            [
                TrunkTo("sipp", echo.port),
                TrunkTo("sipp-tcp", echo_tcp.port, settings={"transport": "tcp"}),
                TrunkTo("early", early.port),
                TrunkTo("busy", busy.port),
                TrunkTo("baresip", phone.port, calls_in=True),
                TrunkTo("gone", free_ports(), settings={"transport": "tcp"}),
            ],
            media={"rtp_timeout": RTP_TIMEOUT},
        )
        await stack.enter_async_context(gateway)
        yield Site(gateway, sniffer, echo, echo_tcp, early, phone)
        status = await gateway.stop()
        gateway.assert_clean()
        assert status == 0, f"the gateway ended with {status}:\n{gateway.log[-3000:]}"
