"""What the configuration may say about timelines of calls, and captures of their packets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimelineConfig(_Model):
    """What is kept in memory of each call's course: SIP messages, events, quality."""

    sip: bool = Field(default=True, description="whether SIP messages are part of it")
    keep_minutes: float = Field(default=15.0, ge=0, le=1440, description="after a call's end")
    memory_mb: int = Field(default=64, ge=1, le=4096, description="most for all calls together")


class CapturesConfig(_Model):
    """Captures of a call's packets, which the API may ask for."""

    folder: str = Field(
        default="captures",
        min_length=1,
        description="relative to this file; made where needed, for its owner alone",
    )
    keep_minutes: float = Field(default=60.0, ge=0, le=10_080, description="then they are deleted")
    max_seconds: int = Field(default=600, ge=1, le=86_400, description="longest capture")
    max_mb: int = Field(default=64, ge=1, le=2048, description="largest file")
