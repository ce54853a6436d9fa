"""Our SDP shows a trunk's codecs and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.legs.sip.sdp import ENCODINGS, has_common_codec, parse, restrict
from gateway.terms import Codec

# What pjsua writes when every codec is enabled.
LOCAL = "\r\n".join(
    """v=0
o=- 1 1 IN IP4 127.0.0.1
s=pjmedia
b=AS:117
t=0 0
m=audio 20000 RTP/AVP 96 0 8 9 97 11 101 102 103 104
c=IN IP4 127.0.0.1
b=TIAS:96000
a=rtcp:20001 IN IP4 127.0.0.1
a=sendrecv
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:9 G722/8000
a=rtpmap:97 L16/16000
a=rtpmap:11 L16/44100
a=rtpmap:101 telephone-event/48000
a=fmtp:101 0-16
a=rtpmap:102 telephone-event/8000
a=fmtp:102 0-16
a=rtpmap:103 telephone-event/16000
a=fmtp:103 0-16
a=rtpmap:104 telephone-event/44100
a=fmtp:104 0-16
a=ssrc:1 cname:x
""".splitlines()
)
LOCAL += "\r\n"
CODECS = st.lists(st.sampled_from(list(Codec)), min_size=1, unique=True)
FORMATS = {
    "0": "", "8": "PCMA/8000", "9": "", "110": "opus/48000/2", "111": "L16/16000", "11": "",
    "120": "telephone-event/8000", "121": "telephone-event/48000", "122": "telephone-event/16000",
    "18": "G729/8000", "99": "speex/16000", "98": "opus/48000",
}  # fmt: skip


def offer(formats: list[str], port: str = "4000") -> str:
    """A remote offer with these payload types."""
    maps = [f"a=rtpmap:{number} {FORMATS[number]}" for number in formats if FORMATS[number]]
    return "\r\n".join(["v=0", f"m=audio {port} RTP/AVP {' '.join(formats)}", *maps, ""])


def names(sdp: str) -> list[str]:
    """Encodings of the audio description, in order."""
    section = parse(sdp)[1][0]
    known = section.encodings()
    assert set(known) == set(section.formats), "every format has a meaning"
    described = {line.split(":")[1].split()[0] for line in section.lines if "map:" in line}
    assert described <= set(section.formats), "no attribute is left of a format that is gone"
    return [f"{known[number].name}/{known[number].clock}".lower() for number in section.formats]


@given(CODECS)
def test_an_offer_lists_the_trunks_codecs_in_order_and_one_event_per_clock(
    codecs: list[Codec],
) -> None:
    listed = names(restrict(LOCAL, "", codecs))
    voices = [name for name in listed if not name.startswith("telephone-event")]
    wanted = [encoding for codec in codecs for encoding in ENCODINGS[codec]]
    assert voices == [f"{encoding.name}/{encoding.clock}".lower() for encoding in wanted]
    clocks = list(dict.fromkeys(encoding.clock for encoding in wanted))
    assert listed[len(voices) :] == [f"telephone-event/{clock}" for clock in clocks]


@given(CODECS, st.lists(st.sampled_from(list(FORMATS)), min_size=1, unique=True))
def test_an_answer_has_one_common_codec_and_at_most_its_event(
    codecs: list[Codec], formats: list[str]
) -> None:
    remote = offer(formats)
    listed = names(restrict(LOCAL, remote, codecs))
    if not has_common_codec(remote, codecs):
        assert all(not name.startswith("g729") for name in listed)
        return
    voice, *events = listed
    theirs = names(remote)
    assert voice in theirs
    clock = voice.rpartition("/")[2]
    assert events == [event for event in theirs if event == f"telephone-event/{clock}"]


@pytest.mark.parametrize(
    ("codecs", "formats", "answer"),
    [
        ([Codec.PCMA, Codec.PCMU], ["0", "8", "120"], ["pcma/8000", "telephone-event/8000"]),
        ([Codec.OPUS], ["0", "110", "120", "121"], ["opus/48000", "telephone-event/48000"]),
        ([Codec.OPUS, Codec.PCMU], ["110", "0", "120"], ["pcmu/8000", "telephone-event/8000"]),
        ([Codec.OPUS], ["110", "120"], ["opus/48000"]),
        ([Codec.OPUS, Codec.PCMU], ["98", "0"], ["pcmu/8000"]),  # RFC 7587: never opus/48000
        ([Codec.L16], ["111", "122"], ["l16/16000", "telephone-event/16000"]),
    ],
)  # fmt: skip
def test_the_codec_of_an_answer(codecs: list[Codec], formats: list[str], answer: list[str]) -> None:
    assert names(restrict(LOCAL, offer(formats), codecs)) == answer


def test_other_media_is_refused_and_all_else_is_kept() -> None:
    video = LOCAL + "m=video 20002 RTP/AVP 100\r\na=rtpmap:100 H264/90000\r\n"
    lines = restrict(video, "", [Codec.PCMU]).split("\r\n")
    assert "m=audio 20000 RTP/AVP 0 102" in lines
    assert "m=video 0 RTP/AVP 100" in lines
    dropped = set(video.split("\r\n")) - set(lines)
    assert all(line.startswith(("m=", "a=rtpmap:", "a=fmtp:")) for line in dropped)
    for kept in ("b=AS:117", "a=rtcp:20001 IN IP4 127.0.0.1", "a=sendrecv", "a=ssrc:1 cname:x"):
        assert kept in lines


def test_a_refused_audio_description_stays_refused() -> None:
    assert "m=audio 0 RTP/AVP 0" in restrict("v=0\r\nm=audio 0 RTP/AVP 0\r\n", "", [Codec.OPUS])


@given(st.text(), st.text())
def test_nothing_that_a_peer_sends_makes_it_fail(local: str, remote: str) -> None:
    restrict(LOCAL, remote, list(Codec))
    restrict(local, remote, [Codec.PCMU])
    has_common_codec(remote, [Codec.PCMU])
