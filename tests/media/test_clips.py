"""Audio files: what is played, what is asked of the web, and what hostile files cannot do."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import FORBIDDEN, GatewayError
from gateway.media.clips import Clips
from gateway.media.decoding import MAX_SECONDS, RATE, decode
from gateway.media.pcm import MAX_DECIBEL, Kept, Pcm, scaled, trimmed
from gateway.web.values import Fetched, Validators

FORMATS = (
    ("wav", "pcm_s16le", "s16", 16_000),
    ("mp3", "libmp3lame", "fltp", 44_100),
    ("ogg", "libopus", "flt", 48_000),
    ("flac", "flac", "s16", 44_100),
)
HERE = "https://audio.example/a.wav"


def encoded(container: str, codec: str, kind: str, rate: int, seconds: float = 1.0) -> bytes:
    """A sine of 440 Hz."""
    file = io.BytesIO()
    with av.open(file, mode="w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        stream.format = kind
        resampler = av.AudioResampler(format=kind, layout="mono", rate=rate, frame_size=960)
        wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
        frame = av.AudioFrame.from_ndarray(wave.astype("<i2")[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            out.mux(stream.encode(piece))
    return file.getvalue()


def wav(samples: bytes, *, tag: int = 1, channels: int = 1, rate: int = 8000) -> bytes:
    """A WAV file that says of itself what it is told to."""
    form = struct.pack(
        "<HHIIHH", tag, channels, rate, rate * channels * 2 % 2**32, channels * 2, 16
    )
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def pitch(pcm: Pcm) -> float:
    """The strongest frequency, Hz."""
    heard = np.frombuffer(pcm.samples, "<i2")
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    return float(np.argmax(spectrum)) * pcm.rate / len(heard)


def refusal(action: Callable[[], object]) -> str:
    """The code and the text of the GatewayError."""
    with pytest.raises(GatewayError) as refused:
        action()
    return f"{refused.value.verdict.code}: {refused.value}"


# ---- formats --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form[1])
def test_every_format_that_is_promised_sounds_as_it_was(form: tuple[str, str, str, int]) -> None:
    pcm = decode(io.BytesIO(encoded(*form)), "a")
    assert pcm.rate == RATE
    assert pcm.seconds == pytest.approx(1.0, abs=0.06)  # mp3 pads its first and last frames
    assert pitch(pcm) == pytest.approx(440, abs=3)


def test_ogg_vorbis_is_taken() -> None:
    sine = ["sox", "-n", "-r", "44100", "-t", "ogg", "-", "synth", "1", "sine", "440"]
    made = subprocess.run(sine, check=True, capture_output=True)
    pcm = decode(io.BytesIO(made.stdout), "a")
    assert pcm.seconds == pytest.approx(1.0, abs=0.02)
    assert pitch(pcm) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(("tag", "silence"), [(6, b"\xd5"), (7, b"\xff")])
def test_telephone_wav_files_of_g711_are_taken(tag: int, silence: bytes) -> None:
    form = struct.pack("<HHIIHH", tag, 1, 8000, 8000, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 8000)
    data = b"RIFF" + struct.pack("<I", len(body) + 8000) + body + silence * 8000
    assert decode(io.BytesIO(data), "a").seconds == pytest.approx(1.0, abs=0.01)


# ---- hostile files --------------------------------------------------------------------------


class Canary:
    """Listens on loopback, and knows whether anybody came."""

    def __init__(self) -> None:
        self.came = threading.Event()

    async def __aenter__(self) -> Canary:
        self._server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        writer.close()


SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n"
    "#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<AdaptationSet><Representation><BaseURL>{target}</BaseURL></Representation></AdaptationSet>"
    "</Period></MPD>",
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "tagged": "ID3\4\0\0\0\0\0\0#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n",
    "wrapped": "RIFF\xff\0\0\0WAVE#EXTM3U\n#EXTINF:10,\n{target}\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("suffix", ["m3u8", "mp3", "ffconcat"])
async def test_playlists_are_no_audio_and_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str
) -> None:
    """Left to itself, FFmpeg plays the secret for `hls` and `concat`."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.mp3"
    secret.write_bytes(encoded(*FORMATS[1]))
    async with Canary() as canary:
        for target in (secret.name, str(secret), f"http://127.0.0.1:{canary.port}/x.mp3"):
            script = SCRIPTS[name].format(target=target).encode("latin-1")
            file = tmp_path / f"list.{suffix}"
            file.write_bytes(script)
            with pytest.raises(GatewayError, match=file.name):
                await Clips().load(file)
            web = Web(Fetched(script, "application/vnd.apple.mpegurl", Validators(HERE)))
            with pytest.raises(GatewayError) as refused:
                await Clips(web).load(HERE)
            assert refused.value.verdict.code == "fetch_failed"
        assert not canary.came.is_set()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither wav, mp3, ogg nor flac"),
        (b"OggS", "audio file a"),
        (b"<svg/>" * 10, "neither"),
        (wav(b""), "audio file a"),
        (wav(b"\1\0" * 100, rate=1), "no rate of audio"),
        (wav(b"\1\0" * 64, rate=4_000_000_000), "audio file a"),
        (wav(b"\1\0" * 640, channels=64), "audio file a"),
        (wav(b"\x0b\x77" * 4000, tag=0x2000), "audio file a"),  # AC-3, which nobody asked for
    ],
)
def test_what_cannot_be_decoded_is_a_media_failure(data: bytes, why: str) -> None:
    told = refusal(lambda: decode(io.BytesIO(data), "a"))
    assert told.startswith("media_failed")
    assert why in told


