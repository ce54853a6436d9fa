"""A browser's leg: from its offer through ICE, DTLS and media to its end."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from aiortc import RTCIceCandidate

from gateway.errors import (
    BAD_REQUEST,
    BAD_SDP,
    INTERNAL,
    MEDIA_LOST,
    NORMAL,
    SETUP_TIMEOUT,
    GatewayError,
    Verdict,
)
from gateway.ids import LegId, new_leg_id
from gateway.legs.outlet import Outlet
from gateway.legs.webrtc.answer import (
    MAX_MESSAGE_SIZE,
    AudioChoice,
    LocalSide,
    check_same_session,
    write_answer,
)
from gateway.legs.webrtc.candidates import MAX_CANDIDATES, parse_candidate
from gateway.legs.webrtc.channel import GatewayChannel, MessageSink
from gateway.legs.webrtc.link import Link, LinkError, LinkFault, SelectedPair
from gateway.legs.webrtc.offer import Offer, read_offer
from gateway.legs.webrtc.seam import MIRROR, RELAY_TAG, LegSettings, WebRtcMedia
from gateway.media.values import Direction, WebRtcParams
from gateway.ports import (
    Layer,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegKind,
    LegMedia,
    LegSink,
    LegTransport,
    MediaPort,
)

logger = logging.getLogger(__name__)

_HELD = (Direction.RECVONLY, Direction.INACTIVE)  # ours: the browser does not listen (RFC 3264 8.4)
_OPUS_BITRATE = {8_000: 12_000, 16_000: 20_000, 48_000: 32_000}
"""Bits per second by playback rate, as browsers choose them."""

_FAULTS: dict[LinkFault, Verdict] = {
    LinkFault.NO_PATH: MEDIA_LOST,
    LinkFault.CERTIFICATE: BAD_SDP,
    LinkFault.HANDSHAKE: MEDIA_LOST,
    LinkFault.CLOSED_BY_PEER: NORMAL,
    LinkFault.LOST: MEDIA_LOST,
}


class LegState(enum.StrEnum):
    """Where a leg is in its life."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    ENDED = "ended"


