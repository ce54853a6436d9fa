"""The only file that touches private parts of aiortc and aioice, and checks their versions.

It adds what these libraries lack: a demultiplexer that trusts only ICE-validated addresses, SRTP
keys without an SRTP session, sockets that can be handed to the media plane, loopback candidates.
tests/webrtc/test_private_contract.py fails loudly when an upgrade changes what is used here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from aioice import stun
from aioice.candidate import Candidate
from aioice.ice import CandidatePair, Connection, ConnectionClosed, ConnectionEvent, StunProtocol
from aiortc import RTCCertificate, RTCIceCandidate, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCDtlsParameters,
    RTCDtlsTransport,
    State,
)
from aiortc.rtcicetransport import candidate_to_aioice
from aiortc.rtcsctptransport import Chunk, DataChunk, RTCSctpTransport
from OpenSSL import SSL

from gateway.legs.webrtc.candidates import MAX_CANDIDATES

PINNED = {"aiortc": "1.16.0", "aioice": "0.13."}
for _package, _wanted in PINNED.items():
    if not version(_package).startswith(_wanted):
        raise ImportError(
            f"{_package} {version(_package)} is installed, but its private parts are used as of "
            f"{_wanted}: install that version, or adapt this file and its contract test"
        )

logger = logging.getLogger(__name__)

Address = tuple[str, int]

MAX_SOCKETS = 16  # tags of the media plane
MAX_VALIDATED = 16
_GATHER_TIMEOUT = 2  # seconds
_EARLY_RTP = 64  # packets between the peer's DTLS Finished and the take-over
# The cheapest first: as DTLS server OpenSSL picks by our order (RFC 5764 4.1.1).
_SRTP_PROFILES = [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80]


@dataclass(frozen=True, slots=True, repr=False)
class SrtpKeys:
    """What DTLS negotiated for SRTP (RFC 5764 4.2): master key followed by master salt."""

    profile: int  # IANA DTLS-SRTP protection profile
    tx: bytes
    rx: bytes


class GuardedConnection(Connection):
    """An ICE connection that hears DTLS and RTP only from addresses that ICE has validated.

    aioice itself passes on whatever reaches its sockets, so that anybody who can guess the port
    could spoil a DTLS handshake with a forged ClientHello or alert.
    """

    def __init__(self, *, loopback: bool, controlling: bool, **servers: Any) -> None:
        super().__init__(ice_controlling=controlling, **servers)
        self._loopback = loopback
        self.validated: set[Address] = set()
        self.refused = 0  # datagrams from addresses that are not validated
        self.on_change: Callable[[], None] = _nothing
        self.on_rtp: Callable[[bytes], None] | None = None
        self._early_rtp: deque[bytes] = deque(maxlen=_EARLY_RTP)

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = _GATHER_TIMEOUT,  # noqa: ASYNC109 - aioice's name
    ) -> list[Candidate]:
        """Gathers; also on 127.0.0.1 where asked to, which aioice leaves out.

        A STUN or TURN server that does not answer costs each call this long.
        """
        if self._loopback:
            addresses = ["127.0.0.1", *addresses]
        found = await super().get_component_candidates(
            component, addresses[:MAX_SOCKETS], timeout=timeout
        )
        for protocol in self._protocols:
            self._guard(protocol)
        return found

    def _guard(self, protocol: StunProtocol) -> None:
        stun_received = protocol.datagram_received

        def datagram_received(data: bytes | str, addr: tuple[Any, ...]) -> None:
            assert isinstance(data, bytes)
            self._demultiplex(data, (addr[0], addr[1]), stun_received)

        protocol.datagram_received = datagram_received  # type: ignore[method-assign]

    def _demultiplex(
        self, data: bytes, addr: Address, stun_received: Callable[[bytes, Address], None]
    ) -> None:
        first = data[0] if data else 255
        if first <= 3:  # RFC 7983 7
            try:
                stun_received(data, addr)
            except struct.error:
                self.refused += 1  # an attribute of the wrong length
        elif addr not in self.validated:
            self.refused += 1
        elif 20 <= first <= 63:
            super().data_received(data, 1)
        elif 128 <= first <= 191:
            if self.on_rtp is not None:
                self.on_rtp(data)
            else:
                self._early_rtp.append(data)

    def data_received(self, data: bytes, component: int) -> None:
        """Drops what aioice could not read as STUN; DTLS is delivered by the demultiplexer."""
        self.refused += 1

    def hand_rtp_to(self, sink: Callable[[bytes], None] | None) -> None:
        """Everything that is RTP or RTCP goes to `sink`, beginning with what came early."""
        self.on_rtp = sink
        while sink is not None and self._early_rtp:
            sink(self._early_rtp.popleft())

    def check_incoming(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
        """An authenticated connectivity check: its source is validated."""
        if "PRIORITY" not in message.attributes:
            return  # RFC 8445 7.1.1: required; aioice would raise KeyError
        known = any((c._network_host, c.port) == addr for c in self._remote_candidates)
        if not known and len(self._remote_candidates) >= MAX_CANDIDATES:
            return
        self._validate(addr)
        super().check_incoming(message, addr, protocol)
        self.on_change()

    def check_complete(self, pair: CandidatePair) -> None:
        """A check of ours is over; where it succeeded, the remote address is validated."""
        if pair.state is CandidatePair.State.SUCCEEDED:
            self._validate(pair.remote_addr)
        super().check_complete(pair)
        self.on_change()

    def _validate(self, addr: Address) -> None:
        if len(self.validated) < MAX_VALIDATED:
            self.validated.add(addr)

    async def get_event(self) -> ConnectionEvent | None:
        """As aioice's, but never None: RTCIceTransport would ask again for ever."""
        return await super().get_event() or ConnectionClosed()

    def add_candidate_now(self, candidate: RTCIceCandidate | None) -> None:
        """A remote candidate with an IP address, or None for the end; ignored after the end."""
        if self._remote_candidates_end or self._closing:
            return
        if candidate is None:
            self._remote_candidates_end = True
            self._end_remote_candidates()
        else:
            self._add_remote_candidate(candidate_to_aioice(candidate), candidate.ip)

    def mute(self) -> None:
        """Sends nothing more."""
        self._nominated.clear()

    @property
    def protocols(self) -> list[StunProtocol]:
        """Local transports: one per host address, and the TURN allocation."""
        return list(self._protocols)

    @property
    def nominated(self) -> CandidatePair | None:
        """The selected pair."""
        return self._nominated.get(1)


