"""What a browser's SDP offer asks for. aiortc parses the lines that `offer_lines` let through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiortc import RTCIceCandidate
from aiortc.sdp import MediaDescription, SessionDescription

from gateway.legs.webrtc.offer_lines import RawOffer, RawSection, Section, bad, split
from gateway.media.values import Direction
from gateway.terms import Codec

DEFAULT_EVENTS = 0xFFFF  # RFC 4733 2.4: without fmtp, events 0-15

_DIRECTIONS = {
    "sendrecv": Direction.SENDRECV,
    "sendonly": Direction.SENDONLY,
    "recvonly": Direction.RECVONLY,
    "inactive": Direction.INACTIVE,
}
_AUDIO_PROFILES = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF")  # RFC 8829 5.1.2
_DATA_PROFILES = ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP")  # RFC 8841 4
_STATIC_RTPMAP = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}  # RFC 3551 6
_CODECS = {
    ("opus", 48000, 2): Codec.OPUS,  # RFC 7587 7
    ("pcmu", 8000, 1): Codec.PCMU,
    ("pcma", 8000, 1): Codec.PCMA,
    ("g722", 8000, 1): Codec.G722,  # RFC 3551 4.5.2: 8000 by convention
}
FINGERPRINT_ALGORITHMS = ("sha-256", "sha-384", "sha-512")


@dataclass(frozen=True, slots=True)
class OfferedCodec:
    """An audio codec that the browser offers and the gateway knows."""

    codec: Codec
    payload_type: int
    name: str  # as the browser spells it
    clock_rate: int  # Hz, of RTP timestamps
    channels: int


@dataclass(frozen=True, slots=True)
class OfferedEvent:
    """One telephone-event format; `mask` has bit n set when the browser takes event n."""

    payload_type: int
    clock_rate: int  # Hz
    mask: int


@dataclass(frozen=True, slots=True)
class DataSection:
    """The data channel's section."""

    index: int
    sctp_port: int
    max_message_size: int  # bytes


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """What a browser's connectivity checks are signed with."""

    ufrag: str
    password: str
    lite: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What the gateway needs to know of an offer."""

    sections: tuple[Section, ...]
    audio: int  # index of the section that is accepted
    data: DataSection | None
    bundle: tuple[str, ...]  # mids that share the audio's transport; empty without BUNDLE
    codecs: tuple[OfferedCodec, ...]
    events: tuple[OfferedEvent, ...]
    direction: Direction  # as the browser sees it
    ice: IceCredentials
    fingerprints: tuple[tuple[str, str], ...]
    setup: str  # client, server or auto, in aiortc's words
    candidates: tuple[RTCIceCandidate, ...]


def read_offer(text: str) -> Offer:
    """The offer in `text`. Raises GatewayError(BAD_SDP), which names what is wrong."""
    raw = split(text)
    audio_index = _find_audio(raw)
    audio = raw.sections[audio_index]
    bundle = _bundle_of(raw, audio.section.mid)
    data_index = _find_data(raw, bundle)
    wanted = [audio] + ([raw.sections[data_index]] if data_index is not None else [])
    parsed = _parse(raw.session, wanted)
    media = parsed.media[0]
    if not audio.rtcp_mux:
        raise bad("the audio section has no a=rtcp-mux (RFC 8834 4.5)")
    shared = [s for s in raw.sections if s is audio or (s.section.mid or "") in bundle]
    return Offer(
        sections=tuple(s.section for s in raw.sections),
        audio=audio_index,
        data=_data_section(data_index, parsed.media[-1]),
        bundle=bundle,
        codecs=tuple(_codecs(media)),
        events=tuple(_events(media)),
        direction=_DIRECTIONS[media.direction or "sendrecv"],
        ice=_ice(media),
        fingerprints=_fingerprints(media),
        setup=_setup(media),
        candidates=tuple(c for s in shared for c in s.candidates),
    )


# ---- sections -------------------------------------------------------------------------------


def _alive(section: RawSection) -> bool:
    # RFC 9143 7.1.1: port 0 with a=bundle-only is not a rejected section.
    return section.port != 0 or section.bundle_only


def _find_audio(raw: RawOffer) -> int:
    for index, candidate in enumerate(raw.sections):
        section = candidate.section
        if section.kind == "audio" and section.profile in _AUDIO_PROFILES and _alive(candidate):
            return index
    raise bad("no audio section with DTLS-SRTP (UDP/TLS/RTP/SAVPF)")


def _bundle_of(raw: RawOffer, mid: str | None) -> tuple[str, ...]:
    return next((mids for mids in raw.bundle if mid is not None and mid in mids), ())


def _find_data(raw: RawOffer, bundle: tuple[str, ...]) -> int | None:
    for index, candidate in enumerate(raw.sections):
        section = candidate.section
        if (
            section.kind == "application"
            and section.profile in _DATA_PROFILES
            and section.formats == "webrtc-datachannel"
            and section.mid in bundle
            and _alive(candidate)
        ):
            return index
    return None


def _parse(session: list[str], sections: Iterable[RawSection]) -> SessionDescription:
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", *session]
    for raw in sections:
        section = raw.section
        formats = section.formats.split()
        if section.kind == "audio":
            for payload_type in formats:
                _check_payload_type(payload_type, raw.line)
        lines.append(f"m={section.kind} 9 {section.profile} {' '.join(formats)}")
        # Other formats' parameters may be anything; only telephone-event's are read.
        lines += [
            line
            for line in raw.lines
            if not line.startswith("a=fmtp:") or line[7:].split(" ", 1)[0] in raw.events
        ]
        lines += [
            f"a=rtpmap:{number} {encoding}"
            for number, encoding in _STATIC_RTPMAP.items()
            if str(number) in formats and str(number) not in raw.mapped
        ]
    # Session-level direction (RFC 8866 6.7) is the default of every section.
    inherited = next((x for x in reversed(session) if x[2:] in _DIRECTIONS), None)
    try:
        parsed = SessionDescription.parse("\r\n".join(lines) + "\r\n")
    except (AssertionError, AttributeError, KeyError, StopIteration, ValueError) as error:
        raise bad(f"cannot be read ({type(error).__name__}: {error})") from error
    for media in parsed.media:
        if media.direction is None and inherited is not None:
            media.direction = inherited[2:]
    return parsed


def _check_payload_type(text: str, line: int) -> None:
    # RFC 5761 4: 64..95 cannot be told from RTCP.
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > 127 or 64 <= int(text) <= 95:
        raise bad(f"line {line}: {text} is not a usable payload type")


# ---- what the audio section says ------------------------------------------------------------


def _codecs(media: MediaDescription) -> Iterable[OfferedCodec]:
    by_type = {c.payloadType: c for c in reversed(media.rtp.codecs)}
    for payload_type in media.fmt:
        entry = by_type.get(payload_type)
        if entry is None:
            continue
        key = (entry.name.lower(), entry.clockRate, entry.channels or 1)
        codec = _CODECS.get(key)
        if codec is not None:
            yield OfferedCodec(codec, payload_type, entry.name, entry.clockRate, key[2])


def _events(media: MediaDescription) -> Iterable[OfferedEvent]:
    for entry in media.rtp.codecs:
        if entry.name.lower() == "telephone-event" and entry.payloadType in media.fmt:
            assert entry.payloadType is not None
            values = [k if v is None else str(v) for k, v in entry.parameters.items()]
            yield OfferedEvent(entry.payloadType, entry.clockRate, event_mask(",".join(values)))


def event_mask(parameters: str) -> int:
    """Bit mask of an events list such as `0-15,66` (RFC 4733 7.1.1); events above 31 are left out.

    An empty or unreadable list means 0-15 (RFC 4733 2.4).
    """
    mask = 0
    for item in parameters.split(","):
        match = re.fullmatch(r" *([0-9]{1,3})(?:-([0-9]{1,3}))? *", item)
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            for event in range(first, min(last, 31) + 1):
                mask |= 1 << event
    return mask or DEFAULT_EVENTS


def _ice(media: MediaDescription) -> IceCredentials:
    ice = media.ice
    if ice is None or ice.usernameFragment is None or ice.password is None:
        raise bad("no a=ice-ufrag and a=ice-pwd for the audio section (RFC 8839 5.4)")
    return IceCredentials(ice.usernameFragment, ice.password, ice.iceLite)


def _setup(media: MediaDescription) -> str:
    if media.dtls is None:
        raise bad("no a=setup for the audio section (RFC 8842 5.2)")
    return media.dtls.role


def _fingerprints(media: MediaDescription) -> tuple[tuple[str, str], ...]:
    offered = media.dtls.fingerprints if media.dtls is not None else []
    known = tuple(
        (f.algorithm.lower(), f.value.upper())
        for f in offered
        if f.algorithm.lower() in FINGERPRINT_ALGORITHMS
    )
    if media.dtls is not None and not known:
        raise bad(f"no a=fingerprint with {', '.join(FINGERPRINT_ALGORITHMS)} (RFC 8122 5)")
    return known


def _data_section(index: int | None, media: MediaDescription) -> DataSection | None:
    if index is None or media.sctp_port is None or not 0 < media.sctp_port < 65536:
        return None
    size = media.sctpCapabilities.maxMessageSize if media.sctpCapabilities else 65536
    return DataSection(index, media.sctp_port, size)
