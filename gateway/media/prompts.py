"""Owns spoken prompts: text to PCM by a speech engine, kept in memory.

Prompts are rendered whole, once, before they are played: nothing here runs per frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from gateway.errors import MEDIA_FAILED, GatewayError
from gateway.media.pcm import Kept, Pcm
from gateway.media.voices import Beeps, Voice, default_voice
from gateway.ports import DTMF_DIGITS
from gateway.speech.spoken import digit_words

__all__ = ["MAX_TEXT", "Pcm", "Prompts"]

RENDER_SECONDS = 10.0
MAX_TEXT = 1_000
CACHED = 256
CACHED_BYTES = 64 * 1024 * 1024

_log = structlog.get_logger(__name__)


class Prompts:
    """Renders and keeps prompts. Belongs to the asyncio thread."""

    def __init__(
        self, engine: Voice | None = None, *, language: str = "en", voice: str | None = None
    ) -> None:
        """engine: None takes espeak-ng, or beeps where that is not installed. language, voice:
        what `say` takes where it is not told (BCP 47; a name that the engine knows)."""
        self._engine = default_voice() if engine is None else engine
        self._language = language
        self._voice = voice
        self._kept: Kept[Pcm] = Kept(CACHED, CACHED_BYTES, lambda pcm: len(pcm.samples))

    @property
    def speaks(self) -> bool:
        """Whether prompts are speech; otherwise each word is a beep."""
        return not isinstance(self._engine, Beeps)

    @property
    def language(self) -> str:
        """The language of a prompt that names none."""
        return self._language

    async def say(self, text: str, *, language: str | None = None, voice: str | None = None) -> Pcm:
        """`text` as audio. The configured voice speaks the configured language only.

        Raises GatewayError(MEDIA_FAILED) when the engine fails or hangs, and what else it raises.
        """
        if len(text) > MAX_TEXT:
            raise ValueError(f"a prompt longer than {MAX_TEXT} characters")
        language = language or self._language
        if voice is None and language == self._language:
            voice = self._voice
        key = text, language, voice
        kept = self._kept.find(key)
        if kept is not None:
            return kept
        return await self._kept.once(key, lambda: self._render(*key))

    async def digits(
        self, digits: str, *, language: str | None = None, voice: str | None = None
    ) -> list[Pcm]:
        """One clip per digit (RFC 4733 3.2: 0-9 * # A-D). Raises KeyError for anything else.

        In a language whose words gateway.speech does not know, the engine reads the digit itself.
        """
        words = self._digit_words(language or self._language)
        return [await self.say(words[digit], language=language, voice=voice) for digit in digits]

    async def warm(self, texts: Iterable[str]) -> None:
        """Renders `texts` and every digit, so that no call waits for them."""
        for text in (*texts, *self._digit_words(self._language).values()):
            await self.say(text)

    def _digit_words(self, language: str) -> dict[str, str]:
        return dict(digit_words(language) or zip(DTMF_DIGITS, DTMF_DIGITS, strict=True))

    async def _render(self, text: str, language: str, voice: str | None) -> Pcm:
        try:
            async with asyncio.timeout(RENDER_SECONDS):
                pcm = await self._engine.render(text, language, voice)
        except TimeoutError:
            raise GatewayError(MEDIA_FAILED, "the speech engine took too long") from None
        except GatewayError:
            raise
        except Exception as error:  # whatever an engine that is not ours raises
            _log.error("prompts.engine_failed", engine=type(self._engine).__name__, exc_info=True)
            detail = f"the speech engine failed: {type(error).__name__}"
            raise GatewayError(MEDIA_FAILED, detail) from error
        if not (isinstance(pcm, Pcm) and pcm.samples):
            raise GatewayError(MEDIA_FAILED, "the speech engine gave no audio")
        self._kept.put((text, language, voice), pcm)
        return pcm
