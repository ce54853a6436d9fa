"""Owns the verbs that need no audio: how a call is taken, refused, routed on and ended."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gateway.verbs.fields import Name, Phrase, VariableName, Verb


class Answer(Verb):
    """Answers the call. Verbs that need audio answer by themselves."""

    verb: ClassVar[str] = "answer"


class Ring(Verb):
    """Tells the caller that the far end alerts (SIP 180)."""

    verb: ClassVar[str] = "ring"
    early_media: bool = Field(
        default=False,
        description="Open the caller's audio path (SIP 183): prompts are heard unanswered.",
    )


class Reject(Verb):
    """Refuses the call; one that is answered already is ended."""

    verb: ClassVar[str] = "reject"
    status: int = Field(default=403, ge=400, le=699, description="SIP status (RFC 3261 21).")
    reason: Phrase = Field(default="", description="Reason phrase.")


class Hangup(Verb):
    """Ends the call; one that is not answered yet is refused with 480."""

    verb: ClassVar[str] = "hangup"
    short: ClassVar[str | None] = "reason"
    reason: Phrase = Field(default="", description="For the record and the Reason header.")


class Pause(Verb):
    """Waits; an answered caller hears silence."""

    verb: ClassVar[str] = "pause"
    short: ClassVar[str | None] = "seconds"
    seconds: float = Field(gt=0, le=3600)


class Set(Verb):
    """Sets call variables. Written without a field: `set: {name: value}`."""

    verb: ClassVar[str] = "set"
    variables: dict[VariableName, str] = Field(min_length=1)


class Goto(Verb):
    """Goes on in a context of the dialplan; it does not come back."""

    verb: ClassVar[str] = "goto"
    short: ClassVar[str | None] = "context"
    context: Name = Field(description="Name of the context.")
    callee: str | None = Field(
        default=None, description="What counts as dialled there; default: as it is."
    )


class Bridge(Verb):
    """Joins the call with another live call, until one of them ends.

    The other call's program is stopped; when the bridge is over, that call ends too.
    """

    verb: ClassVar[str] = "bridge"
    short: ClassVar[str | None] = "call"
    call: str = Field(min_length=1, max_length=64, description="The other call's id.")
