"""One ICE and DTLS transport with the doors that the gateway needs: keys, sockets, datagrams."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDtlsFingerprint,
    RTCIceCandidate,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpCapabilities,
)
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters, connection_kwargs

from gateway.config.model import IceServer
from gateway.legs.webrtc._aiortc_private import (
    Address,
    BoundedSctpTransport,
    Gatherer,
    KeyDtlsTransport,
    SrtpKeys,
    TakenSocket,
    take_over,
)
from gateway.legs.webrtc.offer import IceCredentials
from gateway.legs.webrtc.seam import RELAY_TAG
from gateway.ports import Layer

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 5.0  # seconds; a dead TURN server answers no deallocation


class LinkFault(enum.StrEnum):
    """Why there is no transport (any more)."""

    NO_PATH = "ICE found no working path"
    CERTIFICATE = "the certificate does not match the fingerprint of the session description"
    HANDSHAKE = "the DTLS handshake failed"
    CLOSED_BY_PEER = "the browser closed the connection"
    LOST = "the browser does not answer any more (RFC 7675)"


StateSink = Callable[[Layer, str, str], None]
"""Told of each new state of a layer, and its detail; see gateway.ports.LegTransport."""

_SRTP_NAMES = {1: "SRTP_AES128_CM_SHA1_80", 7: "SRTP_AEAD_AES_128_GCM", 8: "SRTP_AEAD_AES_256_GCM"}
"""By IANA DTLS-SRTP protection profile (RFC 5764 4.1.2, RFC 7714 14.2)."""


class LinkError(Exception):
    """The transport could not be set up."""

    def __init__(self, fault: LinkFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SelectedPair:
    """Where RTP goes: `tag` is the local socket's, or RELAY_TAG."""

    tag: int
    ip: str
    udp_port: int


def ice_arguments(servers: Sequence[IceServer]) -> dict[str, Any]:
    """What ICE needs to know of STUN and TURN servers: the first of each kind is used.

    Raises ValueError for a malformed URI (RFC 7064, RFC 7065).
    """
    return connection_kwargs(
        [
            RTCIceServer(
                urls=server.urls,
                username=server.username,
                credential=server.credential.get_secret_value() if server.credential else None,
            )
            for server in servers
        ]
    )


