"""Offers of real browsers, as Chromium and Firefox made them."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parent / "data"

CHROMIUM = (_DATA / "chromium_offer.sdp").read_bytes().decode()
FIREFOX = (_DATA / "firefox_offer.sdp").read_bytes().decode()
BROWSERS = {"chromium": CHROMIUM, "firefox": FIREFOX}

FINGERPRINT = ":".join(["AB"] * 32)

SMALL = f"""v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 110
c=IN IP4 0.0.0.0
a=mid:a
a=ice-ufrag:abcd
a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:110 telephone-event/48000
a=candidate:1 1 udp 2122260223 192.0.2.7 40000 typ host generation 0
"""


def without(line: str) -> str:
    """SMALL without the lines that begin so."""
    return "".join(x for x in SMALL.splitlines(keepends=True) if not x.startswith(line))


def instead(line: str, other: str) -> str:
    """SMALL with `other` in the place of the line that begins so."""
    lines = [other if x.startswith(line) else x for x in SMALL.splitlines()]
    return "\n".join(lines) + "\n"