def test_a_small_file_of_endless_silence_is_cut_off() -> None:
    silence = encoded("flac", "flac", "s16", 8_000, 0.1)  # to see that such a file is good
    assert decode(io.BytesIO(silence), "a").seconds == pytest.approx(0.1, abs=0.01)
    file = io.BytesIO()
    with av.open(file, mode="w", format="flac") as out:
        stream = out.add_stream("flac", rate=8_000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        block = np.zeros((1, 4096), "<i2")
        for _ in range((MAX_SECONDS + 1) * 8_000 // 4096):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = 8_000
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert len(file.getvalue()) < 200_000
    assert f"longer than {MAX_SECONDS} s" in refusal(
        lambda: decode(io.BytesIO(file.getvalue()), "a")
    )


GOOD = [encoded(*form, seconds=0.2) for form in FORMATS]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0, 4000),
)
def test_damaged_files_are_decoded_or_refused(
    good: bytes, patches: list[tuple[int, bytes]], length: int
) -> None:
    data = bytearray(good[: 4 + length])
    for place, patch in patches:
        data[place : place + len(patch)] = patch
    try:
        pcm = decode(io.BytesIO(data), "a")
    except GatewayError as error:
        code = error.verdict.code
    else:
        code = "media_failed"
        assert 0 < pcm.seconds <= MAX_SECONDS + 1
    assert code == "media_failed"


async def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("pipe.wav", "."):
        async with asyncio.timeout(5):
            with pytest.raises(GatewayError, match="not a file"):
                await Clips().load(tmp_path / name)


async def test_a_file_is_decoded_once_for_all_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    file = tmp_path / "a.wav"
    file.write_bytes(encoded(*FORMATS[0]))

    def counting(stream: io.BytesIO, name: str) -> Pcm:
        counted.append(name)
        return decode(stream, name)

    monkeypatch.setattr("gateway.media.clips.decode", counting)
    clips = Clips()
    leaver = asyncio.create_task(clips.load(file))
    first, second = await asyncio.gather(clips.load(file), clips.load(file))
    leaver.cancel()
    assert first is second is await clips.load(file)
    assert counted == ["a.wav"]


# ---- the web --------------------------------------------------------------------------------


class Web:
    """Gives one answer after another, and writes down what it is asked."""

    def __init__(self, *answers: Fetched | GatewayError) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, Validators | None]] = []

    async def get(
        self, url: str, *, max_bytes: int, accept: str, known: Validators | None = None
    ) -> Fetched:
        self.asked.append((url, known))
        assert max_bytes < 100_000_000
        assert "audio/" in accept
        answer = self._answers.pop(0)
        if isinstance(answer, GatewayError):
            raise answer
        return answer


TAGGED = Validators(HERE, etag='"1"')
SHORT = Fetched(encoded(*FORMATS[0], seconds=0.5), "audio/wav", TAGGED)
LONG = Fetched(encoded(*FORMATS[0], seconds=1.0), "audio/wav", Validators(HERE, etag='"2"'))
SAME = Fetched(b"", "", TAGGED, unchanged=True)


