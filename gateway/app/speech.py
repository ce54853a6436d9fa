"""Owns building what speaks prompts, as the configuration has it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import cast

from gateway.app.modules import ImportProblem, find, raised, search_beside
from gateway.config.document import ConfigError
from gateway.config.loader import read_document
from gateway.config.model import NodeConfig
from gateway.media.prompts import Prompts
from gateway.media.voices import ESPEAK, Voice, default_voice

_REMEDY = (
    "name a class or function that returns an object with: async render(text, language, voice)"
)


def load_prompts(config_file: Path, config: NodeConfig) -> Prompts:
    """Prompts by the engine of `speech`; a module is looked for beside the configuration first.

    Raises ConfigError with the located problem.
    """
    speech = config.speech
    if speech.engine == ESPEAK:
        return espeak_prompts(config)
    search_beside(config_file)
    try:
        voice = _voice(speech.engine)
    except ImportProblem as problem:
        document = read_document(config_file)
        located = document.problem(("speech", "engine"), problem.message, problem.remedy)
        raise ConfigError(located) from problem
    return Prompts(voice, language=speech.language, voice=speech.voice)


def espeak_prompts(config: NodeConfig) -> Prompts:
    """Prompts by espeak-ng, or beeps."""
    speech = config.speech
    engine = default_voice(speed=speech.speed)
    return Prompts(engine, language=speech.language, voice=speech.voice)


def _voice(name: str) -> Voice:
    """What the callable called `name` returns. Raises ImportProblem."""
    module, _, attribute = name.partition(":")
    make = find(name)
    if not callable(make):
        raise ImportProblem(f"{module!r} has nothing to call that is {attribute!r}", _REMEDY)
    try:
        voice = make()
    except Exception as error:  # whatever a user's engine raises when it is made
        raise raised(f"{name} failed", error) from error
    if not inspect.iscoroutinefunction(getattr(voice, "render", None)):
        raise ImportProblem(f"{name} returns no speech engine", _REMEDY)
    return cast(Voice, voice)
