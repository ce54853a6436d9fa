"""Prompts whose audio is their text, so that a test can read what was played."""

from __future__ import annotations

from gateway.media.pcm import Pcm
from gateway.media.prompts import Prompts
from gateway.testing.media import Played

RATE = 8_000
SECOND = b"\0" * RATE * 2


class ReadableVoice:
    """A speech engine: every text lasts one second and is its own audio, in any language."""

    async def render(self, text: str, language: str, voice: str | None) -> Pcm:
        """The text, padded with silence."""
        return Pcm(text.encode().ljust(len(SECOND), b"\0"), RATE)


class SpokenPrompts(Prompts):
    """Every prompt lasts one second and carries its text."""

    def __init__(self, *, language: str = "en") -> None:
        super().__init__(ReadableVoice(), language=language)


def text_of(played: Played) -> str:
    """The text of a prompt that was played."""
    return played.samples.rstrip(b"\0").decode()
