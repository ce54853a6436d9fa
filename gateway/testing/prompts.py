"""Prompts whose audio is their text, so that a test can read what was played."""

from __future__ import annotations

from gateway.media.prompts import Pcm, Prompts
from gateway.testing.media import Played

RATE = 8_000
SECOND = b"\0" * RATE * 2


class SpokenPrompts(Prompts):
    """Every prompt lasts one second and carries its text."""

    def __init__(self) -> None:
        super().__init__("no-such-program")

    async def _render(self, text: str) -> Pcm:
        return Pcm(text.encode().ljust(len(SECOND), b"\0"), RATE)


def text_of(played: Played) -> str:
    """The text of a prompt that was played."""
    return played.samples.rstrip(b"\0").decode()
