"""Owns the models of trunks."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from gateway.contract.base import Answer
from gateway.terms import Codec, TrunkState


class TrunkFailure(Answer):
    """A call that the trunk failed."""

    at: datetime = Field(description="When its leg ended.")
    code: str = Field(description="`peer_unreachable`, `peer_refused`.")
    sip_status: int = Field(description="Of the final response, or what it counts as.")


class LiveLegs(Answer):
    """Legs of live calls."""

    incoming: int = Field(description="Calls that came from it.")
    outgoing: int = Field(description="Legs that it was asked for.")


class TrunkView(Answer):
    """A trunk. Its health follows from the calls that were sent to it, since the node's start."""

    name: str = Field(description="What dialplans call it.")
    host: str = Field(description="Its name or address.")
    port: int = Field(description="Of SIP.")
    transport: str = Field(description="`udp` or `tcp`.")
    codecs: list[Codec] = Field(description="In the order of preference.")
    project: str = Field(description="Whose its incoming calls are.")
    state: TrunkState = Field(
        description="`failing`: the last three calls failed, or all there were. `unknown`: nobody "
        "called for an hour."
    )
    last_success: datetime | None = Field(
        description="When it last answered, or told that the callee was busy or the like."
    )
    last_failure: TrunkFailure | None = Field(description="null: none since the node's start.")
    failures_in_row: int = Field(description="Since the last success.")
    answered: int = Field(description="Calls, in the last 5 minutes.")
    failed: int = Field(description="Calls that it failed, in the last 5 minutes.")
    live: LiveLegs = Field(description="What it carries now.")


class Trunks(Answer):
    """The trunks, in the order of the configuration."""

    trunks: list[TrunkView] = Field(description="Those that the identity may see.")
