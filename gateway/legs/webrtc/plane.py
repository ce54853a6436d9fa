"""Makes browsers' legs from their offers, and ends them all at shutdown."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

from aiortc import RTCCertificate

from gateway.config.model import WebRtcConfig
from gateway.errors import MEDIA_FAILED, SHUTTING_DOWN, GatewayError
from gateway.legs.webrtc.answer import LocalSide, choose_audio
from gateway.legs.webrtc.leg import WebRtcLeg
from gateway.legs.webrtc.link import Link, LinkError, ice_arguments
from gateway.legs.webrtc.offer import Offer, read_offer
from gateway.legs.webrtc.seam import DatagramSink, LegSettings, WebRtcMedia

__all__ = [
    "DatagramSink",
    "WebRtcLeg",
    "WebRtcMedia",
    "WebRtcPlane",
]

_RENEW = timedelta(days=2)  # before the certificate's end; a leg lives shorter
_ANSWER_ROLE = {"active": "client", "passive": "server"}


class WebRtcPlane:
    """The browser side of a node. The gateway always answers; browsers make the offers.

    `bridge_rate` (Hz: 8000, 16000 or 48000) is what browsers are asked for; `rtp_timeout` is in
    seconds, 0 for none; `loopback` adds 127.0.0.1 to the candidates (demo and tests). Raises
    ValueError for a malformed ICE server.
    """

    def __init__(
        self,
        config: WebRtcConfig,
        media: WebRtcMedia,
        *,
        bridge_rate: int = 16000,
        rtp_timeout: float = 30.0,
        loopback: bool = False,
    ) -> None:
        self._config = config
        self._media = media
        self._playback_rate = bridge_rate
        self._rtp_timeout_ms = round(rtp_timeout * 1000)
        self._loopback = loopback
        self._servers = ice_arguments(config.ice_servers)
        self._certificate = RTCCertificate.generateCertificate()
        self._legs: set[WebRtcLeg] = set()
        self._open = True

    @property
    def legs(self) -> frozenset[WebRtcLeg]:
        """Legs that hold a socket, a port or a task."""
        return frozenset(self._legs)

    async def answer_offer(
        self,
        sdp_offer: str,
        *,
        called: bool = False,
    ) -> tuple[WebRtcLeg, str]:
        """A new leg, already connecting, and the SDP answer to the browser's offer.

        `called`: the browser is the callee, so LegAnswered follows LegMedia. Raises GatewayError
        (BAD_SDP, NO_COMMON_CODEC, MEDIA_FAILED, SHUTTING_DOWN); a failed or cancelled request
        leaves nothing behind.
        """
        if not self._open:
            raise GatewayError(SHUTTING_DOWN)
        offer = read_offer(sdp_offer)
        choice = choose_audio(offer, self._config.codecs, exact_dtmf=self._config.exact_dtmf)
        settings = LegSettings(
            playback_rate=self._playback_rate,
            called=called,
            opus_complexity=self._config.opus_complexity,
            rtp_timeout_ms=self._rtp_timeout_ms,
            setup_timeout=self._config.setup_timeout,
        )
        link = Link(self._current_certificate(), servers=self._servers, loopback=self._loopback)
        leg: WebRtcLeg | None = None
        try:
            await link.gather()
            if self._open:
                local = self._local_side(link, offer)
                leg = WebRtcLeg(self._media, link, offer, choice, local, settings)
        except LinkError as error:
            raise GatewayError(MEDIA_FAILED, "This host has no address to offer") from error
        finally:
            if leg is None:
                await link.close()
        if leg is None:
            raise GatewayError(SHUTTING_DOWN)
        self._legs.add(leg)
        leg.on_closed = self._legs.discard
        leg.start()
        return leg, leg.answer_sdp()

    def _local_side(self, link: Link, offer: Offer) -> LocalSide:
        # RFC 8842 5.3: we answer active or passive; an offer that is one of them leaves the other.
        role = {"client": "server", "server": "client"}.get(
            offer.setup, _ANSWER_ROLE[self._config.dtls_role]
        )
        return LocalSide(
            ice=link.local_ice,
            fingerprints=link.fingerprints,
            role=role,
            candidates=link.local_candidates,
            ssrc=secrets.randbelow(0xFFFFFFFF) + 1,  # RFC 3550 8.1; 0 is left out
            cname=secrets.token_urlsafe(12),  # RFC 7022 4.2: new for every leg
            session_id=secrets.randbits(62),
        )

    def _current_certificate(self) -> RTCCertificate:
        if self._certificate.expires - datetime.now(UTC) < _RENEW:
            self._certificate = RTCCertificate.generateCertificate()
        return self._certificate

    async def close(self) -> None:
        """Ends every leg (SHUTTING_DOWN) and waits until nothing of them is left."""
        self._open = False
        legs = list(self._legs)
        for leg in legs:
            leg.hangup(SHUTTING_DOWN)
        await asyncio.gather(*(leg.wait_closed() for leg in legs))
