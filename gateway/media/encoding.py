"""Owns the forms of a recording: the raw WAV of the media plane, and what is made of it."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from gateway.terms import RecordingFormat

HEADER = 44  # bytes of a WAV header with one format and one data chunk
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")
_SAMPLE = 2  # bytes
_UNKNOWN = 0xFFFFFFFF  # as a size: until the end of the file
_EMPTY = 50  # 1/50 s of silence where nothing was recorded: no format holds nothing at all


@dataclass(frozen=True, slots=True)
class _Encoder:
    """A PyAV muxer and codec. bit_rate is per channel, bits per second; 0: lossless.

    Speech is transparent to most at 24 kbit/s of Opus and 32 kbit/s of MP3. There is room above
    that because the two sides of a call have nothing in common that stereo coding could save.
    """

    muxer: str
    codec: str
    bit_rate: int
    options: dict[str, str]


_ENCODERS = {
    RecordingFormat.OGG: _Encoder("ogg", "libopus", 32_000, {"application": "audio"}),
    RecordingFormat.MP3: _Encoder("mp3", "libmp3lame", 32_000, {"joint_stereo": "0"}),
    RecordingFormat.FLAC: _Encoder("flac", "flac", 0, {}),
}


class BrokenRecordingError(ValueError):
    """A raw file is not what the media plane writes."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What a raw file holds; whole frames (one sample of each channel) only."""

    rate: int  # Hz
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.frames / self.rate


def read_raw(file: BinaryIO) -> Raw:
    """What the raw `file` holds by its length, whatever its header says: a crash leaves the header
    without sizes, and may cut the last frame. Leaves the position at the first frame.

    Raises BrokenRecordingError.
    """
    file.seek(0)
    header = file.read(HEADER)
    if len(header) < HEADER:
        raise BrokenRecordingError(f"{len(header)} bytes are no header")
    riff, _, wave, fmt, _, kind, channels, rate, _, align, bits, data, _ = _WAV.unpack(header)
    if (riff, wave, fmt, data) != (b"RIFF", b"WAVE", b"fmt ", b"data"):
        raise BrokenRecordingError("no header of a recording")
    if (kind, bits) != (1, 16) or channels not in (1, 2) or align != channels * _SAMPLE:
        raise BrokenRecordingError("not 16-bit PCM of one or two channels")
    if not 8_000 <= rate <= 48_000:
        raise BrokenRecordingError(f"{rate} Hz is no rate of the bridge")
    size = os.fstat(file.fileno()).st_size - HEADER
    return Raw(rate, channels, size // align)


def complete_wav(file: BinaryIO, raw: Raw) -> None:
    """Makes a raw file a proper WAV file, in place. Above 4 GiB its sizes stay unknown, and readers
    go on to its end."""
    size = raw.frames * raw.channels * _SAMPLE
    whole = min(size + HEADER - 8, _UNKNOWN)
    file.truncate(HEADER + size)
    for offset, value in ((4, whole), (HEADER - 4, min(size, _UNKNOWN))):
        file.seek(offset)
        file.write(struct.pack("<I", value))


def encode(source: BinaryIO, raw: Raw, target: BinaryIO, wanted: RecordingFormat) -> None:
    """Encodes a raw file, of which `raw` was just read, into `target`. A second of stereo costs a
    core 1 ms (FLAC) to 20 ms (MP3), most of it outside the interpreter's lock.

    Raises av.error.FFmpegError, OSError.
    """
    how = _ENCODERS[wanted]
    layout = "stereo" if raw.channels == 2 else "mono"
    with av.open(target, mode="w", format=how.muxer) as container:
        stream = container.add_stream(
            how.codec, rate=raw.rate, layout=layout, options=dict(how.options)
        )
        assert isinstance(stream, av.AudioStream)
        if how.bit_rate:
            stream.bit_rate = how.bit_rate * raw.channels
        position = 0
        while samples := _next_second(source, raw, position):
            frame = av.AudioFrame.from_ndarray(
                np.frombuffer(samples, "<i2").reshape(1, -1), format="s16", layout=layout
            )
            frame.sample_rate, frame.time_base = raw.rate, Fraction(1, raw.rate)
            frame.pts = position
            position += frame.samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _next_second(source: BinaryIO, raw: Raw, position: int) -> bytes:
    size = raw.channels * _SAMPLE
    if not raw.frames and not position:
        return bytes(raw.rate // _EMPTY * size)
    return source.read(max(0, min(raw.rate, raw.frames - position)) * size)
