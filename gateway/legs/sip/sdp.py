"""Which codecs stand in our SDP: a trunk's, in its order, and telephone-event at their clock rates.

pjsua's codec list is global; this is how it becomes one per trunk. Text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.terms import Codec

EVENT: Final = "telephone-event"
OUR_EVENTS: Final = "0-16"  # RFC 4733 2.4: DTMF digits and flash


@dataclass(frozen=True, slots=True)
class Encoding:
    """An RTP payload format: encoding name in upper case, RTP clock rate in Hz, channels."""

    name: str
    clock: int
    channels: int = 1


ENCODINGS: Final = {  # most wanted first
    Codec.OPUS: (Encoding("OPUS", 48000, 2),),  # RFC 7587 7: always opus/48000/2
    Codec.PCMU: (Encoding("PCMU", 8000),),
    Codec.PCMA: (Encoding("PCMA", 8000),),
    Codec.G722: (Encoding("G722", 8000),),  # RFC 3551 4.5.2: 8000, but it samples at 16000
    Codec.L16: (Encoding("L16", 16000), Encoding("L16", 44100)),
}
_STATIC: Final = {  # RFC 3551 6
    "0": Encoding("PCMU", 8000),
    "8": Encoding("PCMA", 8000),
    "9": Encoding("G722", 8000),
    "10": Encoding("L16", 44100, 2),
    "11": Encoding("L16", 44100),
}
_RTPMAP: Final = re.compile(r"a=rtpmap:(\d+)\s+([^/\s]+)/(\d+)(?:/(\d+))?", re.I)
_PAYLOAD_ATTRIBUTE: Final = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)\s", re.I)
_MEDIA: Final = re.compile(r"m=(\S+) (\d+)(\S*) (\S+)(.*)")


@dataclass(slots=True)
class Section:
    """One media description: its `m=` line taken apart, and the lines below it."""

    kind: str
    port: str
    ports: str  # "/2" of RFC 4566 5.14, as a rule empty
    protocol: str
    formats: list[str]
    lines: list[str] = field(default_factory=list)

    def encodings(self) -> dict[str, Encoding]:
        """Payload type -> format, of the formats in the `m=` line."""
        known = {pt: _STATIC[pt] for pt in self.formats if pt in _STATIC}
        for line in self.lines:
            match = _RTPMAP.match(line)
            if match and match[1] in self.formats:
                known[match[1]] = Encoding(match[2].upper(), int(match[3]), int(match[4] or 1))
        return known

    def keep(self, formats: Sequence[str]) -> None:
        """Leave only these payload types, in this order."""
        kept = set(formats)
        self.formats = list(formats)
        self.lines = [
            line
            for line in self.lines
            if (match := _PAYLOAD_ATTRIBUTE.match(line)) is None or match[1] in kept
        ]

    def text(self) -> list[str]:
        """The description's lines."""
        words = [f"m={self.kind}", self.port + self.ports, self.protocol, *self.formats]
        return [" ".join(words), *self.lines]


def parse(sdp: str) -> tuple[list[str], list[Section]]:
    """Session lines and media descriptions. Lines that are no SDP stay where they are."""
    session: list[str] = []
    sections: list[Section] = []
    for line in sdp.splitlines():
        if not line:
            continue
        match = _MEDIA.fullmatch(line)
        if match:
            kind, port, ports, protocol, rest = match.groups()
            sections.append(Section(kind, port, ports, protocol, rest.split()))
        elif sections:
            sections[-1].lines.append(line)
        else:
            session.append(line)
    return session, sections


def restrict(local: str, remote: str, codecs: Sequence[Codec]) -> str:
    """`local` (what pjsua would send) with only `codecs`, in their order, and telephone-event.

    An offer (`remote` empty) keeps every one of `codecs` and one telephone-event for each of
    their clock rates. An answer keeps the one codec that will be used, the first of `codecs` that
    was offered together with a telephone-event of its clock rate (RFC 7874 3), else the first
    offered, and that telephone-event. Where nothing is in common the answer keeps `codecs`, and
    the negotiation above fails with 488. Media other than audio is refused (port 0).
    """
    session, sections = parse(local)
    _, theirs = parse(remote)
    for index, section in enumerate(sections):
        if section.kind != "audio":
            section.port = "0"
            continue
        if section.port == "0":
            continue
        offered = theirs[index].encodings().values() if index < len(theirs) else None
        section.keep(_choose(section.encodings(), codecs, offered))
    lines = session + [line for section in sections for line in section.text()]
    return "\r\n".join(lines) + "\r\n"


def has_common_codec(offer: str, codecs: Sequence[Codec]) -> bool:
    """Whether an audio description of `offer` lists one of `codecs`."""
    _, sections = parse(offer)
    wanted = {encoding for codec in codecs for encoding in ENCODINGS[codec]}
    return any(
        section.kind == "audio" and wanted.intersection(section.encodings().values())
        for section in sections
    )


def _choose(
    ours: dict[str, Encoding], codecs: Sequence[Codec], offered: Iterable[Encoding] | None
) -> list[str]:
    """Payload types of `ours` to keep."""
    number = {encoding: pt for pt, encoding in reversed(ours.items())}
    listed = [encoding for codec in codecs for encoding in ENCODINGS[codec]]
    wanted = [encoding for encoding in listed if encoding in number]
    if offered is not None:
        peer = set(offered)
        common = [encoding for encoding in wanted if encoding in peer]
        exact = [encoding for encoding in common if _event(encoding) in peer]
        if common:
            wanted = (exact or common)[:1]
        number = {encoding: pt for encoding, pt in number.items() if encoding in peer or not common}
    events = dict.fromkeys(_event(encoding) for encoding in wanted)
    return [number[encoding] for encoding in (*wanted, *events) if encoding in number]


def _event(encoding: Encoding) -> Encoding:
    """telephone-event at the clock rate of a codec (RFC 4733 2.1)."""
    return Encoding(EVENT.upper(), encoding.clock)
