"""The answer: one codec and one telephone-event of the same clock, and what browsers need of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from aiortc import RTCCertificate
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.sdp import MediaDescription, SessionDescription

from gateway.config.model import WebRtcConfig
from gateway.legs.webrtc.answer import AudioChoice, LocalSide, choose_audio, write_answer
from gateway.legs.webrtc.offer import Offer, read_offer
from gateway.media.values import Direction
from gateway.terms import Codec
from tests.webrtc.offers import CHROMIUM, FIREFOX, SMALL

DEFAULT = WebRtcConfig().codecs
_FINGERPRINTS = tuple(RTCCertificate.generateCertificate().getFingerprints()[:1])


def answer_to(
    offer: Offer,
    choice: AudioChoice,
    direction: Direction = Direction.SENDRECV,
    playback_rate: int = 48000,
) -> SessionDescription:
    """The parsed answer; a browser's parser is at least as strict."""
    local = LocalSide(
        ice=RTCIceParameters("abcd", "x" * 22),
        fingerprints=_FINGERPRINTS,
        role="client",
        candidates=(),
        ssrc=7,
        cname="cname",
        session_id=1,
    )
    text = write_answer(
        offer, choice, local, direction=direction, playback_rate=playback_rate, version=1
    )
    answer = SessionDescription.parse(text)
    assert len(answer.media) == len(offer.sections)
    return answer


def _audio(
    text: str, codecs: Sequence[Codec] = DEFAULT, exact: bool = True, playback_rate: int = 48000
) -> MediaDescription:
    offer = read_offer(text)
    choice = choose_audio(offer, codecs, exact_dtmf=exact)
    return answer_to(offer, choice, playback_rate=playback_rate).media[offer.audio]


def _formats(media: MediaDescription) -> list[str]:
    return [f"{c.name}/{c.clockRate}" for c in media.rtp.codecs]


@pytest.mark.parametrize(
    ("offer", "codecs", "exact", "formats"),
    [
        (CHROMIUM, DEFAULT, True, ["opus/48000", "telephone-event/48000"]),
        (CHROMIUM, [Codec.PCMA, Codec.OPUS], True, ["PCMA/8000", "telephone-event/8000"]),
        (CHROMIUM, [Codec.G722], True, ["G722/8000", "telephone-event/8000"]),
        (FIREFOX, DEFAULT, True, ["PCMU/8000", "telephone-event/8000"]),
        (FIREFOX, DEFAULT, False, ["opus/48000", "telephone-event/8000"]),
        (FIREFOX, [Codec.OPUS], True, ["opus/48000", "telephone-event/8000"]),
        (SMALL, [Codec.PCMU, Codec.OPUS], True, ["opus/48000", "telephone-event/48000"]),
        (SMALL, [Codec.PCMU], True, ["PCMU/8000", "telephone-event/48000"]),
    ],
)
def test_one_codec_and_one_telephone_event(
    offer: str, codecs: list[Codec], exact: bool, formats: list[str]
) -> None:
    assert _formats(_audio(offer, codecs, exact)) == formats


def test_no_telephone_event_offered() -> None:
    plain = SMALL.replace("a=rtpmap:110 telephone-event/48000\n", "")
    assert _formats(_audio(plain)) == ["opus/48000"]


def test_payload_types_repeat_the_offer() -> None:
    media = _audio(FIREFOX, [Codec.OPUS])
    assert media.fmt == [109, 101]


def test_parameters() -> None:
    opus, event = _audio(CHROMIUM).rtp.codecs
    assert opus.parameters == {"minptime": 10, "useinbandfec": 1}
    assert event.parameters == {"0-16": None}
    opus, _ = _audio(CHROMIUM, playback_rate=8000).rtp.codecs
    assert opus.parameters == {
        "minptime": 10,
        "useinbandfec": 1,
        "maxplaybackrate": 8000,
        "sprop-maxcapturerate": "8000",
        "stereo": 0,
    }


def test_the_data_channel_shares_the_transport_and_the_rest_is_rejected() -> None:
    video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n"
    text = CHROMIUM.replace("m=application", video + "m=application").replace(
        "BUNDLE 0 1", "BUNDLE 0 v 1"
    )
    offer = read_offer(text)
    answer = answer_to(offer, choose_audio(offer, DEFAULT, exact_dtmf=True))
    audio, rejected, data = answer.media
    assert [(m.kind, m.port, m.rtp.muxId) for m in answer.media] == [
        ("audio", 9, "0"),
        ("video", 0, "v"),
        ("application", 9, "1"),
    ]
    assert answer.group[0].items == ["0", "1"]
    assert data.sctp_port == 5000
    assert data.ice == audio.ice
    assert rejected.rtp.codecs == []
    assert audio.rtcp_mux
    assert audio.ice_candidates_complete
    assert audio.rtp.headerExtensions == []


def test_the_data_channel_needs_bundle() -> None:
    offer = read_offer(CHROMIUM.replace("a=group:BUNDLE 0 1\r\n", ""))
    assert offer.data is None
    answer = answer_to(offer, choose_audio(offer, DEFAULT, exact_dtmf=True))
    assert [m.port for m in answer.media] == [9, 0]
    assert answer.group == []


def test_an_audio_section_that_is_only_bundled() -> None:
    text = re.sub(r"m=audio \d+", "m=audio 0", CHROMIUM).replace(
        "a=mid:0", "a=mid:0\r\na=bundle-only"
    )
    assert read_offer(text).audio == 0
