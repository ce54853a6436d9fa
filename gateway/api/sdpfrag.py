"""Trickle ICE fragments of HTTP PATCH bodies: application/trickle-ice-sdpfrag (RFC 8840 9)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import BAD_REQUEST, GatewayError

CONTENT_TYPE = "application/trickle-ice-sdpfrag"
_LINE = re.compile(r"^([a-z])=([^\x00-\x1f\x7f]*)$")
_UFRAG = re.compile(r"^a=ice-ufrag:([A-Za-z0-9+/]{4,256})\s*$", re.MULTILINE)  # RFC 8839 5.4


@dataclass(frozen=True, slots=True)
class TrickledCandidate:
    """One candidate (`candidate:...`) and the media section that it belongs to."""

    candidate: str
    mid: str | None


@dataclass(frozen=True, slots=True)
class SdpFragment:
    """What a fragment says. `ufrag` empty: not given. `end`: there will be no more."""

    ufrag: str
    candidates: tuple[TrickledCandidate, ...]
    end: bool


def ice_ufrag(sdp: str) -> str:
    """The first ICE user fragment of a session description; empty if there is none."""
    found = _UFRAG.search(sdp)
    return found.group(1) if found else ""


def parse_fragment(text: str) -> SdpFragment:
    """Reads a fragment; unknown attributes are ignored (RFC 8840 9.2).

    Raises GatewayError(BAD_REQUEST) for a line that is no SDP line, and for a fragment with neither
    candidates nor end-of-candidates nor credentials.
    """
    ufrag = ""
    end = False
    candidates: list[tuple[str, int]] = []
    mids: list[str | None] = []  # per media section; a=mid may follow its candidates
    section = -1
    for number, line in enumerate(text.splitlines(), start=1):
        if not line:
            continue
        match = _LINE.match(line)
        if match is None:
            raise GatewayError(BAD_REQUEST, f"Line {number} is not an SDP line")
        kind, value = match.groups()
        if kind == "m":
            mids.append(None)
            section += 1
            continue
        if kind != "a":
            continue
        name, _, content = value.partition(":")
        if name == "mid" and section >= 0:
            mids[section] = content
        elif name == "ice-ufrag" and not ufrag:
            ufrag = content
        elif name == "candidate":
            candidates.append((value, section))
        elif name == "end-of-candidates":
            end = True
    if not (candidates or end or ufrag):
        raise GatewayError(BAD_REQUEST, "The fragment has no candidate")
    found = tuple(
        TrickledCandidate(candidate, mids[at] if at >= 0 else None) for candidate, at in candidates
    )
    return SdpFragment(ufrag, found, end)
