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
    prompts = Prompts(str(program))
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
    prompts = Prompts("no-such-program")
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
    prompts = Prompts(str(script(tmp_path / "espeak", body)))
    with pytest.raises(GatewayError, match=why) as failed:
        await prompts.say("hello")
    assert failed.value.verdict.code == "media_failed"


async def test_an_espeak_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts_module, "RENDER_SECONDS", 1.5)
    pid = tmp_path / "pid"
    prompts = Prompts(str(script(tmp_path / "espeak", f"echo $$ > {pid}; exec sleep 60")))
    with pytest.raises(GatewayError, match="too long"):
        await prompts.say("hello")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_failed_prompt_is_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    program = script(tmp_path / "espeak", f'test -e {broken} && exit 1; exec espeak-ng "$@"')
    prompts = Prompts(str(program))
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


async def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts_module, "CACHED", 3)
    prompts = Prompts("no-such-program")
    for text in "abcdef":
        await prompts.say(text)
    assert list(prompts._cache) == ["d", "e", "f"]


async def test_endless_text_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        await Prompts("no-such-program").say("a" * (MAX_TEXT + 1))
