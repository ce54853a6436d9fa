"""Reading offers: real browsers' are understood, every fault is named, nothing crashes."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import BAD_SDP, NO_COMMON_CODEC, GatewayError
from gateway.legs.webrtc.answer import choose_audio
from gateway.legs.webrtc.candidates import parse_candidate
from gateway.legs.webrtc.offer import event_mask, read_offer
from gateway.media.values import Direction
from gateway.terms import Codec
from tests.webrtc.offers import BROWSERS, CHROMIUM, FIREFOX, SMALL, instead, without
from tests.webrtc.test_answer import answer_to


def test_chromium() -> None:
    offer = read_offer(CHROMIUM)
    assert [c.codec for c in offer.codecs] == [Codec.OPUS, Codec.G722, Codec.PCMU, Codec.PCMA]
    assert [(e.payload_type, e.clock_rate, e.mask) for e in offer.events] == [
        (110, 48000, 0xFFFF),
        (126, 8000, 0xFFFF),
    ]
    assert offer.bundle == ("0", "1")
    assert offer.data is not None
    assert (offer.data.index, offer.data.sctp_port) == (1, 5000)
    assert offer.setup == "auto"
    assert offer.direction is Direction.SENDRECV
    # Both sections' UDP candidates; TCP is of no use here.
    assert {c.protocol for c in offer.candidates} == {"udp"}
    assert len(offer.candidates) == 8


def test_firefox() -> None:
    offer = read_offer(FIREFOX)
    assert [c.codec for c in offer.codecs] == [Codec.OPUS, Codec.G722, Codec.PCMU, Codec.PCMA]
    assert [(e.payload_type, e.clock_rate, e.mask) for e in offer.events] == [(101, 8000, 0xFFFF)]
    assert len(offer.fingerprints) == 1  # from the session level


@pytest.mark.parametrize(
    ("offer", "fault"),
    [
        ("", "the first line is not v=0"),
        ("hello", "the first line is not v=0"),
        ('{"type": "offer"}', "the first line is not v=0"),
        (SMALL + "\nx", "line 16 is not of the form x=value"),
        (SMALL + "a=mid:\x00\n", "line 16 is not of the form x=value"),
        (SMALL + "a=mid:x\u2028a=y\n", "line 16 is not of the form x=value"),
        (SMALL + "a=note:" + "y" * 65536, "longer than 65536 bytes"),
        (SMALL + "a=note:" + "\u00e9" * 33000, "longer than 65536 bytes"),
        (SMALL + "m=video 9 RTP/AVP 96\n" * 16, "more than 16 media sections"),
        (SMALL + "a=candidate:1 1 udp 1 192.0.2.7 9 typ host\n" * 64, "more than 64 candidates"),
        (instead("m=", "m=audio 9"), "line 5: malformed m= line"),
        (instead("m=", "m=audio 99999 UDP/TLS/RTP/SAVPF 111"), "line 5: malformed m= line"),
        (instead("m=", "m=audio 9 RTP/AVP 111"), "no audio section with DTLS-SRTP"),
        (instead("m=", "m=audio 0 UDP/TLS/RTP/SAVPF 111"), "no audio section with DTLS-SRTP"),
        (instead("m=", "m=video 9 UDP/TLS/RTP/SAVPF 111"), "no audio section with DTLS-SRTP"),
        (instead("m=", "m=audio 9 UDP/TLS/RTP/SAVPF 300"), "line 5: 300 is not a usable payload"),
        (instead("m=", "m=audio 9 UDP/TLS/RTP/SAVPF 72"), "line 5: 72 is not a usable payload"),
        (instead("m=", "m=audio 9 UDP/TLS/RTP/SAVPF x"), "line 5: x is not a usable payload"),
        (without("a=ice-ufrag"), "no a=ice-ufrag and a=ice-pwd"),
        (without("a=ice-pwd"), "no a=ice-ufrag and a=ice-pwd"),
        (instead("a=ice-pwd", "a=ice-pwd:short"), "line 9: malformed a=ice-pwd"),
        (without("a=fingerprint"), "no a=fingerprint with sha-256"),
        (instead("a=fingerprint", "a=fingerprint:sha-256 xyz"), "line 10: malformed a=fingerprint"),
        (without("a=setup"), "no a=setup"),
        (instead("a=setup", "a=setup:holdconn"), "line 11: malformed a=setup"),
        (without("a=rtcp-mux"), "no a=rtcp-mux"),
        (instead("a=rtpmap:111", "a=rtpmap:111 opus"), "line 13: malformed a=rtpmap"),
        (instead("a=candidate", "a=candidate:1 1 udp"), "line 15: malformed candidate"),
        (SMALL + "m=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:a\n", "line 17: mid a is used twice"),
    ],
)
def test_faults_are_named(offer: str, fault: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read_offer(offer)
    assert caught.value.verdict.code == BAD_SDP.code
    assert caught.value.verdict.sip_status == 488
    assert fault in caught.value.verdict.text


def test_what_does_not_matter_is_left_out() -> None:
    odd = SMALL + "a=ssrc:nonsense\na=extmap:\na=fmtp:111 minptime=abc\na=rtcp-fb:1\na=msid\n"
    assert read_offer(odd) == read_offer(SMALL)


def test_static_payload_types_need_no_rtpmap() -> None:
    assert [c.codec for c in read_offer(SMALL).codecs] == [Codec.OPUS, Codec.PCMU]


def test_no_common_codec() -> None:
    offer = read_offer(instead("m=", "m=audio 9 UDP/TLS/RTP/SAVPF 97 110") + "a=rtpmap:97 L16/8000")
    with pytest.raises(GatewayError) as caught:
        choose_audio(offer, [Codec.OPUS], exact_dtmf=True)
    assert caught.value.verdict.code == NO_COMMON_CODEC.code
    assert caught.value.verdict.text == "Codecs offered: none we know; codecs allowed: opus"


def test_session_level_direction() -> None:
    offer = read_offer(SMALL.replace("t=0 0\n", "t=0 0\na=sendonly\n"))
    assert offer.direction is Direction.SENDONLY


@pytest.mark.parametrize(
    ("events", "mask"),
    [
        ("0-15", 0xFFFF),
        ("0-16", 0x1FFFF),
        ("0-11,16", 0x10FFF),
        ("0-15,66,70", 0xFFFF),
        ("", 0xFFFF),
        ("nonsense", 0xFFFF),
        ("1", 0b10),
    ],
)
def test_event_lists(events: str, mask: int) -> None:
    assert event_mask(events) == mask
    if events:
        (offered,) = read_offer(SMALL + f"a=fmtp:110 {events}\n").events
        assert offered.mask == mask


@pytest.mark.parametrize(
    "line",
    [
        "1 1 udp 2113937151 4f3b8f7e-1.local 40000 typ host",  # mDNS
        "1 1 udp 2113937151 example.com 40000 typ host",
        "1 1 tcp 1518214911 192.0.2.7 9 typ host tcptype active",
        "1 2 udp 2113937151 192.0.2.7 40000 typ host",  # RTCP's component
        "1 1 udp 2113937151 192.0.2.7 0 typ host",
        "1 1 udp 2113937151 224.0.0.1 40000 typ host",
        "1 1 udp 2113937151 0.0.0.0 40000 typ host",
        "1 1 udp 2113937151 255.255.255.255 40000 typ host",
        "1 1 udp 2113937151 192.0.2.7 40000 typ token",
    ],
)
def test_useless_candidates_are_left_out(line: str) -> None:
    assert parse_candidate(line) is None


@pytest.mark.parametrize(
    "line", ["", "1", "1 1 udp x 192.0.2.7 1 typ host", "1 1 udp 1 192.0.2.7 99999 typ host"]
)
def test_malformed_candidates(line: str) -> None:
    with pytest.raises(ValueError, match="malformed candidate"):
        parse_candidate(line)


# ---- nothing crashes ------------------------------------------------------------------------


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A real offer with some lines lost, doubled, moved or changed."""
    lines = draw(st.sampled_from([*BROWSERS.values(), SMALL])).splitlines()
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "cut", "insert", "replace"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "insert":
                where = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:where] + draw(st.text(max_size=5)) + lines[at][where:]
            case "replace":
                lines[at] = draw(st.sampled_from(_HOSTILE))
    return draw(st.sampled_from(["\r\n", "\n", "\r"])).join(lines)


