"""Prompts: real espeak-ng where it counts, and what happens without it."""

from __future__ import annotations

import array
import asyncio
import os
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from gateway.calls.programs.ivr import TEXTS
from gateway.errors import GatewayError
from gateway.media import prompts as prompts_module
from gateway.media.prompts import MAX_TEXT, Pcm, Prompts
from gateway.media.voices import Beeps, EspeakVoice, default_voice
from gateway.testing import virtual_time


def peak(pcm: Pcm) -> int:
    return max(map(abs, array.array("h", pcm.samples)))


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_speech_is_audible_and_as_long_as_such_a_sentence_takes() -> None:
    prompts = Prompts()
    assert prompts.speaks
    pcm = await prompts.say(TEXTS[0])
    assert pcm.rate == 22_050
    assert len(pcm.samples) % 2 == 0
    assert 2 < pcm.seconds < 8
    assert peak(pcm) > 3_000


async def test_a_prompt_is_rendered_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = script(tmp_path / "espeak", f'echo x >> {count}; exec espeak-ng "$@"')
    prompts = Prompts(EspeakVoice(str(program)))
    first, second = await asyncio.gather(prompts.say("hello"), prompts.say("hello"))
    assert first is second
    assert await prompts.say("hello") is first
    assert count.read_text() == "x\n"


async def test_warming_renders_texts_and_digits() -> None:
    prompts = Prompts()
    await prompts.warm(TEXTS)
    clips = await asyncio.wait_for(prompts.digits("0*D"), 0.05)  # nothing is left to render
    assert all(peak(clip) > 1_000 for clip in clips)


async def test_text_is_data_never_an_option_or_a_command(tmp_path: Path) -> None:
    target = tmp_path / "written"
    prompts = Prompts()
    for text in (f"-w {target}", f"$(touch {target})", f"; touch {target}", f"-f{target}"):
        assert (await prompts.say(text)).samples
    assert not target.exists()


async def test_without_espeak_it_says_so_and_beeps(logs: list[MutableMapping[str, Any]]) -> None:
    prompts = Prompts(default_voice("no-such-program"))
    assert not prompts.speaks
    (line,) = logs
    assert line["log_level"] == "warning"
    assert "apt-get install espeak-ng" in line["remedy"]
    one, three = await prompts.say("one"), await prompts.say("one two three")
    assert three.seconds == pytest.approx(3 * one.seconds)
    assert peak(one) == pytest.approx(8_000, rel=0.05)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 3", "ended with 3"),
        ("cat > /dev/null; echo nonsense", "no WAV"),
        ("cat > /dev/null", "no WAV"),
    ],
)
async def test_a_broken_espeak_is_a_media_failure(tmp_path: Path, body: str, why: str) -> None:
    prompts = Prompts(EspeakVoice(str(script(tmp_path / "espeak", body))))
    with pytest.raises(GatewayError, match=why) as failed:
        await prompts.say("hello")
    assert failed.value.verdict.code == "media_failed"


async def test_an_espeak_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts_module, "RENDER_SECONDS", 1.5)
    pid = tmp_path / "pid"
    program = script(tmp_path / "espeak", f"echo $$ > {pid}; exec sleep 60")
    prompts = Prompts(EspeakVoice(str(program)))
    with pytest.raises(GatewayError, match="too long"):
        await prompts.say("hello")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_failed_prompt_is_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    program = script(tmp_path / "espeak", f'test -e {broken} && exit 1; exec espeak-ng "$@"')
    prompts = Prompts(EspeakVoice(str(program)))
    with pytest.raises(GatewayError):
        await prompts.say("hello")
    broken.unlink()
    assert (await prompts.say("hello")).seconds > 0.2


async def test_a_caller_who_leaves_does_not_take_the_prompt_from_another() -> None:
    prompts = Prompts()
    leaver = asyncio.create_task(prompts.say("stay with me"))
    stayer = asyncio.create_task(prompts.say("stay with me"))
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer).samples
    assert leaver.cancelled()