class Link:
    """ICE, DTLS and SCTP of one peer. Used by the gateway's legs and by the probe peer."""

    def __init__(
        self,
        certificate: RTCCertificate,
        *,
        servers: dict[str, Any],
        loopback: bool,
        controlling: bool = False,
    ) -> None:
        self._gatherer = Gatherer(loopback=loopback, controlling=controlling, servers=servers)
        self._connection = self._gatherer.connection
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = KeyDtlsTransport(self._ice, certificate)
        self._sctp: BoundedSctpTransport | None = None
        self._taken: list[TakenSocket] = []
        self._certificate = certificate
        self._closing = False
        self._role = ""
        self.on_lost: Callable[[LinkFault], None] | None = None
        self.on_state: StateSink | None = None
        self._ice.on("statechange", self._tell_ice)
        self._dtls.on("statechange", self._tell_dtls)

    # ---- set-up -----------------------------------------------------------------------------

    async def gather(self) -> None:
        """Finds local candidates. Raises LinkError(NO_PATH) when there is none."""
        await self._gatherer.gather()
        if not self._gatherer.getLocalCandidates():
            raise LinkError(LinkFault.NO_PATH)

    @property
    def local_ice(self) -> RTCIceParameters:
        """Our user fragment and password."""
        return self._gatherer.getLocalParameters()

    @property
    def local_candidates(self) -> tuple[RTCIceCandidate, ...]:
        """What `gather` found."""
        return tuple(self._gatherer.getLocalCandidates())

    @property
    def fingerprints(self) -> tuple[RTCDtlsFingerprint, ...]:
        """Of our certificate."""
        return tuple(f for f in self._certificate.getFingerprints() if f.algorithm == "sha-256")

    def add_candidate(self, candidate: RTCIceCandidate | None) -> None:
        """A remote candidate, or None: there will be no more."""
        self._connection.add_candidate_now(candidate)

    async def connect(
        self, ice: IceCredentials, fingerprints: Sequence[tuple[str, str]], role: str
    ) -> SrtpKeys:
        """ICE checks, then the DTLS handshake as `role` (client or server). Raises LinkError.

        An unreachable peer that may still trickle never fails: the caller has a timer.
        """
        self._role = role
        self._dtls.use_role(role)
        if ice.lite:
            self._connection.ice_controlling = True  # RFC 8445 6.1.1
        await self._ice.start(RTCIceParameters(ice.ufrag, ice.password, ice.lite))
        if self._ice.state != "completed":
            raise LinkError(LinkFault.NO_PATH)
        await self._dtls.start(
            RTCDtlsParameters([RTCDtlsFingerprint(name, value) for name, value in fingerprints])
        )
        if self._dtls.keys is None or self._dtls.pump is None:
            refused = self._dtls.certificate_refused
            raise LinkError(LinkFault.CERTIFICATE if refused else LinkFault.HANDSHAKE)
        self._dtls.pump.add_done_callback(_log_crash)
        self._dtls.on("statechange", self._state_changed)
        self._ice.on("statechange", self._state_changed)
        return self._dtls.keys

    def _state_changed(self) -> None:
        lost = self._dtls.state == "closed" or self._ice.state == "failed"
        if lost and not self._closing and self.on_lost is not None:
            on_lost, self.on_lost = self.on_lost, None
            closed = self._dtls.closed_by_peer
            if not closed:
                self._tell(Layer.ICE, "consent_lost")
            on_lost(LinkFault.CLOSED_BY_PEER if closed else LinkFault.LOST)

    def _tell_ice(self) -> None:
        state = self._ice.state
        if state == "completed":
            self._tell(Layer.ICE, "connected", self.pair_kinds)
        elif state == "checking" or (state == "failed" and self._dtls.state == "new"):
            self._tell(Layer.ICE, state)

    def _tell_dtls(self) -> None:
        state = self._dtls.state
        if state == "connected" and self._dtls.keys is not None:
            profile = _SRTP_NAMES.get(self._dtls.keys.profile, "unknown")
            self._tell(Layer.DTLS, state, f"{profile}, {self._role}")
        elif state == "failed" and self._dtls.certificate_refused:
            self._tell(Layer.DTLS, state, LinkFault.CERTIFICATE.value)
        else:
            self._tell(Layer.DTLS, state)

    def _tell(self, layer: Layer, state: str, detail: str = "") -> None:
        if self.on_state is not None:
            self.on_state(layer, state, detail)

    @property
    def pair_kinds(self) -> str:
        """Kinds of the selected candidates, ours first: `host-srflx`; empty without a pair."""
        pair = self._connection.nominated
        if pair is None:
            return ""
        return f"{pair.local_candidate.type}-{pair.remote_candidate.type}"

    # ---- datagrams --------------------------------------------------------------------------

    def take_over(self) -> list[tuple[int, int]]:
        """Hands the UDP sockets out as (tag, descriptor); `received` brings datagrams back."""
        self._taken = take_over(self._connection)
        return [(tag, taken.fileno()) for tag, taken in enumerate(self._taken)]

    def received(self, tag: int, data: bytes, addr: Address) -> None:
        """A STUN or DTLS datagram that came in on the taken socket `tag`."""
        if 0 <= tag < len(self._taken):
            self._taken[tag].received(data, addr)

    def hand_rtp_to(self, sink: Callable[[bytes], None] | None) -> None:
        """RTP and RTCP that arrive here (relayed, or before `take_over`) go to `sink`."""
        self._connection.hand_rtp_to(sink)

    def send(self, data: bytes) -> None:
        """Sends a datagram over the selected pair; nothing happens while there is none."""
        pair = self._connection.nominated
        if pair is not None:
            pair.protocol.transport.sendto(data, pair.remote_addr)

    @property
    def selected(self) -> SelectedPair | None:
        """The nominated pair; RELAY_TAG unless its socket was taken over."""
        pair = self._connection.nominated
        if pair is None:
            return None
        tags = (t for t, taken in enumerate(self._taken) if taken.belongs_to(pair.protocol))
        return SelectedPair(next(tags, RELAY_TAG), *pair.remote_addr)

    @property
    def validated(self) -> frozenset[Address]:
        """Remote addresses that answered or made an authenticated check."""
        return frozenset(self._connection.validated)

    @property
    def refused(self) -> int:
        """Datagrams dropped because their source is not validated, or unreadable."""
        return self._connection.refused

    def on_change(self, callback: Callable[[], None]) -> None:
        """`callback` is told when `selected` or `validated` may have changed."""
        self._connection.on_change = callback

    # ---- data channel -----------------------------------------------------------------------

    async def start_data(
        self,
        port: int,
        max_message_size: int,
        window: int,
        on_channel: Callable[[RTCDataChannel], None],
    ) -> BoundedSctpTransport:
        """Opens the SCTP association. `on_channel` gets channels that the peer opens."""
        self._sctp = BoundedSctpTransport(self._dtls, window)
        self._sctp.on("datachannel", on_channel)
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=max_message_size), port)
        return self._sctp

    # ---- end --------------------------------------------------------------------------------

    async def close(self, *, polite: bool = True) -> None:
        """Lets go of every socket and task; `polite`: says good-bye first (close_notify)."""
        self._closing = True
        self._connection.hand_rtp_to(None)
        pump = self._dtls.pump
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                if not polite:
                    self._connection.mute()
                if self._sctp is not None:
                    await self._sctp.stop()
                await self._dtls.stop()
                if pump is not None:
                    await asyncio.wait([pump])
                await self._ice.stop()
        except TimeoutError:
            logger.info("The TURN allocation was not given back in %s s", _CLOSE_TIMEOUT)
        self._dtls.release()
        self._dtls.remove_all_listeners()
        self._ice.remove_all_listeners()
        self._connection.on_change = _ignore
        self.on_lost = self.on_state = None


def _ignore() -> None:
    pass


def _log_crash(pump: asyncio.Future[None]) -> None:
    # The transport is closed by then, so the leg ends; here the exception is only read.
    if not pump.cancelled() and (error := pump.exception()) is not None:
        logger.warning("DTLS ended by %s: %s", type(error).__name__, error)
