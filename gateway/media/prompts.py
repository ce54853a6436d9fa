"""Owns spoken prompts: text to PCM by espeak-ng, kept in memory; tones where espeak-ng is missing.

Prompts are rendered whole, once, before they are played: nothing here runs per frame. The text
goes to espeak-ng by standard input, never through a shell; it is the gateway's own, a caller's
digits are spoken through a fixed table of words.
"""

from __future__ import annotations

import array
import asyncio
import io
import math
import shutil
import sys
import wave
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from gateway.errors import MEDIA_FAILED, GatewayError

RENDER_SECONDS = 10.0
MAX_TEXT = 1_000
CACHED = 64
REMEDY = "install it: apt-get install espeak-ng"

DIGIT_WORDS = {
    **dict(
        zip(
            "0123456789",
            ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            strict=True,
        )
    ),
    "*": "star",
    "#": "pound",
    **{letter: letter for letter in "ABCD"},
}

_BEEP_RATE = 8_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pcm:
    """16-bit little-endian mono samples at `rate` Hz."""

    samples: bytes = field(repr=False)
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / 2 / self.rate


class Prompts:
    """Renders and keeps prompts. Belongs to the asyncio thread."""

    def __init__(self, program: str = "espeak-ng", voice: str = "en", speed: int = 150) -> None:
        self._program = shutil.which(program)
        self._arguments = ("-v", voice, "-s", str(speed), "--stdin", "--stdout")
        self._cache: OrderedDict[str, Pcm] = OrderedDict()
        self._rendering: dict[str, asyncio.Task[Pcm]] = {}
        if self._program is None:
            _log.warning("prompts.no_speech", missing=program, effect="beeps", remedy=REMEDY)

    @property
    def speaks(self) -> bool:
        """Whether prompts are speech; otherwise each word is a beep."""
        return self._program is not None

    async def say(self, text: str) -> Pcm:
        """`text` as audio. Raises GatewayError(MEDIA_FAILED) when espeak-ng fails or hangs."""
        if len(text) > MAX_TEXT:
            raise ValueError(f"a prompt longer than {MAX_TEXT} characters")
        if text in self._cache:
            self._cache.move_to_end(text)
            return self._cache[text]
        if text not in self._rendering:
            task = asyncio.create_task(self._render(text), name="prompt")
            self._rendering[text] = task
            task.add_done_callback(lambda _: self._rendering.pop(text, None))
        # A caller who hangs up must not take the prompt from another who waits for the same.
        return await asyncio.shield(self._rendering[text])

    async def digits(self, digits: str) -> list[Pcm]:
        """One clip per digit (RFC 4733 3.2: 0-9 * # A-D). Raises KeyError for anything else."""
        return [await self.say(DIGIT_WORDS[digit]) for digit in digits]

    async def warm(self, texts: Iterable[str]) -> None:
        """Renders `texts` and every digit, so that no call waits for them."""
        for text in (*texts, *DIGIT_WORDS.values()):
            await self.say(text)

    async def _render(self, text: str) -> Pcm:
        if self._program is None:
            pcm = _beeps(len(text.split()))
        else:
            pcm = _from_wav(await self._speak(self._program, text))
        self._cache[text] = pcm
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return pcm

    async def _speak(self, program: str, text: str) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise GatewayError(
                MEDIA_FAILED, f"espeak-ng did not start: {error.strerror}"
            ) from error
        try:
            async with asyncio.timeout(RENDER_SECONDS):
                output, _ = await process.communicate(text.encode())
        except TimeoutError:
            raise GatewayError(MEDIA_FAILED, "espeak-ng took too long") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise GatewayError(MEDIA_FAILED, f"espeak-ng ended with {process.returncode}")
        return output


def _from_wav(data: bytes) -> Pcm:
    """The samples of a WAV stream. espeak-ng cannot seek in a pipe, so the sizes in its header are
    only upper limits; reading to the end gives what there is."""
    try:
        with wave.open(io.BytesIO(data)) as reader:
            if (reader.getnchannels(), reader.getsampwidth()) != (1, 2):
                raise GatewayError(MEDIA_FAILED, "espeak-ng gave something else than 16-bit mono")
            samples, rate = reader.readframes(len(data)), reader.getframerate()
    except (wave.Error, EOFError) as error:
        raise GatewayError(MEDIA_FAILED, f"espeak-ng gave no WAV: {error}") from error
    if not samples:
        raise GatewayError(MEDIA_FAILED, "espeak-ng gave no audio")
    return Pcm(samples, rate)


def _beeps(count: int) -> Pcm:
    """`count` beeps (at most 10) of 120 ms at 800 Hz, with 120 ms of silence after each."""
    length = _BEEP_RATE * 120 // 1000
    ramp = 80  # samples of fade, so that the beep does not click
    tone = array.array("h")
    for index in range(length):
        level = min(1.0, index / ramp, (length - index) / ramp)
        tone.append(int(8000 * level * math.sin(2 * math.pi * 800 * index / _BEEP_RATE)))
    tone.extend([0] * length)
    if sys.byteorder == "big":
        tone.byteswap()
    return Pcm(tone.tobytes() * max(1, min(count, 10)), _BEEP_RATE)
