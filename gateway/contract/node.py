"""Owns the models of how the node does."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.contract.base import Answer


class ListeningView(Answer):
    """Where SIP is spoken, as bound."""

    transport: str = Field(description="`udp` or `tcp`.")
    address: str = Field(description="Of the socket.")
    port: int = Field(description="Also where the configuration leaves the choice.")


class MediaClock(Answer):
    """How punctual the media plane's clock is, since the node's start."""

    ticks: int = Field(description="Of 20 ms.")
    late_ticks: int = Field(description="That began more than 5 ms late.")
    skipped_ticks: int = Field(description="That were given up: the clock was 200 ms behind.")


class NodeView(Answer):
    """How the node does: figures of all projects together."""

    node: str = Field(description="Its name, as in the records of calls.")
    version: str = Field(description="The gateway's.")
    started_at: datetime = Field(description="Since when it is up.")
    state: Literal["ready", "draining"] = Field(description="`draining`: it takes no new calls.")
    live_calls: int = Field(description="Of all projects.")
    max_calls: int = Field(description="As many as there may be at once.")
    signed_in: int = Field(description="Browsers that can be called.")
    media_ports: int = Field(description="Of legs, players, recorders.")
    media_clock: MediaClock = Field(description="Lateness is heard.")
    sip: list[ListeningView] = Field(description="Its SIP transports.")
    recordings: int = Field(description="That are being written, or finished.")
    records_waiting: int = Field(description="Records of calls that wait for the database.")
    records_lost: int = Field(description="Records of calls that it never took.")