async def test_a_url_is_played_and_asked_about_again_when_it_is_stale() -> None:
    web = Web(SHORT, SAME, LONG)
    clips = Clips(web)
    lengths = [(await clips.load(HERE)).seconds for _ in range(3)]
    assert lengths == pytest.approx([0.5, 0.5, 1.0], abs=0.01)
    assert web.asked == [(HERE, None), (HERE, TAGGED), (HERE, TAGGED)]


async def test_a_fresh_url_is_not_asked_about() -> None:
    web = Web(replace(SHORT, fresh_seconds=3600))
    clips = Clips(web)
    assert await clips.load(HERE) is await clips.load(HERE)
    assert len(web.asked) == 1


async def test_what_must_not_be_stored_is_fetched_each_time() -> None:
    web = Web(replace(SHORT, storable=False), replace(LONG, storable=False))
    clips = Clips(web)
    assert (await clips.load(HERE)).seconds < (await clips.load(HERE)).seconds
    assert web.asked == [(HERE, None), (HERE, None)]


async def test_a_server_that_gives_no_audio_is_to_blame_and_its_secrets_are_not_told() -> None:
    web = Web(Fetched(b"<html>", "text/html", Validators(HERE)), GatewayError(FORBIDDEN, "no"))
    clips = Clips(web)
    with pytest.raises(GatewayError) as refused:
        await clips.load(HERE + "?token=sentinel")
    assert refused.value.verdict.code == "fetch_failed"
    assert HERE in str(refused.value)
    assert "sentinel" not in str(refused.value)
    with pytest.raises(GatewayError, match="no"):
        await clips.load(HERE)


async def test_without_a_fetcher_urls_are_refused_and_other_text_always() -> None:
    for source, code in (
        (HERE, "forbidden"),
        ("HTTP://x/y", "forbidden"),
        ("file:///etc/passwd", "bad_request"),
        ("a.wav", "bad_request"),
        ("concat:a|b", "bad_request"),
    ):
        with pytest.raises(GatewayError) as refused:
            await Clips().load(source)
        assert refused.value.verdict.code == code


# ---- samples --------------------------------------------------------------------------------


def pcm(*samples: int, rate: int = 4) -> Pcm:
    return Pcm(struct.pack(f"<{len(samples)}h", *samples), rate)


def test_trimming_drops_the_beginning() -> None:
    assert trimmed(pcm(1, 2, 3, 4, 5), 0.5) == pcm(3, 4, 5)
    assert trimmed(pcm(1, 2), 0) == pcm(1, 2)
    assert trimmed(pcm(1, 2), 9) == pcm()
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            trimmed(pcm(1, 2), bad)


def test_scaling_is_in_decibel_and_clips() -> None:
    assert scaled(pcm(1000, -1000), 20) == pcm(10_000, -10_000)
    assert scaled(pcm(30_000, -30_000), 6) == pcm(32_767, -32_768)
    assert scaled(pcm(1000, -1000), -20) == pcm(100, -100)
    assert scaled(pcm(1000), float("-inf")) == pcm(0)
    for bad in (MAX_DECIBEL + 1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="louder"):
            scaled(pcm(1), bad)


@given(st.binary(max_size=64), st.floats(-200, MAX_DECIBEL), st.floats(0, 1e6))
def test_any_samples_may_be_scaled_and_trimmed(samples: bytes, decibel: float, at: float) -> None:
    given = Pcm(samples, 8000)
    assert len(scaled(given, decibel).samples) in (len(samples), len(samples) // 2 * 2)
    assert given.samples.endswith(trimmed(given, at).samples)


def test_what_is_kept_is_bounded_in_bytes_and_the_least_used_goes() -> None:
    kept: Kept[bytes] = Kept(entries=10, size=10, weight=len)
    for key, value in (("a", b"aaaa"), ("b", b"bbbb")):
        kept.put(key, value)
    assert kept.find("a") == b"aaaa"
    kept.put("c", b"cccc")
    assert [kept.find(key) for key in "abc"] == [b"aaaa", None, b"cccc"]
    kept.put("c", b"c" * 11)
    assert [kept.find(key) for key in "abc"] == [b"aaaa", None, None]
