"""Owns the models of recordings."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from gateway.contract.base import Answer, PageQuery
from gateway.contract.fields import Moment
from gateway.terms import RecordingFormat, RecordingState


class RecordingsQuery(PageQuery):
    """Which recordings."""

    call: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Of this call."
    )
    since: Moment | None = Field(default=None, description="That began then or later.")
    until: Moment | None = Field(default=None, description="That began before.")


class Recording(Answer):
    """A recording."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="What it is asked for by.")
    state: RecordingState = Field(description="`recording` until its file is whole.")
    call: str | None = Field(description="The call; null: an older gateway made it.")
    format: RecordingFormat = Field(description="Of its file, also while that is not there yet.")
    started: datetime = Field(description="When it began; of an older gateway's, when it ended.")
    seconds: float | None = Field(description="How long; null: not known, or not yet.")
    channels: int | None = Field(description="2: the recorded side on the left, the other right.")
    bytes: int | None = Field(description="Of the file; null: it is not finished.")


class RecordingsPage(Answer):
    """Some recordings, newest first."""

    recordings: list[Recording] = Field(description="At most as many as `limit`.")
    cursor: str | None = Field(description="Asks for the next page; null: there is none.")
