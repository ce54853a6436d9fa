"""Sound of the probe peer: a tone, and the codecs that it sends and hears, 20 ms at a time."""

from __future__ import annotations

import array
import functools
import math
from typing import Protocol

import av
from av.audio.codeccontext import AudioCodecContext

from gateway.terms import Codec

FRAME_MS = 20
_PEAK = 8000  # of 32767: -12 dBFS
_BIAS = 132  # ITU-T G.711, mu-law on a 14-bit scale times four
_CLIP = 32635


class AudioCodec(Protocol):
    """16-bit little-endian mono PCM at `rate` Hz to payloads and back."""

    rate: int

    def encode(self, pcm: bytes) -> bytes:
        """The payload of one 20 ms frame."""
        ...

    def decode(self, payload: bytes) -> bytes:
        """The samples of one payload."""
        ...


@functools.lru_cache(maxsize=16)
def tone_second(frequency: int, rate: int) -> bytes:
    """One second of a sine of `frequency` Hz at `rate` Hz, which can be repeated seamlessly."""
    step = 2 * math.pi * frequency / rate
    return array.array("h", (round(_PEAK * math.sin(step * n)) for n in range(rate))).tobytes()


class Tone:
    """An endless tone, frame by frame; frequency 0 is silence."""

    def __init__(self, frequency: int, rate: int) -> None:
        self._second = tone_second(frequency, rate)
        self._frame = rate * FRAME_MS // 1000 * 2  # bytes; a second holds 50 of them
        self._at = 0

    def next_frame(self) -> bytes:
        """The next 20 ms."""
        frame = self._second[self._at : self._at + self._frame]
        self._at = (self._at + self._frame) % len(self._second)
        return frame


def _ulaw(sample: int) -> int:
    """G.711 mu-law code of one 16-bit sample."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


def _ulaw_sample(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS << (code >> 4 & 7)) - _BIAS
    return -magnitude if code & 0x80 else magnitude


def _alaw(sample: int) -> int:
    """G.711 A-law code of one 16-bit sample."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else ~sample, 32767) >> 4
    exponent = max(magnitude.bit_length() - 4, 0)
    shift = exponent - 1 if exponent else 0
    return (sign | exponent << 4 | (magnitude >> shift) & 0x0F) ^ 0x55


def _alaw_sample(code: int) -> int:
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 0x0F
    magnitude = (mantissa << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if code & 0x80 else -magnitude


_LAWS = {Codec.PCMU: (_ulaw, _ulaw_sample), Codec.PCMA: (_alaw, _alaw_sample)}


class G711:
    """PCMU or PCMA by table (ITU-T G.711)."""

    rate = 8000

    def __init__(self, codec: Codec) -> None:
        encode, decode = _LAWS[codec]
        self._encode = functools.lru_cache(maxsize=65536)(encode)
        self._samples = [decode(code) for code in range(256)]

    def encode(self, pcm: bytes) -> bytes:
        """One byte per sample."""
        return bytes(map(self._encode, array.array("h", pcm)))

    def decode(self, payload: bytes) -> bytes:
        """One sample per byte."""
        return array.array("h", [self._samples[code] for code in payload]).tobytes()


class Opus:
    """Opus mono at 48 kHz through PyAV's libopus."""

    rate = 48000

    def __init__(self) -> None:
        self._encoder = _opus_context("w")
        self._encoder.bit_rate = 32000
        self._encoder.options = {"application": "voip"}
        self._decoder = _opus_context("r")
        self._pts = 0

    def encode(self, pcm: bytes) -> bytes:
        """One packet per frame."""
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = self.rate
        frame.pts = self._pts
        self._pts += len(pcm) // 2
        frame.planes[0].update(pcm)
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))

    def decode(self, payload: bytes) -> bytes:
        """Any number of samples; empty for a packet that cannot be decoded."""
        try:
            frames = self._decoder.decode(av.Packet(payload))
        except av.FFmpegError:
            return b""
        return b"".join(bytes(f.planes[0])[: f.samples * 2] for f in frames)


def _opus_context(mode: str) -> AudioCodecContext:
    context = av.CodecContext.create("libopus", "w" if mode == "w" else "r")
    assert isinstance(context, AudioCodecContext)
    context.format = "s16"
    context.layout = "mono"
    context.sample_rate = Opus.rate
    return context


def open_codec(codec: Codec) -> AudioCodec:
    """Raises ValueError for a codec that the probe does not speak."""
    if codec is Codec.OPUS:
        return Opus()
    if codec in _LAWS:
        return G711(codec)
    raise ValueError(f"the probe peer does not speak {codec}")
