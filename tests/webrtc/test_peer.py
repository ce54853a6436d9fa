"""The probe peer's own parts: what it says must be right before it can judge others."""

from __future__ import annotations

import array
import math
import random

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.legs.webrtc.peer_audio import G711, Tone, open_codec, tone_second
from gateway.legs.webrtc.peer_events import EventReceiver, EventSender
from gateway.ports import DTMF_DIGITS
from gateway.terms import Codec

_REFERENCE = {Codec.PCMU: "pcm_mulaw", Codec.PCMA: "pcm_alaw"}


@pytest.mark.parametrize("codec", list(_REFERENCE))
def test_g711_is_as_ffmpeg_has_it(codec: Codec) -> None:
    decoder = av.CodecContext.create(_REFERENCE[codec], "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"  # type: ignore[attr-defined]
    (frame,) = decoder.decode(av.Packet(bytes(range(256))))  # type: ignore[attr-defined]
    expected = array.array("h", bytes(frame.planes[0])[:512])
    ours = G711(codec)
    assert array.array("h", ours.decode(bytes(range(256)))) == expected
    # Each code is the nearest to its own sample; mu-law's two zeros are one sample.
    again = ours.encode(ours.decode(bytes(range(256))))
    assert ours.decode(again) == ours.decode(bytes(range(256)))


@pytest.mark.parametrize("codec", [Codec.OPUS, Codec.PCMU, Codec.PCMA])
def test_a_tone_survives_its_codec(codec: Codec) -> None:
    audio = open_codec(codec)
    tone = Tone(440, audio.rate)
    pcm = b"".join(audio.decode(audio.encode(tone.next_frame())) for _ in range(50))
    samples = array.array("h", pcm)[audio.rate // 2 :]
    power = sum(s * s for s in samples) / len(samples)
    step = 2 * math.pi * 440 / audio.rate
    real = sum(s * math.cos(step * n) for n, s in enumerate(samples)) * 2 / len(samples)
    imaginary = sum(s * math.sin(step * n) for n, s in enumerate(samples)) * 2 / len(samples)
    assert math.hypot(real, imaginary) == pytest.approx(8000, rel=0.1)
    assert (real**2 + imaginary**2) / 2 / power > 0.98  # all of it is the tone


def test_a_second_of_a_tone_can_be_repeated() -> None:
    samples = array.array("h", tone_second(1000, 8000))
    assert len(samples) == 8000
    assert samples[0] == 0
    assert samples[-1] == pytest.approx(-samples[1], abs=1)


def test_what_it_does_not_speak() -> None:
    with pytest.raises(ValueError, match="g722"):
        open_codec(Codec.G722)


def _packets(sender: EventSender) -> list[tuple[int, bool, bool, int]]:
    """(offset, marker, end, duration) of a whole event."""
    sent = []
    while not sender.done:
        sent += [
            (p.offset, p.marker, bool(p.payload[1] & 0x80), int.from_bytes(p.payload[2:], "big"))
            for p in sender.tick()
        ]
    return sent


def test_events_have_chromiums_shape() -> None:
    # As measured: 100 ms at 48 kHz.
    assert _packets(EventSender("1", 100, 48000)) == [
        (0, True, False, 960),
        (0, False, False, 1920),
        (0, False, False, 2880),
        (0, False, False, 3840),
        (0, False, True, 4800),
        (0, False, True, 4800),
        (0, False, True, 4800),
    ]


def test_long_events_are_segmented_as_chromium_does() -> None:
    sent = _packets(EventSender("1", 6000, 48000))
    offsets = sorted({offset for offset, *_ in sent})
    assert offsets == [0, 66240, 132480, 198720, 264960]
    for offset in offsets[:-1]:
        segment = [x for x in sent if x[0] == offset]
        assert segment[-1][2:] == (False, 0xFFFF)
        assert not any(end for _, _, end, _ in segment)
    assert [marker for _, marker, _, _ in sent].count(True) == 1


@given(
    st.text(DTMF_DIGITS, min_size=1, max_size=6),
    st.sampled_from([40, 70, 100, 500, 2000, 6000]),
    st.sampled_from([8000, 48000]),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_every_digit_is_heard_through_loss(
    digits: str, duration_ms: int, rate: int, luck: random.Random
) -> None:
    receiver = EventReceiver(rate)
    start = 0xFFFF0000  # the timestamp wraps
    for digit in digits:
        sender = EventSender(digit, duration_ms, rate)
        packets = []
        while not sender.done:
            packets += sender.tick()
        # One final packet always arrives, and of a long event some of each segment's end.
        kept = {len(packets) - 1} | {
            n for n in range(len(packets) - 1) if packets[n].payload[2:] == b"\xff\xff"
        }
        for number, packet in enumerate(packets):
            if number in kept or luck.random() < 0.5:
                timestamp = (start + packet.offset) % 2**32
                receiver.packet(timestamp, packet.payload, 0.0)
        start += (duration_ms + 40) * rate // 1000
    assert [(d.digit, d.duration_ms) for d in receiver.digits] == [
        (digit, duration_ms) for digit in digits
    ]