class WebRtcLeg:
    """One browser. Implements `gateway.ports.Leg`; made by `WebRtcPlane.answer_offer`."""

    def __init__(
        self,
        media: WebRtcMedia,
        link: Link,
        offer: Offer,
        choice: AudioChoice,
        local: LocalSide,
        settings: LegSettings,
    ) -> None:
        self._id = new_leg_id()
        self._media = media
        self._link = link
        self._offer = offer
        self._choice = choice
        self._local = local
        self._settings = settings
        self._direction = MIRROR[offer.direction]
        self._version = 1
        self._state = LegState.CONNECTING
        self._port: MediaPort | None = None
        self._pair: SelectedPair | None = None
        self._allowed: set[tuple[str, int]] = set()
        self._outlet = Outlet()
        self._held = False
        self._candidates = 0
        self._channel = GatewayChannel(offer.data.max_message_size if offer.data else 0)
        self._setup: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self.on_closed: Callable[[WebRtcLeg], None] | None = None

    # ---- what others may know ---------------------------------------------------------------

    @property
    def id(self) -> LegId:
        """This leg's id."""
        return self._id

    @property
    def kind(self) -> LegKind:
        """WEBRTC."""
        return LegKind.WEBRTC

    @property
    def state(self) -> LegState:
        """Where the leg is in its life."""
        return self._state

    @property
    def port(self) -> MediaPort | None:
        """The media port; None before media is connected and after the end."""
        return self._port

    @property
    def choice(self) -> AudioChoice:
        """The negotiated codec and telephone-event."""
        return self._choice

    @property
    def selected_pair(self) -> SelectedPair | None:
        """Where RTP goes."""
        return self._pair

    @property
    def refused(self) -> int:
        """Datagrams dropped before the media plane took over: not from an ICE-validated address."""
        return self._link.refused

    # ---- Leg --------------------------------------------------------------------------------

    def listen(self, sink: LegSink) -> None:
        """Whom to tell; events that came earlier are delivered at once."""
        self._outlet.listen(sink)

    def ring(self) -> None:
        """Nothing to do here: the signalling layer tells the browser."""

    def early_media(self) -> None:
        """Nothing to do: audio flows as soon as media is connected."""

    def answer(self) -> None:
        """Nothing to do: the signalling layer tells the browser."""

    def hangup(self, verdict: Verdict) -> None:
        """Ends the leg; media stops at once, LegEnded follows on the loop's next turn."""
        self._end(verdict, by_peer=False)

    # ---- signalling -------------------------------------------------------------------------

    def add_candidate(self, candidate: str | None, mid: str | None = None) -> None:
        """A trickled candidate (RFC 8838), with or without `a=`; None or empty: the last came.

        `.local` names and TCP are left out. Raises GatewayError(BAD_REQUEST) for a malformed one,
        a `mid` that the offer does not have, or too many.
        """
        if self._state is LegState.ENDED:
            return
        if mid is not None and all(mid != section.mid for section in self._offer.sections):
            raise GatewayError(BAD_REQUEST, "Candidate for a media section that does not exist")
        value = (candidate or "").strip().removeprefix("a=").removeprefix("candidate:")
        if value in ("", "end-of-candidates"):
            # ICE is not told: it would give up at once when every candidate was left out
            # (mDNS), though the browser's own checks still come. The set-up timer ends it.
            return
        try:
            parsed = parse_candidate(value)
        except ValueError as error:
            raise GatewayError(BAD_REQUEST, str(error)) from error
        if parsed is not None and (mid is None or self._shares_transport(mid)):
            self._add(parsed)

    def _add(self, candidate: RTCIceCandidate) -> None:
        # Later ones would never be checked; Firefox trickles a new set after each re-offer.
        if self._state is LegState.CONNECTING:
            self._candidates += 1
            if self._candidates > MAX_CANDIDATES:
                raise GatewayError(BAD_REQUEST, f"More than {MAX_CANDIDATES} candidates")
            self._link.add_candidate(candidate)

    def _shares_transport(self, mid: str) -> bool:
        return mid == self._offer.sections[self._offer.audio].mid or mid in self._offer.bundle

    def answer_sdp(self) -> str:
        """The answer to the last offer."""
        return write_answer(
            self._offer,
            self._choice,
            self._local,
            direction=self._direction,
            playback_rate=self._settings.playback_rate,
            version=self._version,
        )

    async def renegotiate(self, sdp: str) -> str:
        """Answers a later offer: hold and resume. Codecs and transport stay as they are.

        Raises GatewayError(BAD_SDP) for an offer that would need another transport or codec.
        """
        offer = read_offer(sdp)
        if self._state is LegState.ENDED:
            raise GatewayError(BAD_REQUEST, "This leg is over")
        check_same_session(self._offer, offer, self._choice)
        # A data channel that was not in the first offer is not added later.
        if self._offer.data is None:
            offer = replace(offer, data=None)
        self._offer = offer
        self._direction = MIRROR[offer.direction]
        self._version += 1
        for candidate in offer.candidates:
            self._add(candidate)
        if self._port is not None:
            self._media.webrtc_direction(self._port, self._direction)
            self._tell_hold()
        return self.answer_sdp()

    def _tell_hold(self) -> None:
        held = self._direction in _HELD
        if held != self._held:
            self._held = held
            self._outlet.emit(LegHeld(held))

    # ---- data channel -----------------------------------------------------------------------

    def send_message(self, text: str) -> bool:
        """Sends text on the data channel `gateway`; False when the browser has none open."""
        return self._channel.send(text)

    def on_message(self, sink: MessageSink | None) -> None:
        """Who gets text that the browser sends on the data channel."""
        self._channel.on_message = sink

    # ---- set-up -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to connect; called once, by the plane."""
        self._link.on_lost = self._lost
        self._link.on_state = self._transport
        for candidate in self._offer.candidates:
            self._add(candidate)
        self._setup = asyncio.create_task(self._connect(), name=f"webrtc set-up {self._id}")

    async def _connect(self) -> None:
        try:
            await self._connect_link()
        except TimeoutError:
            text = f"No connection within {self._settings.setup_timeout:g} s"
            self._end(SETUP_TIMEOUT.because(text), by_peer=False)
        except LinkError as error:
            self._lost(error.fault)
        except GatewayError as error:
            self._end(error.verdict, by_peer=False)
        except Exception:
            # Task boundary: a bug ends this leg, never the process.
            logger.exception("Leg %s: set-up failed", self._id)
            self._end(INTERNAL, by_peer=False)

    async def _connect_link(self) -> None:
        async with asyncio.timeout(self._settings.setup_timeout):
            keys = await self._link.connect(
                self._offer.ice, self._offer.fingerprints, self._local.role
            )
        if self._state is LegState.ENDED:
            return  # hung up between the last datagram and this task's turn
        event = self._choice.event
        codec = self._choice.codec
        self._port = self._media.webrtc_open(
            WebRtcParams(
                codec=codec.codec,
                payload_type=codec.payload_type,
                event_payload_type=event.payload_type if event else None,
                event_clock_rate=event.clock_rate if event else codec.clock_rate,
                event_mask=event.mask if event else 0,
                ssrc=self._local.ssrc,
                srtp_profile=keys.profile,
                tx_key=keys.tx,
                rx_key=keys.rx,
                opus_complexity=self._settings.opus_complexity,
                opus_bitrate=_OPUS_BITRATE[self._settings.playback_rate],
                rtp_timeout_ms=self._settings.rtp_timeout_ms,
                cname=self._local.cname,
            )
        )
        self._wire(self._port)
        self._state = LegState.CONNECTED
        self._outlet.emit(LegMedia(self._port, not self._settings.called, str(self._choice)))
        if self._settings.called:
            self._outlet.emit(LegAnswered())
        self._tell_hold()
        if self._offer.data is not None and self._state is LegState.CONNECTED:
            data = self._offer.data
            await self._link.start_data(
                data.sctp_port, data.max_message_size, MAX_MESSAGE_SIZE, self._channel.opened
            )

    def _wire(self, port: MediaPort) -> None:
        """Hands addresses and sockets to the media plane.

        In this order no packet of the browser is refused, lost or overtaken: what Python has
        read already goes first, and addresses are known before the first socket is read.
        """
        self._media.on_datagrams(port, self._datagram)
        if self._direction is not Direction.SENDRECV:
            self._media.webrtc_direction(port, self._direction)
        self._allow_validated(port)
        self._link.hand_rtp_to(self._relayed)
        for tag, fd in self._link.take_over():
            self._media.webrtc_add_socket(port, tag, fd)
        self._link.on_change(self._addresses_changed)
        self._addresses_changed()

    def _datagram(self, tag: int, data: bytes, address: tuple[str, int]) -> None:
        if tag == RELAY_TAG:
            self._link.send(data)
        else:
            self._link.received(tag, data, address)

    def _relayed(self, data: bytes) -> None:
        if self._port is not None:
            self._media.webrtc_input(self._port, data)

    def _addresses_changed(self) -> None:
        if self._port is None:
            return
        self._allow_validated(self._port)
        pair = self._link.selected
        if pair is not None and pair != self._pair:
            if self._pair is not None:
                self._transport(Layer.ICE, "switched", self._link.pair_kinds)
            self._pair = pair
            self._media.webrtc_select(self._port, pair.tag, pair.ip, pair.udp_port)

    def _allow_validated(self, port: MediaPort) -> None:
        for ip, udp_port in self._link.validated - self._allowed:
            self._allowed.add((ip, udp_port))
            self._media.webrtc_allow(port, ip, udp_port)

    def _transport(self, layer: Layer, state: str, detail: str) -> None:
        if self._state is not LegState.ENDED:
            self._outlet.emit(LegTransport(layer, state, detail, time.monotonic()))

    # ---- end --------------------------------------------------------------------------------

    def _lost(self, fault: LinkFault) -> None:
        verdict = _FAULTS[fault]
        text = verdict.text if verdict is NORMAL else f"{verdict.text}: {fault.value}"
        self._end(verdict.because(text), by_peer=fault is LinkFault.CLOSED_BY_PEER)

    def _end(self, verdict: Verdict, *, by_peer: bool) -> None:
        if self._state is LegState.ENDED:
            return
        self._state = LegState.ENDED
        port, self._port = self._port, None
        stats = None
        if port is not None:
            self._media.on_datagrams(port, None)
            with suppress(GatewayError):  # as after the media plane has stopped
                stats = self._media.stats(port)
            self._media.close(port)
        # On the next turn, so that whoever hangs up is not called back from inside.
        asyncio.get_running_loop().call_soon(self._outlet.emit, LegEnded(verdict, by_peer, stats))
        self._closing = asyncio.create_task(self._close(), name=f"webrtc close {self._id}")

    async def _close(self) -> None:
        setup = self._setup
        if setup is not None and not setup.done():
            setup.cancel()
            await asyncio.wait([setup])
        try:
            await self._link.close()
        finally:
            self._channel.on_message = None
            if self.on_closed is not None:
                self.on_closed(self)

    async def wait_closed(self) -> None:
        """Returns when every socket and task of an ended leg is gone."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
