"""What a program may ask of its call: the verbs, one model each. Pure values.

The models are the vocabulary: whoever offers a verb (Python programs today) builds its model, and
programs/performing.py performs it. Times are seconds unless a name says ms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.dialplan.pattern import parse_pattern
from gateway.media.prompts import MAX_TEXT
from gateway.ports import DTMF_DIGITS

COMMA_SECONDS = 2.0
"""What a comma among digits to send means (W3C WebRTC, RTCDTMFSender.insertDTMF)."""

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


def _is_pattern(source: str) -> str:
    parse_pattern(source)
    return source


class _Verb(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Say(_Verb):
    """Speaks a text to the caller."""

    text: Text


class Play(_Verb):
    """Plays an audio file (wav, mp3, ogg, flac) to the caller."""

    file: Path


class Gather(_Verb):
    """Asks for digits: says the question, takes keys, and asks again when they are not good."""

    question: tuple[Text, ...] = ()
    min_digits: int = Field(default=1, ge=0, le=64)
    max_digits: int = Field(default=32, ge=1, le=64)
    terminators: str = Field(default="#", pattern=f"^[{DTMF_DIGITS}]*$")
    patterns: tuple[Annotated[str, AfterValidator(_is_pattern)], ...] = Field(
        default=(), description="Good digits, as in a dialplan; the first that fits ends it."
    )
    first_timeout: float = Field(default=8.0, gt=0, le=300)
    inter_digit_timeout: float = Field(default=4.0, gt=0, le=60)
    total_timeout: float = Field(default=30.0, gt=0, le=600)
    barge_in: bool = Field(default=True, description="The first key stops the question.")
    attempts: int = Field(default=1, ge=1, le=10)
    nothing_came: tuple[Text, ...] = Field(default=(), description="Said before asking again.")
    not_good: tuple[Text, ...] = Field(default=(), description="Said before asking again.")


class SendDtmf(_Verb):
    """Sends telephone-events to the caller, one after another; a comma is a pause of 2 s."""

    digits: str = Field(pattern=f"^[{DTMF_DIGITS},]{{1,64}}$", repr=False)
    duration_ms: int = Field(default=100, ge=40, le=6000)
    gap_ms: int = Field(default=70, ge=30, le=6000)


class Pause(_Verb):
    """Waits; the caller hears silence."""

    seconds: float = Field(gt=0, le=3600)


Verb = Say | Play | Gather | SendDtmf | Pause
