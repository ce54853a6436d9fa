"""What a Python program may do with its call, in virtual time."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.apps import App, Call, Gathered, Reason
from gateway.calls.programs import Program
from gateway.errors import GatewayError
from gateway.media.clips import MAX_SECONDS, RATE, Clips
from gateway.testing import Rehearsal, virtual_time
from gateway.testing.clock import run_virtual


def program(function: object) -> Program:
    """A registered program."""
    app = App()
    app.call("p")(function)  # type: ignore[arg-type]
    return app.programs["p"]


@virtual_time
async def test_verbs_come_one_after_another() -> None:
    @program
    async def run(call: Call) -> None:
        await call.say("One.")
        await call.play("ring.wav")
        await call.pause(5)
        await call.send_dtmf("1,2", duration_ms=200, gap_ms=100)
        await call.say(f"{call.caller} called {call.callee} for {call.variables['tenant']}.")

    async with Rehearsal(run, variables={"tenant": "acme"}) as caller:
        began = caller.now.monotonic
        await caller.hears("One.", "[ring.wav]", "alice called 100 for acme.")
        assert caller.tones == "12"
        # two prompts of a second, the pause, two tones with their gaps, and the comma's 2 s
        assert caller.now.monotonic - began == pytest.approx(2 + 5 + 0.6 + 2, abs=0.1)
        assert (await caller.end()).code == "normal"


@virtual_time
async def test_a_caller_who_hangs_up_stops_the_program_where_it_is() -> None:
    seen: list[str] = []

    @program
    async def run(call: Call) -> None:
        try:
            await call.say("One.")
            await call.pause(60)
            seen.append("never")
        except Exception:
            seen.append("never")
        finally:
            seen.append("finally")

    async with Rehearsal(run) as caller:
        await caller.hears("One.")
    assert seen == ["finally"]


@virtual_time
async def test_hanging_up_is_not_an_exception_to_swallow() -> None:
    @program
    async def run(call: Call) -> None:
        try:
            call.hangup("Enough")
        except Exception:
            await call.say("never")

    async with Rehearsal(run) as caller:
        assert (await caller.end()).text == "Enough"


@virtual_time
async def test_what_a_program_raises_is_raised_to_its_test() -> None:
    @program
    async def run(call: Call) -> None:
        await call.say("")

    async with Rehearsal(run) as caller:
        with pytest.raises(ValidationError, match="at least 1 character"):
            await caller.end()


async def gathered(presses: str, *, early: str = "", **settings: object) -> tuple[Gathered, float]:
    """What gather makes of keys pressed after (and `early`: during) the question; seconds."""
    found: list[Gathered] = []

    @program
    async def run(call: Call) -> None:
        found.append(await call.gather("Digits?", **settings))

    async with Rehearsal(run) as caller:
        began = caller.now.monotonic
        await caller.hears("Digits?")
        caller.press(early)
        await asyncio.sleep(1.5)
        caller.press(presses)
        await caller.end()
        return found[0], caller.now.monotonic - began


@virtual_time
async def test_gather_ends_as_it_is_told() -> None:
    found, _ = await gathered("12#", min_digits=2)
    assert found == Gathered("12", True, Reason.TERMINATED)
    found, _ = await gathered("1234", max_digits=3)
    assert found == Gathered("123", True, Reason.COMPLETE)
    found, _ = await gathered("1#", min_digits=2)
    assert (found.digits, found.good) == ("1", False)
    found, seconds = await gathered("", first_timeout=7)
    assert found == Gathered("", False, Reason.TIMEOUT)
    assert seconds == pytest.approx(8, abs=0.1)
    found, _ = await gathered("", min_digits=0)
    assert found.good
    found, _ = await gathered("2125550100", patterns=("_NXXNXXXXXX", "0"))
    assert (found.good, found.reason) == (True, Reason.COMPLETE)
    found, _ = await gathered("1#", patterns=("_NXXNXXXXXX", "0"))
    assert not found.good


@virtual_time
async def test_keys_during_a_question_that_must_be_heard_do_not_count() -> None:
    found, _ = await gathered("2", early="1", max_digits=1)
    assert found.digits == "1"
    found, _ = await gathered("2", early="1", max_digits=1, barge_in=False)
    assert found.digits == "2"


@given(st.text("0123456789*#ABCD", max_size=12), st.integers(1, 6), st.booleans())
def test_gathered_digits_are_the_keys_up_to_the_end(keys: str, most: int, barge_in: bool) -> None:
    found, _ = run_virtual(gathered(keys, max_digits=most, barge_in=barge_in))
    wanted = keys.partition("#")[0][:most]
    assert found.digits == wanted
    assert found.good == bool(wanted)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "echo", "ivr"])
def test_names_that_a_program_cannot_have(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|called"):
        App().call(name)


def test_two_programs_of_one_name_and_plain_functions_are_refused() -> None:
    app = App()

    @app.call("a")
    async def first(call: Call) -> None: ...

    with pytest.raises(ValueError, match="already"):
        app.call("a")
    with pytest.raises(ValueError, match="async def"):
        app.call("b")(lambda call: None)  # type: ignore[arg-type,return-value]


# ---- audio files ----------------------------------------------------------------------------


def write(file: Path, seconds: float, rate: int = 44100, channels: int = 2) -> None:
    """A sine."""
    t = np.arange(int(seconds * rate)) / rate
    samples = (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2")
    with wave.open(str(file), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.repeat(samples, channels).tobytes())


async def test_audio_files_are_decoded_to_mono_once(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    write(file, 1.5)
    clips = Clips()
    first = await clips.load(file)
    assert first.rate == RATE
    assert first.seconds == pytest.approx(1.5, abs=0.01)
    heard = np.frombuffer(first.samples, "<i2")
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) * RATE / len(heard) == pytest.approx(440, abs=2)
    assert await clips.load(file) is first
    write(file, 0.5)
    assert (await clips.load(file)).seconds == pytest.approx(0.5, abs=0.01)


async def test_files_that_cannot_be_played_say_so(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio at all")
    write(tmp_path / "long.wav", MAX_SECONDS + 1, rate=8000, channels=1)
    for name, reason in (
        ("missing.mp3", "No such file"),
        ("text.wav", "Invalid data"),
        ("long.wav", "longer than"),
    ):
        with pytest.raises(GatewayError, match=f"{name}.*{reason}"):
            await Clips().load(tmp_path / name)