_HOSTILE = [
    "a=rtpmap:111 opus/48000/0",
    "a=rtpmap:999 opus/48000/2",
    "a=rtpmap:0 telephone-event/8000",
    "a=fmtp:110 0-4294967295",
    "a=group:BUNDLE",
    "a=group:BUNDLE a a a",
    "a=group:BUNDLE 1 0",
    "a=mid:",
    "a=sctp-port:0",
    "a=sctp-port:99999",
    "a=max-message-size:0",
    "a=fingerprint:sha-1 " + ":".join(["00"] * 20),
    "a=candidate:1 1 udp 1 :: 1 typ host",
    "a=candidate:1 1 udp 1 ::ffff:192.0.2.1 1 typ host",
    "m=audio 9 UDP/TLS/RTP/SAVPF 0 0 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=audio 0 UDP/TLS/RTP/SAVPF 0",
    "a=bundle-only",
    "a=ice-lite",
    "a=setup:active",
    "c=",
    "=",
]


def _read_and_answer(text: str) -> None:
    try:
        offer = read_offer(text)
        choice = choose_audio(offer, list(Codec), exact_dtmf=True)
    except GatewayError as error:
        assert error.verdict.code in (BAD_SDP.code, NO_COMMON_CODEC.code)  # noqa: PT017
        return
    answer_to(offer, choice)


@given(mangled())
@settings(max_examples=400, deadline=None)
def test_mangled_offers_are_answered_or_refused(text: str) -> None:
    _read_and_answer(text)


@given(st.text(max_size=400))
@example("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0")
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_in_words(text: str) -> None:
    _read_and_answer(text)
    _read_and_answer("v=0\n" + text)
