"""Owns the models of captures of calls."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from gateway.contract.base import Answer, Request
from gateway.terms import CaptureEnd


class NewCapture(Request):
    """What to capture of a call."""

    seconds: int = Field(default=60, ge=1, le=86_400, description="How long at most.")
    sip: bool = Field(default=True, description="SIP messages, also those before.")
    rtp: bool = Field(default=True, description="RTP and RTCP of every leg, decrypted.")
    digits: bool = Field(
        default=False,
        description="Whether it may be seen which digits are pressed. Those of a secure gather "
        "never are.",
    )


class CaptureView(Answer):
    """A capture of a call."""

    call: str
    state: str = Field(description="`running` or `done`.")
    began_at: datetime
    ends_at: datetime = Field(description="At the latest; the call's end ends it too.")
    sip: bool
    rtp: bool
    digits: bool
    reason: CaptureEnd | None = Field(description="Why it is done.")
    packets: int | None = Field(description="In the file.")
    lost: int | None = Field(description="Packets that there was no room or no time for.")
