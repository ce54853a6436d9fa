"""Finished recordings without a media plane: each format, crashed ones, and who may read them."""

from __future__ import annotations

import fcntl
import json
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from gateway.errors import GatewayError
from gateway.media.recording_folder import RecordingFile, RecordingFolder, Ticket
from gateway.terms import RecordingFormat

Samples = NDArray[np.int16]
STARTED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def sine(frequency: float, seconds: float, rate: int) -> Samples:
    t = np.arange(int(seconds * rate)) / rate
    return (8000 * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


def level(samples: Samples, frequency: float, rate: int) -> float:
    """Of one component, dB of full scale."""
    turn = np.exp(-2j * np.pi * frequency * np.arange(len(samples)) / rate)
    return float(20 * np.log10(2 * abs(np.mean(samples * turn)) / 32768 + 1e-9))


def decoded(path: Path) -> tuple[Samples, int]:
    """(frames, channels) and the rate, by PyAV."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("s16", stream.layout, stream.rate)
        pieces = [p for frame in container.decode(stream) for p in resampler.resample(frame)]
        pieces += resampler.resample(None)
        whole = np.concatenate([p.to_ndarray() for p in pieces], axis=1)
        return whole.reshape(-1, stream.channels), stream.rate


def raw_file(samples: Samples, rate: int) -> bytes:
    """As a crash leaves it: the header has no sizes."""
    channels = samples.shape[1]
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
        + b"data\xff\xff\xff\xff"
        + samples.astype("<i2").tobytes()
    )


def leave_behind(folder: Path, name: str, raw: bytes, wanted: RecordingFormat) -> None:
    """What a process that crashed leaves."""
    RecordingFolder(folder).begin(
        name, Ticket(call="call-1", format=wanted, started=STARTED)
    ).close()
    part = folder / f"{name}.part"
    part.touch(0o600)
    part.write_bytes(raw)


def names(folder: Path) -> set[str]:
    """What is in the folder, besides what is told about finished recordings."""
    return {path.name for path in folder.iterdir() if path.suffix != ".meta"}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("wanted", list(RecordingFormat))
def test_each_format_keeps_both_sides_apart_and_in_time(
    tmp_path: Path, wanted: RecordingFormat, rate: int
) -> None:
    near = np.concatenate([sine(440, 2.0, rate), np.zeros(rate, np.int16)])
    far = np.concatenate([np.zeros(rate, np.int16), sine(1000, 2.0, rate)])
    leave_behind(tmp_path, "a", raw_file(np.stack([near, far], 1), rate), wanted)
    with capture_logs() as told:
        (file,) = RecordingFolder(tmp_path).recover()
    assert [entry["event"] for entry in told] == ["recording_recovered"]
    path = tmp_path / f"a.{wanted}"
    assert file == RecordingFile(path, wanted, 3.0, 2, path.stat().st_size, "call-1", STARTED)
    assert names(tmp_path) == {path.name}
    assert mode(path) == 0o600
    heard, heard_rate = decoded(path)
    assert heard.shape[1] == 2
    assert abs(len(heard) / heard_rate - 3.0) < 0.12, "MP3 has whole frames and a lead-in"
    third = heard_rate
    first, both, last = (heard[n * third + third // 4 : (n + 1) * third] for n in range(3))
    for part, left, right in ((first, -12, -99), (both, -12, -12), (last, -99, -12)):
        for channel, own, other, expected in ((0, 440, 1000, left), (1, 1000, 440, right)):
            assert level(part[:, channel], other, heard_rate) < -50
            if expected == -12:
                assert abs(level(part[:, channel], own, heard_rate) + 12.2) < 1.5
            else:
                assert np.abs(part[: third // 2, channel]).max() < 30


def test_lossless_formats_lose_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, (12345, 2)).astype(np.int16)
    for wanted in (RecordingFormat.WAV, RecordingFormat.FLAC):
        leave_behind(tmp_path, wanted, raw_file(noise, 16000), wanted)
    for file in RecordingFolder(tmp_path).recover():
        heard, _ = decoded(file.path)
        assert np.array_equal(heard, noise)


@pytest.mark.parametrize("wanted", list(RecordingFormat))
def test_a_frame_cut_in_the_middle_is_dropped(tmp_path: Path, wanted: RecordingFormat) -> None:
    raw = raw_file(np.stack([sine(440, 1.0, 8000)] * 2, 1), 8000)
    leave_behind(tmp_path, "a", raw[:-3], wanted)
    (file,) = RecordingFolder(tmp_path).recover()
    assert file.seconds == 7999 / 8000
    heard, rate = decoded(file.path)
    assert abs(level(heard[rate // 4 : rate * 3 // 4, 1], 440, rate) + 12.2) < 1


@pytest.mark.parametrize("wanted", list(RecordingFormat))
def test_a_recording_of_nothing_can_still_be_opened(
    tmp_path: Path, wanted: RecordingFormat
) -> None:
    leave_behind(tmp_path, "a", raw_file(np.zeros((0, 1), np.int16), 16000), wanted)
    (file,) = RecordingFolder(tmp_path).recover()
    assert (file.seconds, file.channels) == (0.0, 1)
    if wanted is not RecordingFormat.WAV:
        heard, rate = decoded(file.path)
        assert not heard.any()
        assert len(heard) < rate / 4


def test_what_crashed_before_any_audio_leaves_nothing(tmp_path: Path) -> None:
    leave_behind(tmp_path, "a", b"", RecordingFormat.OGG)
    leave_behind(tmp_path, "b", b"", RecordingFormat.OGG)
    (tmp_path / "b.part").unlink()
    assert RecordingFolder(tmp_path).recover() == []
    assert names(tmp_path) == set()


def test_what_crashed_while_it_was_finished_is_finished(tmp_path: Path) -> None:
    raw = raw_file(np.stack([sine(440, 1.0, 8000)], 1), 8000)
    leave_behind(tmp_path, "half", raw, RecordingFormat.OGG)
    (tmp_path / "half.tmp").write_bytes(b"OggS")
    leave_behind(tmp_path, "whole", raw, RecordingFormat.OGG)
    (tmp_path / "whole.ogg").write_bytes(b"not yet removed: the raw file")
    assert [file.seconds for file in RecordingFolder(tmp_path).recover()] == [1.0, 1.0]
    assert names(tmp_path) == {"half.ogg", "whole.ogg"}
    for name in ("half.ogg", "whole.ogg"):
        assert len(decoded(tmp_path / name)[0]) == 48000


def test_broken_ones_are_put_aside_and_the_others_finished(tmp_path: Path) -> None:
    good = raw_file(np.stack([sine(440, 1.0, 8000)], 1), 8000)
    leave_behind(tmp_path, "good", good, RecordingFormat.OGG)
    leave_behind(tmp_path, "garbage", bytes(1000), RecordingFormat.OGG)
    leave_behind(tmp_path, "short", good[:40], RecordingFormat.WAV)
    leave_behind(tmp_path, "unknown", good, RecordingFormat.WAV)
    ticket = json.loads((tmp_path / "unknown.json").read_text()) | {"format": "aiff"}
    (tmp_path / "unknown.json").write_text(json.dumps(ticket))
    (tmp_path / "alone.part").write_bytes(good)
    (tmp_path / "notes.txt").write_text("not ours")
    (file,) = RecordingFolder(tmp_path).recover()
    assert file.path.name == "good.ogg"
    broken = {f"{n}.{e}.broken" for n in ("garbage", "short", "unknown") for e in ("part", "json")}
    assert names(tmp_path) == {"good.ogg", "notes.txt", "alone.part.broken"} | broken
    assert (tmp_path / "alone.part.broken").read_bytes() == good
    assert RecordingFolder(tmp_path).recover() == []


def test_a_recording_that_cannot_be_finished_now_is_left_for_later(tmp_path: Path) -> None:
    raw = raw_file(np.stack([sine(440, 1.0, 8000)] * 2, 1), 8000)
    leave_behind(tmp_path, "a", raw, RecordingFormat.FLAC)
    before = names(tmp_path)
    # bash: a full disk for one process alone. Python ignores SIGXFSZ, so that write(2) fails.
    program = (
        "from pathlib import Path; from gateway.media.recording_folder import RecordingFolder;"
        f"print(RecordingFolder(Path({str(tmp_path)!r})).recover())"
    )
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 4; exec "$0" -c "$1"', sys.executable, program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "File too large" in done.stdout + done.stderr
    assert names(tmp_path) - {"a.tmp"} == before
    (file,) = RecordingFolder(tmp_path).recover()
    assert file.seconds == 1.0
    assert names(tmp_path) == {"a.flac"}


def test_what_another_gateway_works_on_is_left_alone(tmp_path: Path) -> None:
    raw = raw_file(np.stack([sine(440, 1.0, 8000)], 1), 8000)
    leave_behind(tmp_path, "theirs", raw, RecordingFormat.OGG)
    before = names(tmp_path)
    with (tmp_path / "theirs.json").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert RecordingFolder(tmp_path).recover() == []
        assert names(tmp_path) == before
    assert len(RecordingFolder(tmp_path).recover()) == 1


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a.b", "-x", "x" * 129, "a\n"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    ticket = Ticket(call="", format=RecordingFormat.WAV, started=STARTED)
    with pytest.raises(GatewayError, match="not a name"):
        RecordingFolder(tmp_path / "new").begin(name, ticket)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("ending", ["json", "part", "wav", "mp3"])
def test_a_name_is_used_once(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"here first")
    ticket = Ticket(call="", format=RecordingFormat.OGG, started=STARTED)
    with pytest.raises(GatewayError, match="already"):
        RecordingFolder(tmp_path).begin("a", ticket)
    assert names(tmp_path) == {f"a.{ending}"}
    assert (tmp_path / f"a.{ending}").read_bytes() == b"here first"


def test_the_folder_and_what_is_in_it_are_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "recordings"
    ticket = Ticket(call="", format=RecordingFormat.OGG, started=STARTED)
    RecordingFolder(folder).begin("a", ticket).close()
    assert mode(folder) == 0o700
    assert mode(folder / "a.json") == 0o600
