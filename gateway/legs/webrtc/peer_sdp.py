"""The probe peer's offers, and what it reads from the gateway's answers."""

from __future__ import annotations

from dataclasses import dataclass

from aiortc import RTCDtlsFingerprint, RTCIceCandidate, RTCRtpCodecParameters, RTCSctpCapabilities
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.sdp import (
    GroupDescription,
    MediaDescription,
    SessionDescription,
    SsrcDescription,
    candidate_to_sdp,
)

from gateway.legs.webrtc.answer import DIRECTION_NAMES
from gateway.legs.webrtc.link import Link
from gateway.legs.webrtc.offer import IceCredentials
from gateway.media.values import Direction
from gateway.terms import Codec

_PAYLOAD_TYPES = {Codec.OPUS: 111, Codec.PCMU: 0, Codec.PCMA: 8}
_ENCODINGS = {Codec.OPUS: ("opus", 48000, 2), Codec.PCMU: ("PCMU", 8000, 1)}
_ENCODINGS |= {Codec.PCMA: ("PCMA", 8000, 1)}
_EVENT_TYPES = {48000: 110, 8000: 126}
_BY_NAME = {name.lower(): codec for codec, (name, _, _) in _ENCODINGS.items()}
_ROLES = {"active": "client", "passive": "server", "actpass": "auto"}


@dataclass(frozen=True, slots=True)
class OfferShape:
    """What the probe offers. `setup` is actpass, active or passive (RFC 8842)."""

    codecs: tuple[Codec, ...] = (Codec.OPUS, Codec.PCMU)
    event_clock_rates: tuple[int, ...] = (48000, 8000)  # Hz; Firefox: only 8000
    setup: str = "actpass"
    data_channel: bool = False
    direction: Direction = Direction.SENDRECV
    fingerprint: str | None = None  # a false one, to be refused


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What the gateway answered."""

    codec: Codec
    payload_type: int
    clock_rate: int  # Hz
    event_payload_type: int | None
    event_clock_rate: int  # Hz
    ice: IceCredentials
    fingerprints: tuple[tuple[str, str], ...]
    role: str  # ours
    candidates: tuple[RTCIceCandidate, ...]
    sctp_port: int | None


def write_offer(
    shape: OfferShape,
    link: Link,
    direction: Direction,
    candidates: bool,
    origin: tuple[int, int],
) -> str:
    """An SDP offer in the shape of a browser's; `origin` is session id and version."""
    session = SessionDescription()
    session.origin = f"- {origin[0]} {origin[1]} IN IP4 127.0.0.1"
    codecs = [
        RTCRtpCodecParameters(
            mimeType=f"audio/{_ENCODINGS[codec][0]}",
            clockRate=_ENCODINGS[codec][1],
            channels=_ENCODINGS[codec][2],
            payloadType=_PAYLOAD_TYPES[codec],
        )
        for codec in shape.codecs
    ] + [
        RTCRtpCodecParameters(
            mimeType="audio/telephone-event", clockRate=rate, payloadType=_EVENT_TYPES[rate]
        )
        for rate in shape.event_clock_rates
    ]
    audio = MediaDescription("audio", 9, "UDP/TLS/RTP/SAVPF", [c.payloadType for c in codecs])
    audio.rtp.codecs = codecs
    audio.direction = DIRECTION_NAMES[direction]
    audio.rtcp_port, audio.rtcp_host, audio.rtcp_mux = 9, "0.0.0.0", True
    audio.msid = "probe audio"
    audio.ssrc = [SsrcDescription(ssrc=1, cname="probe")]
    session.media.append(audio)
    if shape.data_channel:
        data = MediaDescription("application", 9, "UDP/DTLS/SCTP", ["webrtc-datachannel"])
        data.sctp_port = 5000
        data.sctpCapabilities = RTCSctpCapabilities(maxMessageSize=65536)
        session.media.append(data)
    for number, media in enumerate(session.media):
        _transport(media, str(number), shape, link, candidates)
    session.group.append(GroupDescription("BUNDLE", [m.rtp.muxId for m in session.media]))
    return str(session)


def _transport(
    media: MediaDescription, mid: str, shape: OfferShape, link: Link, candidates: bool
) -> None:
    fingerprints = list(link.fingerprints)
    if shape.fingerprint is not None:
        fingerprints = [RTCDtlsFingerprint("sha-256", shape.fingerprint)]
    media.host = "0.0.0.0"
    media.rtp.muxId = mid
    media.ice = link.local_ice
    media.ice_options = "trickle"
    media.ice_candidates = list(link.local_candidates) if candidates else []
    media.ice_candidates_complete = candidates
    media.dtls = RTCDtlsParameters(fingerprints=fingerprints, role=_ROLES[shape.setup])


def candidate_lines(link: Link) -> list[str]:
    """Candidates as a browser trickles them."""
    return [f"candidate:{candidate_to_sdp(c)}" for c in link.local_candidates]


def read_answer(text: str) -> Negotiated:
    """Raises ValueError for an answer that is not as a browser needs it."""
    session = SessionDescription.parse(text)
    audio = next((m for m in session.media if m.kind == "audio" and m.port), None)
    if audio is None or audio.ice is None or audio.dtls is None:
        raise ValueError("the answer accepts no audio")
    codecs = [c for c in audio.rtp.codecs if c.name.lower() in _BY_NAME]
    events = [c for c in audio.rtp.codecs if c.name.lower() == "telephone-event"]
    if len(codecs) != 1 or len(events) > 1 or len(audio.rtp.codecs) != len(codecs + events):
        raise ValueError("the answer has not exactly one codec and one telephone-event")
    codec = codecs[0]
    assert codec.payloadType is not None
    assert audio.ice.usernameFragment is not None
    assert audio.ice.password is not None
    data = next((m for m in session.media if m.kind == "application" and m.port), None)
    return Negotiated(
        codec=_BY_NAME[codec.name.lower()],
        payload_type=codec.payloadType,
        clock_rate=codec.clockRate,
        event_payload_type=events[0].payloadType if events else None,
        event_clock_rate=events[0].clockRate if events else 8000,
        ice=IceCredentials(audio.ice.usernameFragment, audio.ice.password, False),
        fingerprints=tuple((f.algorithm, f.value) for f in audio.dtls.fingerprints),
        role="server" if audio.dtls.role == "client" else "client",
        candidates=tuple(audio.ice_candidates),
        sctp_port=data.sctp_port if data is not None else None,
    )
