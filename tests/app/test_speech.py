"""The speech engine of the configuration: found, checked, used; or told where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.speech import load_prompts
from gateway.config.document import ConfigError
from gateway.config.loader import load_config
from gateway.media.prompts import Prompts

ENGINE = """
from gateway.media.pcm import Pcm

class Engine:
    async def render(self, text, language, voice):
        return Pcm(f"{text} {language} {voice}".encode(), 8000)

class Deaf:
    def render(self, text):
        return b""

def broken():
    raise RuntimeError("no model")

number = 4711
"""


def prompts(folder: Path, speech: str) -> Prompts:
    """Those of a configuration with this section."""
    file = folder / "gateway.yaml"
    file.write_text(f"dialplan: plan.yaml\nspeech:\n  {speech}\n")
    return load_prompts(file, load_config(file))


async def test_an_engine_beside_the_configuration_speaks(tmp_path: Path) -> None:
    (tmp_path / "speech_a.py").write_text(ENGINE)
    found = prompts(tmp_path, "{engine: 'speech_a:Engine', language: fr, voice: anna}")
    assert found.speaks
    assert (await found.say("oui")).samples == b"oui fr anna"


async def test_espeak_speaks_as_fast_as_it_is_told(tmp_path: Path) -> None:
    slow, fast = (prompts(tmp_path, f"{{speed: {speed}}}") for speed in (80, 300))
    text = "The office is closed."
    assert (await slow.say(text)).seconds > 1.5 * (await fast.say(text)).seconds


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("nowhere_s:Engine", "No module named 'nowhere_s'"),
        ("speech_b:Nobody", "nothing to call that is 'Nobody'"),
        ("speech_b:number", "nothing to call that is 'number'"),
        ("speech_b:broken", "RuntimeError: no model (look at speech_b.py:13"),
        ("speech_b:Deaf", "returns no speech engine"),
    ],
)
def test_an_engine_that_cannot_be_used_is_located(tmp_path: Path, engine: str, told: str) -> None:
    (tmp_path / "speech_b.py").write_text(ENGINE)
    with pytest.raises(ConfigError) as refused:
        prompts(tmp_path, f"engine: '{engine}'")
    (problem,) = refused.value.problems
    assert "gateway.yaml:3:" in str(problem)
    assert told in str(problem)