def _nothing() -> None:
    pass


class Gatherer(RTCIceGatherer):
    """RTCIceGatherer on a guarded connection. `servers` is what `connection_kwargs` made."""

    def __init__(self, *, loopback: bool, controlling: bool, servers: dict[str, Any]) -> None:
        super().__init__(iceServers=[])
        self.connection = GuardedConnection(loopback=loopback, controlling=controlling, **servers)
        self._connection = self.connection


class KeyDtlsTransport(RTCDtlsTransport):
    """DTLS that exports the SRTP keys and never builds an SRTP session of its own.

    So there is one sender context per key: the media plane's.
    """

    def __init__(self, transport: RTCIceTransport, certificate: RTCCertificate) -> None:
        super().__init__(transport, [certificate])
        self._srtp_profiles = _SRTP_PROFILES
        self.keys: SrtpKeys | None = None
        self.certificate_refused = False

    def use_role(self, role: str) -> None:
        """`client` or `server`, to be set before `start`."""
        self._set_role(role)

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803
        super()._validate_peer_identity(remoteParameters)
        self.certificate_refused = self._state is State.FAILED

    async def stop(self) -> None:
        """As RTCDtlsTransport's, and says good-bye to a peer whose certificate was refused."""
        if self.certificate_refused and self._ssl is not None:
            with contextlib.suppress(SSL.Error, ConnectionError):
                self._ssl.shutdown()
                await self._write_ssl()
        await super().stop()

    def _setup_srtp(self) -> None:
        assert self._ssl is not None
        name = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in _SRTP_PROFILES if p.openssl_profile == name), None)
        if profile is None:
            self._set_state(State.FAILED)
            return
        material = self._ssl.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
        )
        client, server = (profile.get_key_and_salt(material, index) for index in (0, 1))
        tx, rx = (server, client) if self._role == "server" else (client, server)
        self.keys = SrtpKeys(profile.libsrtp_profile, tx, rx)

    async def _send_rtp(self, data: bytes) -> None:
        raise AssertionError("SRTP is the media plane's")

    def release(self) -> None:
        """After `stop`: frees OpenSSL's memory now and not when cycles are collected."""
        self._ssl = None

    @property
    def closed_by_peer(self) -> bool:
        """Whether a close_notify came (RFC 5246 7.2.1)."""
        return self._ssl is not None and bool(self._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN)

    @property
    def pump(self) -> asyncio.Future[None] | None:
        """The task that reads datagrams; an exception of it ends the transport."""
        return self._task


class BoundedSctpTransport(RTCSctpTransport):
    """SCTP whose receive window is small and enforced: aiortc advertises it but buffers more."""

    def __init__(self, transport: RTCDtlsTransport, window: int) -> None:
        super().__init__(transport)
        self._advertised_rwnd = window  # bytes

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        if self._advertised_rwnd > 0:
            await super()._receive_data_chunk(chunk)

    async def _send_chunk(self, chunk: Chunk) -> None:
        # aiortc sends from tasks that nobody awaits; when DTLS closes first, that is no fault.
        with contextlib.suppress(ConnectionError):
            await super()._send_chunk(chunk)


class _Nobody(asyncio.DatagramProtocol):
    """Protocol of a transport whose socket was taken over."""


class TakenSocket(asyncio.DatagramTransport):
    """A local UDP socket that the media plane reads; Python still sends STUN and DTLS on it."""

    def __init__(self, protocol: StunProtocol) -> None:
        old = protocol.transport
        super().__init__({"sockname": old.get_extra_info("sockname")})
        self._protocol = protocol
        self._socket = socket.socket(fileno=os.dup(old.get_extra_info("socket").fileno()))
        self._socket.setblocking(False)
        self._closed = False
        old.set_protocol(_Nobody())
        old.abort()
        protocol.transport = self

    def fileno(self) -> int:
        """The descriptor; stays ours."""
        return self._socket.fileno()

    def received(self, data: bytes, addr: Address) -> None:
        """A STUN or DTLS datagram that the media plane read from this socket."""
        if not self._closed:
            self._protocol.datagram_received(data, addr)

    def belongs_to(self, protocol: StunProtocol) -> bool:
        """Whether this is the socket of `protocol`."""
        return self._protocol is protocol

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Sends at once; a full socket buffer drops the datagram, as the network might."""
        if self._closed:
            return
        try:
            self._socket.sendto(data, addr)
        except OSError as error:
            self._protocol.error_received(error)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def close(self) -> None:
        """Closes our descriptor; the media plane closes its own with the port."""
        if not self._closed:
            self._closed = True
            self._socket.close()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """The same as `close`."""
        self.close()


def take_over(connection: GuardedConnection) -> list[TakenSocket]:
    """Takes every host socket out of asyncio's hands; nothing that arrives meanwhile is lost."""
    hosts = [p for p in connection.protocols if p.local_candidate.type == "host"]
    return [TakenSocket(protocol) for protocol in hosts]
