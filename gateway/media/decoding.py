"""Owns making samples of an audio file that may be hostile, by PyAV.

The container is told from its first bytes and named to FFmpeg, which therefore never probes: a
playlist, a `concat` script or anything else that would have it open a second file or address is no
audio here. It reads through a Python file object and is allowed no protocol of its own.
"""

from __future__ import annotations

from typing import BinaryIO

import av
import av.error

from gateway.errors import MEDIA_FAILED, GatewayError
from gateway.media.pcm import Pcm

RATE = 16_000  # Hz; the bridge converts
MAX_SECONDS = 600
MAX_CHANNELS = 8
RATES = range(4_000, 192_001)
"""Sample rates that are taken, Hz: a file of 1 Hz would be blown up by 16,000."""

_HEAD = 12
_CODECS = (
    *("pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"),
    *("adpcm_ms", "adpcm_ima_wav", "gsm_ms", "mp3", "mp3float", "flac", "vorbis", "opus", "speex"),
)
_OPTIONS = {
    "format_whitelist": "wav,mp3,ogg,flac",
    "codec_whitelist": ",".join(_CODECS),
    "protocol_whitelist": "none",
}


def decode(stream: BinaryIO, name: str) -> Pcm:
    """The audio of a wav, mp3, ogg or flac file, mono at RATE. Takes long: call it in a thread.

    name: what errors call it. Raises GatewayError(MEDIA_FAILED): something else, broken, longer
    than MAX_SECONDS; OSError: it cannot be read.
    """
    head = stream.read(_HEAD)
    stream.seek(0)
    container = _format(head)
    if container is None:
        text = f"audio file {name}: Invalid data: neither wav, mp3, ogg nor flac"
        raise GatewayError(MEDIA_FAILED, text)
    try:
        return _decode(stream, container, name)
    except (av.error.FFmpegError, ValueError) as error:
        # PyAV answers some broken headers with ValueError (an unknown channel layout).
        reason = getattr(error, "strerror", None) or "cannot be decoded"
        raise GatewayError(MEDIA_FAILED, f"audio file {name}: {reason}") from error


def _format(head: bytes) -> str | None:
    """FFmpeg's name of a container, by its first bytes."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"fLaC":
        return "flac"
    # An ID3v2 tag, or the sync word of MPEG audio (ISO 11172-3 2.4.2.3) that is layer III.
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "mp3"
    return None


def _decode(stream: BinaryIO, container_format: str, name: str) -> Pcm:
    samples = bytearray()
    with av.open(stream, mode="r", format=container_format, options=_OPTIONS) as container:
        if not container.streams.audio:
            raise GatewayError(MEDIA_FAILED, f"audio file {name} has no audio")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        seconds = 0.0
        for frame in container.decode(audio=0):
            if frame.sample_rate not in RATES or frame.layout.nb_channels > MAX_CHANNELS:
                raise GatewayError(MEDIA_FAILED, f"audio file {name} has no rate of audio")
            seconds += frame.samples / frame.sample_rate
            if seconds > MAX_SECONDS:
                text = f"audio file {name} is longer than {MAX_SECONDS} s"
                raise GatewayError(MEDIA_FAILED, text)
            for piece in resampler.resample(frame):
                samples += piece.to_ndarray().tobytes()
        for piece in resampler.resample(None):
            samples += piece.to_ndarray().tobytes()
    if not samples:
        raise GatewayError(MEDIA_FAILED, f"audio file {name} has no audio")
    return Pcm(bytes(samples), RATE)