async def test_only_so_many_are_kept_and_the_least_used_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompts_module, "CACHED", 3)
    engine = Recorder()
    prompts = Prompts(engine)
    for text in "abcabdab":
        await prompts.say(text)
    assert engine.asked == [(text, "en", None) for text in "abcd"]
    await prompts.say("c")
    assert engine.asked[-1] == ("c", "en", None)


async def test_endless_text_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        await Prompts(Beeps()).say("a" * (MAX_TEXT + 1))


# ---- engines of one's own, languages, voices -------------------------------------------------


class Recorder:
    """A speech engine that writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None]] = []

    async def render(self, text: str, language: str, voice: str | None) -> Pcm:
        self.asked.append((text, language, voice))
        return Pcm(text.encode() * 1000, 8_000)


async def test_each_language_and_voice_is_rendered_and_kept_by_itself() -> None:
    engine = Recorder()
    prompts = Prompts(engine, language="fr", voice="anna")
    for _ in range(2):
        await prompts.say("oui")
        await prompts.say("oui", voice="otto")
        await prompts.say("oui", language="en")  # which the configured voice does not speak
    assert engine.asked == [("oui", "fr", "anna"), ("oui", "fr", "otto"), ("oui", "en", None)]


async def test_digits_are_words_of_the_language_or_the_engines_own() -> None:
    engine = Recorder()
    prompts = Prompts(engine, language="fr")
    await prompts.digits("4#")
    await prompts.digits("4", language="en-GB")
    await prompts.digits("4*", language="de")  # whose words nobody has written yet
    assert engine.asked == [
        ("quatre", "fr", None),
        ("dièse", "fr", None),
        ("four", "en-GB", None),
        ("4", "de", None),
        ("*", "de", None),
    ]
    for language in ("fr", "de"):
        with pytest.raises(KeyError):
            await prompts.digits("x", language=language)


async def test_espeak_speaks_languages_and_voices_differently() -> None:
    prompts = Prompts()
    said = [
        await prompts.say("nine", language="en"),
        await prompts.say("nine", language="fr"),
        await prompts.say("nine", voice="en+f3"),
    ]
    assert len({pcm.samples for pcm in said}) == 3
    slow = await Prompts(EspeakVoice(speed=80)).say("one two three four")
    assert slow.seconds > 1.3 * (await prompts.say("one two three four")).seconds


@pytest.mark.parametrize(
    ("voice", "code", "why"),
    [
        ("../../etc/passwd", "bad_request", "no name of a voice"),
        ("-w", "bad_request", "no name of a voice"),
        ("nobody", "media_failed", "nobody: .*voice does not exist"),
    ],
)
async def test_a_voice_that_is_not_there_is_told(voice: str, code: str, why: str) -> None:
    with pytest.raises(GatewayError, match=why) as failed:
        await Prompts().say("hello", voice=voice)
    assert failed.value.verdict.code == code


class _Broken:
    def __init__(self, result: object) -> None:
        self._result = result

    async def render(self, text: str, language: str, voice: str | None) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@pytest.mark.parametrize("result", [ZeroDivisionError("x"), None, b"RIFF", Pcm(b"", 8000)])
async def test_a_broken_engine_is_a_media_failure_of_that_prompt(
    result: object, logs: list[MutableMapping[str, Any]]
) -> None:
    prompts = Prompts(_Broken(result))
    with pytest.raises(GatewayError, match="speech engine") as failed:
        await prompts.say("hello")
    assert failed.value.verdict.code == "media_failed"
    traced = [entry for entry in logs if entry.get("exc_info")]
    assert bool(traced) == isinstance(result, Exception)


@virtual_time
async def test_an_engine_that_hangs_is_given_up() -> None:
    class Hanging:
        cancelled = False

        async def render(self, text: str, language: str, voice: str | None) -> Pcm:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
            raise AssertionError

    engine = Hanging()
    with pytest.raises(GatewayError, match="too long"):
        await Prompts(engine).say("hello")
    assert engine.cancelled
