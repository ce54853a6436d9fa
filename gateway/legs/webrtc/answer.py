"""The answer: one audio codec, one telephone-event, the data channel; everything else rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import RTCDtlsFingerprint, RTCIceCandidate, RTCRtpCodecParameters
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities
from aiortc.sdp import GroupDescription, MediaDescription, SessionDescription, SsrcDescription

from gateway.errors import BAD_SDP, NO_COMMON_CODEC, GatewayError
from gateway.legs.webrtc.offer import Offer, OfferedCodec, OfferedEvent
from gateway.legs.webrtc.offer_lines import Section
from gateway.media.values import Direction
from gateway.terms import Codec

MAX_MESSAGE_SIZE = 65536  # bytes on the data channel that we are willing to reassemble

OPUS_RATE = 48_000
"""Hz of Opus's RTP clock, and the most that it can play (RFC 7587 4.1, 6.1)."""

DIRECTION_NAMES = {
    Direction.SENDRECV: "sendrecv",
    Direction.SENDONLY: "sendonly",
    Direction.RECVONLY: "recvonly",
    Direction.INACTIVE: "inactive",
}


@dataclass(frozen=True, slots=True)
class AudioChoice:
    """The one codec and the one telephone-event of a leg, fixed for its life."""

    codec: OfferedCodec
    event: OfferedEvent | None

    def __str__(self) -> str:
        text = f"{self.codec.codec}/{self.codec.clock_rate}"
        if self.event is None:
            return f"{text} without telephone-event"
        return f"{text} + telephone-event/{self.event.clock_rate}"


@dataclass(frozen=True, slots=True)
class LocalSide:
    """What the answer says about the gateway; stays the same for the leg's life."""

    ice: RTCIceParameters
    fingerprints: tuple[RTCDtlsFingerprint, ...]
    role: str  # client or server
    candidates: tuple[RTCIceCandidate, ...]
    ssrc: int
    cname: str
    session_id: int


def choose_audio(offer: Offer, preference: Sequence[Codec], *, exact_dtmf: bool) -> AudioChoice:
    """The first preferred codec that the browser offers, with its telephone-event.

    With `exact_dtmf`, codecs whose clock some offered telephone-event has come first: with
    another clock browsers send tones as a fixed burst (Firefox with Opus). Raises
    GatewayError(NO_COMMON_CODEC).
    """
    offered = {c.codec: c for c in reversed(offer.codecs)}
    common = [offered[codec] for codec in preference if codec in offered]
    if not common:
        names = ", ".join(dict.fromkeys(c.codec.value for c in offer.codecs)) or "none we know"
        wanted = ", ".join(codec.value for codec in preference)
        raise GatewayError(NO_COMMON_CODEC, f"Codecs offered: {names}; codecs allowed: {wanted}")
    clocks = {event.clock_rate for event in offer.events}
    exact = [c for c in common if c.clock_rate in clocks] if exact_dtmf else []
    chosen = (exact or common)[0]
    same_clock = [e for e in offer.events if e.clock_rate == chosen.clock_rate]
    return AudioChoice(chosen, next(iter(same_clock or offer.events), None))


def check_same_session(before: Offer, after: Offer, choice: AudioChoice) -> None:
    """Raises GatewayError(BAD_SDP) when `after` needs another transport or codec than `before`."""
    if after.ice != before.ice or after.fingerprints != before.fingerprints:
        raise GatewayError(BAD_SDP, "New ICE or DTLS credentials need a new call")
    kept = after.audio == before.audio and after.bundle[:1] == before.bundle[:1]
    if before.data is not None:
        kept = kept and after.data is not None and after.data.index == before.data.index
    if not kept:
        raise GatewayError(BAD_SDP, "Other media sections need a new call")
    if choice.codec not in after.codecs or choice.event not in (None, *after.events):
        raise GatewayError(BAD_SDP, "Other codecs or payload types need a new call")


