"""The lines of an SDP offer: each is checked here, and only those that matter are kept.

Faults are named with their line. Browsers' video, header extensions, feedback and source lines
are left out, so that nothing there can spoil a call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aiortc import RTCIceCandidate

from gateway.errors import BAD_SDP, GatewayError
from gateway.legs.webrtc.candidates import MAX_CANDIDATES, parse_candidate

MAX_SDP_BYTES = 65536
MAX_SECTIONS = 16

_TOKEN = r"[!#$%&'*+\-.0-9A-Za-z^_`{|}~]{1,64}"


def _line(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_FLAG = _line("")
_ATTRIBUTES: dict[str, re.Pattern[str]] = {
    "group": _line(rf"{_TOKEN}( {_TOKEN})*\s*"),  # RFC 5888 5
    "mid": _line(rf"{_TOKEN}"),  # RFC 5888 4
    "ice-ufrag": _line(r"[A-Za-z0-9+/]{4,256}"),  # RFC 8839 5.4
    "ice-pwd": _line(r"[A-Za-z0-9+/]{22,256}"),
    "ice-lite": _FLAG,
    "fingerprint": _line(r"[A-Za-z0-9-]{1,32} [0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,127}"),
    "setup": _line(r"(actpass|active|passive)"),  # RFC 8842 5.2
    "candidate": _line(r".+"),
    "rtpmap": _line(r"\d{1,3} [A-Za-z0-9_.-]{1,32}/\d{1,6}(/\d{1,2})?"),
    "fmtp": _line(r"\d{1,3} .+"),
    "sendrecv": _FLAG,
    "sendonly": _FLAG,
    "recvonly": _FLAG,
    "inactive": _FLAG,
    "rtcp-mux": _FLAG,
    "bundle-only": _FLAG,
    "sctp-port": _line(r"\d{1,5}"),  # RFC 8841 5.1
    "max-message-size": _line(r"\d{1,10}"),  # RFC 8841 6
}
_M_LINE = _line(r"m=([A-Za-z0-9-]{1,32}) (\d{1,5})(?:/\d{1,3})? ([A-Za-z0-9/]{1,64}) (\S.*)")


@dataclass(frozen=True, slots=True)
class Section:
    """One m= section, as much as is needed to accept or reject it in its place."""

    kind: str
    profile: str
    formats: str
    mid: str | None


@dataclass(slots=True)
class RawSection:
    """A section and the attribute lines of it that matter."""

    line: int
    section: Section
    port: int
    lines: list[str]  # kept attribute lines
    events: set[str] = field(default_factory=set)  # payload types of telephone-event
    mapped: set[str] = field(default_factory=set)  # payload types with an rtpmap
    bundle_only: bool = False
    rtcp_mux: bool = False
    candidates: list[RTCIceCandidate] = field(default_factory=list)


@dataclass(slots=True)
class RawOffer:
    """The lines of an offer that matter."""

    session: list[str]
    sections: list[RawSection]
    bundle: list[tuple[str, ...]]


def bad(detail: str) -> GatewayError:
    """GatewayError(BAD_SDP) that says what is wrong."""
    return GatewayError(BAD_SDP, f"Session description: {detail}")


def split(text: str) -> RawOffer:
    """Checks every line and keeps the ones that matter. Raises GatewayError(BAD_SDP)."""
    if len(text) > MAX_SDP_BYTES or len(text.encode(errors="replace")) > MAX_SDP_BYTES:
        raise bad(f"longer than {MAX_SDP_BYTES} bytes")
    lines = re.split(r"\r\n|\n|\r", text)
    while lines and not lines[-1]:
        lines.pop()
    if not lines or lines[0] != "v=0":
        raise bad("the first line is not v=0 (RFC 8866 5.1)")
    raw = RawOffer([], [], [])
    candidates = 0
    for number, line in enumerate(lines, start=1):
        # isprintable: odd separators would split a line again further on.
        if not re.match(r"[a-z]=", line) or not line.isprintable():
            raise bad(f"line {number} is not of the form x=value")
        if line.startswith("m="):
            if len(raw.sections) == MAX_SECTIONS:
                raise bad(f"more than {MAX_SECTIONS} media sections")
            raw.sections.append(_open_section(number, line))
        elif line.startswith("a="):
            _attribute(raw, number, line)
            candidates += line.startswith("a=candidate:")
            if candidates > MAX_CANDIDATES:
                raise bad(f"more than {MAX_CANDIDATES} candidates")
    return raw


def _open_section(number: int, line: str) -> RawSection:
    match = _M_LINE.fullmatch(line)
    if match is None or int(match[2]) > 65535:
        raise bad(f"line {number}: malformed m= line")
    return RawSection(number, Section(match[1], match[3], match[4], None), int(match[2]), [])


def _attribute(raw: RawOffer, number: int, line: str) -> None:
    name, _, value = line[2:].partition(":")
    pattern = _ATTRIBUTES.get(name)
    if pattern is None:
        return
    if not pattern.fullmatch(value):
        raise bad(f"line {number}: malformed a={name}")
    if not raw.sections:
        if name == "group":
            semantics, *mids = value.split()
            if semantics == "BUNDLE":
                raw.bundle.append(tuple(mids))
        else:
            raw.session.append(line)
        return
    _section_attribute(raw, number, name, value, line)


def _section_attribute(raw: RawOffer, number: int, name: str, value: str, line: str) -> None:
    current = raw.sections[-1]
    if name == "candidate":
        try:
            candidate = parse_candidate(value)
        except ValueError as error:
            raise bad(f"line {number}: {error}") from error
        if candidate is not None:
            current.candidates.append(candidate)
        return
    if name == "mid":
        if any(s.section.mid == value for s in raw.sections):
            raise bad(f"line {number}: mid {value} is used twice")
        s = current.section
        current.section = Section(s.kind, s.profile, s.formats, value)
    elif name == "rtpmap":
        payload_type, encoding = value.split(" ", 1)
        current.mapped.add(payload_type)
        if encoding.lower().startswith("telephone-event/"):
            current.events.add(payload_type)
    current.bundle_only |= name == "bundle-only"
    current.rtcp_mux |= name == "rtcp-mux"
    current.lines.append(line)
