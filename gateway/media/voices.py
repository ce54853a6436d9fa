"""Owns speech engines: what every engine offers, espeak-ng, and beeps where that is missing.

The text goes to espeak-ng by standard input, never through a shell.
"""

from __future__ import annotations

import array
import asyncio
import io
import math
import re
import shutil
import sys
import wave
from typing import Protocol

import structlog

from gateway.errors import BAD_REQUEST, MEDIA_FAILED, GatewayError
from gateway.media.pcm import Pcm

ESPEAK = "espeak-ng"
REMEDY = "install it: apt-get install espeak-ng"
SHOWN = 200
"""How many characters of an engine's complaint an error repeats."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}")
_BEEP_RATE = 8_000
_log = structlog.get_logger(__name__)


class Voice(Protocol):
    """A speech engine. Whatever it does, it does not block the event loop."""

    async def render(self, text: str, language: str, voice: str | None) -> Pcm:
        """The whole of `text` as speech.

        language: BCP 47. voice: a name that only this engine knows; None: its own choice for the
        language. Raises GatewayError. It is cancelled when it takes too long.
        """
        ...


def default_voice(program: str = ESPEAK, speed: int = 150) -> Voice:
    """espeak-ng, or beeps with a warning where it is not installed. speed: words a minute."""
    found = shutil.which(program)
    if found is None:
        _log.warning("prompts.no_speech", missing=program, effect="beeps", remedy=REMEDY)
        return Beeps()
    return EspeakVoice(found, speed)


class EspeakVoice:
    """espeak-ng, one process per text. Its voices: `espeak-ng --voices`, variants with a plus."""

    def __init__(self, program: str = ESPEAK, speed: int = 150) -> None:
        self._program = program
        self._speed = speed

    async def render(self, text: str, language: str, voice: str | None) -> Pcm:
        """See Voice. Raises GatewayError(MEDIA_FAILED), or BAD_REQUEST for an impossible name."""
        name = voice or language
        if not _NAME.fullmatch(name):  # espeak-ng would take a path for a voice's file
            raise GatewayError(BAD_REQUEST, f"{name[:SHOWN]!a} is no name of a voice")
        return _from_wav(await self._speak(text, name))

    async def _speak(self, text: str, name: str) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *("-v", name, "-s", str(self._speed), "--stdin", "--stdout"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise GatewayError(
                MEDIA_FAILED, f"espeak-ng did not start: {error.strerror}"
            ) from error
        try:
            output, complaint = await process.communicate(text.encode(errors="replace"))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            why = " ".join(complaint.decode(errors="replace").split())[:SHOWN]
            detail = f"espeak-ng ended with {process.returncode} for voice {name}"
            raise GatewayError(MEDIA_FAILED, f"{detail}: {why}" if why else detail)
        return output


class Beeps:
    """One beep for each word, so that a caller hears at least that something is said."""

    async def render(self, text: str, language: str, voice: str | None) -> Pcm:
        """At most 10 beeps of 120 ms at 800 Hz, with 120 ms of silence after each."""
        length = _BEEP_RATE * 120 // 1000
        ramp = 80  # samples of fade, so that the beep does not click
        tone = array.array("h")
        for index in range(length):
            level = min(1.0, index / ramp, (length - index) / ramp)
            tone.append(int(8000 * level * math.sin(2 * math.pi * 800 * index / _BEEP_RATE)))
        tone.extend([0] * length)
        if sys.byteorder == "big":
            tone.byteswap()
        return Pcm(tone.tobytes() * max(1, min(len(text.split()), 10)), _BEEP_RATE)


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
    return Pcm(samples, rate)
