"""Owns the verbs that are heard, or listen: speech, files, digits, holding, recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from gateway.ports import DTMF_DIGITS
from gateway.speech.values import Kind
from gateway.verbs.fields import (
    Language,
    PatternText,
    Side,
    Sides,
    Source,
    Text,
    Texts,
    Verb,
    one_or_many,
)


class Play(Verb):
    """Plays an audio file (wav, mp3, ogg, flac)."""

    verb: ClassVar[str] = "play"
    short: ClassVar[str | None] = "file"
    file: Source = Field(description="A file, or an http or https address.")
    loop: int = Field(default=1, ge=0, le=1000, description="How often; 0: without end.")
    volume: float = Field(default=0.0, ge=-60, le=20, description="Decibel louder or softer.")
    seek: float = Field(default=0.0, ge=0, le=3600, description="Where it begins, in seconds.")
    stop_on: str = Field(
        default="", pattern=f"^[{DTMF_DIGITS}]*$", description="Keys that stop it."
    )
    leg: Sides = Sides.CALLER


class Say(Verb):
    """Speaks a text, or reads out a value."""

    model_config = ConfigDict(populate_by_name=True)

    verb: ClassVar[str] = "say"
    short: ClassVar[str | None] = "text"
    text: Text = Field(
        description="What to say: for dates `2026-12-24`, times `18:30`, amounts `12.50 EUR`."
    )
    spoken_as: Kind | None = Field(
        default=None, alias="as", description="How it is read out; default: as a text."
    )
    language: Language | None = Field(default=None, description="Default: the node's.")
    voice: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9+_-]{1,64}$", description="A voice of the engine."
    )
    stop_on: str = Field(
        default="", pattern=f"^[{DTMF_DIGITS}]*$", description="Keys that stop it."
    )
    leg: Sides = Sides.CALLER


def _part(value: object) -> object:
    """A part of a question, of which `{play: ...}` and `{say: ...}` mean what is in them."""
    if isinstance(value, Mapping):
        for model in (Play, Say):
            if set(value) == {model.verb}:
                return model.model_validate(value[model.verb])
        return (Play if "file" in value else Say).model_validate(value)
    return value


Question = Annotated[Text | Play | Say, BeforeValidator(_part)]


class Gather(Verb):
    """Asks for digits: says the question, takes keys, and asks again when they are not good.

    Digits that are gathered do not reach the other side of the call.
    """

    verb: ClassVar[str] = "gather"
    question: Annotated[tuple[Question, ...], one_or_many] = Field(
        default=(),
        description="Texts, or `play` and `say` with their fields, of which how often, until which "
        "key and to whom do not count here.",
    )
    min_digits: int = Field(default=1, ge=0, le=64)
    max_digits: int = Field(default=32, ge=1, le=64)
    terminators: str = Field(default="#", pattern=f"^[{DTMF_DIGITS}]*$")
    patterns: Annotated[tuple[PatternText, ...], one_or_many] = Field(
        default=(),
        description="Good digits, as in a dialplan (`_4X`); the first that fits ends it.",
    )
    first_timeout: float = Field(default=8.0, gt=0, le=300, description="Until the first key.")
    inter_digit_timeout: float = Field(default=4.0, gt=0, le=60, description="Between keys.")
    total_timeout: float = Field(default=30.0, gt=0, le=600, description="For all keys.")
    barge_in: bool = Field(default=True, description="The first key stops the question.")
    attempts: int = Field(default=1, ge=1, le=10, description="How often to ask.")
    nothing_came: Texts = Field(default=(), description="Said before asking again.")
    not_good: Texts = Field(default=(), description="Said before asking again.")
    secure: bool = Field(
        default=False, description="Digits are masked everywhere; recordings are silent meanwhile."
    )
    leg: Side = Field(default=Side.CALLER, description="Who is asked.")


class SendDtmf(Verb):
    """Sends telephone-events, one after another; a comma is a pause of 2 s."""

    verb: ClassVar[str] = "send_dtmf"
    short: ClassVar[str | None] = "digits"
    digits: str = Field(pattern=f"^[{DTMF_DIGITS},]{{1,64}}$", repr=False)
    duration_ms: int = Field(default=100, ge=40, le=6000)
    gap_ms: int = Field(default=70, ge=30, le=6000)
    leg: Side = Side.CALLER


class Hold(Verb):
    """Puts a side on hold: it hears music, the other side hears nothing of it."""

    verb: ClassVar[str] = "hold"
    leg: Side = Side.CALLER
    music: Source | None = Field(default=None, description="A file; default: silence.")


class Unhold(Verb):
    """Takes a side back from hold."""

    verb: ClassVar[str] = "unhold"
    leg: Side = Side.CALLER


class Mute(Verb):
    """The other side no longer hears this one; its keys still count."""

    verb: ClassVar[str] = "mute"
    leg: Side = Side.CALLER


class Unmute(Verb):
    """The other side hears this one again."""

    verb: ClassVar[str] = "unmute"
    leg: Side = Side.CALLER


class Record(Verb):
    """Starts, stops, pauses or resumes the recording of the call; it runs beside other verbs."""

    verb: ClassVar[str] = "record"
    short: ClassVar[str | None] = "action"
    action: Literal["start", "stop", "pause", "resume"] = "start"
    consent: bool = Field(
        default=False, description="The parties agreed; without it nothing is recorded."
    )
    format: Literal["wav", "ogg", "mp3", "flac"] | None = Field(
        default=None, description="Default: as configured."
    )
    channels: Literal["stereo", "mixed"] = Field(
        default="stereo", description="Stereo: the caller left, what it hears right."
    )
    beep: bool = Field(default=False, description="Both sides hear a beep when it starts.")
    max_seconds: float = Field(default=3600.0, gt=0, le=86_400, description="It stops then.")
    silence_seconds: float = Field(
        default=0.0, ge=0, le=3600, description="It stops after so much silence; 0: never."
    )

    @model_validator(mode="after")
    def _with_consent(self) -> Self:
        if self.action == "start" and not self.consent:
            raise ValueError("a recording without consent: say consent: true when all agreed")
        return self