def write_answer(
    offer: Offer,
    choice: AudioChoice,
    local: LocalSide,
    *,
    direction: Direction,
    playback_rate: int,
    version: int,
) -> str:
    """The SDP answer to `offer`; `direction` is ours, `version` counts the leg's answers.

    playback_rate: Hz beyond which nothing of the browser's Opus would be heard.
    """
    session = SessionDescription()
    session.origin = f"- {local.session_id} {version} IN IP4 0.0.0.0"  # RFC 8829 5.2.1
    accepted = [offer.audio] + ([offer.data.index] if offer.data is not None else [])
    kept = {offer.sections[index].mid for index in accepted}
    if offer.bundle:  # in the offer's order: its first kept section carries the transport
        session.group.append(GroupDescription("BUNDLE", [m for m in offer.bundle if m in kept]))
    for index, section in enumerate(offer.sections):
        if index == offer.audio:
            media = _audio(section, choice, local, direction, playback_rate)
        elif offer.data is not None and index == offer.data.index:
            media = _data(section, local)
        else:
            media = _rejected(section)
        session.media.append(media)
    return str(session)


def _audio(
    section: Section,
    choice: AudioChoice,
    local: LocalSide,
    direction: Direction,
    playback_rate: int,
) -> MediaDescription:
    codecs = [
        RTCRtpCodecParameters(
            mimeType=f"audio/{choice.codec.name}",
            clockRate=choice.codec.clock_rate,
            channels=choice.codec.channels,
            payloadType=choice.codec.payload_type,
            parameters=_opus_parameters(playback_rate) if choice.codec.codec is Codec.OPUS else {},
        )
    ]
    if choice.event is not None:
        codecs.append(
            RTCRtpCodecParameters(
                mimeType="audio/telephone-event",
                clockRate=choice.event.clock_rate,
                payloadType=choice.event.payload_type,
                parameters={"0-16": None},  # RFC 4733 2.4
            )
        )
    media = MediaDescription("audio", 9, section.profile, [c.payloadType for c in codecs])
    media.rtp.codecs = codecs
    media.direction = DIRECTION_NAMES[direction]
    media.rtcp_port, media.rtcp_host, media.rtcp_mux = 9, "0.0.0.0", True
    media.msid = "gateway audio"
    media.ssrc = [SsrcDescription(ssrc=local.ssrc, cname=local.cname)]
    _transport(media, section, local)
    return media


def _opus_parameters(playback_rate: int) -> dict[str, int | str | None]:
    parameters: dict[str, int | str | None] = {"minptime": 10, "useinbandfec": 1}  # RFC 7587 6.1
    if playback_rate < OPUS_RATE:
        # Browsers then send SILK of that bandwidth: fewer bytes, and half the work to decode.
        parameters |= {
            "maxplaybackrate": playback_rate,
            "sprop-maxcapturerate": playback_rate,
            "stereo": 0,
        }
    return parameters


def _data(section: Section, local: LocalSide) -> MediaDescription:
    media = MediaDescription("application", 9, section.profile, [section.formats])
    media.sctp_port = 5000
    media.sctpCapabilities = RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE_SIZE)
    _transport(media, section, local)
    return media


def _transport(media: MediaDescription, section: Section, local: LocalSide) -> None:
    media.host = "0.0.0.0"  # RFC 8829 5.3.1: with ICE, the address is in the candidates
    media.rtp.muxId = section.mid or ""
    media.ice = local.ice
    media.ice_options = "trickle"  # we take candidates later; ours are all here (RFC 8838 4.1.3)
    media.ice_candidates = list(local.candidates)
    media.ice_candidates_complete = True
    media.dtls = RTCDtlsParameters(fingerprints=list(local.fingerprints), role=local.role)


def _rejected(section: Section) -> MediaDescription:
    media = MediaDescription(section.kind, 0, section.profile, section.formats.split())
    media.host = "0.0.0.0"
    media.direction = "inactive"
    media.rtp.muxId = section.mid or ""
    media.ice = RTCIceParameters()
    return media
