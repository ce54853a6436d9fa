"""Owns what a signalling session knows of one of its calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.api import messages as m
from gateway.api.directory import RingingLeg
from gateway.api.ports import BrowserLeg, Unsubscribe
from gateway.ids import CallId


@dataclass
class SessionCall:
    """A call as this browser has it: ringing, being answered, or running on `leg`."""

    id: CallId
    leg: BrowserLeg | None = None
    ringing: RingingLeg | None = None  # set for incoming calls, also once answered
    answering: bool = False
    early_candidates: list[m.ClientCandidate] = field(default_factory=list)
    candidates: int = 0
    unsubscribe: Unsubscribe | None = None
    negotiation: asyncio.Lock = field(default_factory=asyncio.Lock)
