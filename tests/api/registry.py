"""A real call registry over doubles of media, SIP and browsers, as the API's calls need it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.api.calls import BrowserCalls
from gateway.api.directory import Directory
from gateway.api.gate import CallGate
from gateway.calls import CallRegistry
from gateway.calls.programs import Sounds
from gateway.config.document import parse_document
from gateway.dialplan import Plan, plan_from
from gateway.identity.values import Identity
from gateway.ids import CallId
from gateway.media.clips import Clips
from gateway.ports import LegKind
from gateway.storage.event_log import EventLog
from gateway.testing import FakeLeg, FakeMedia, FakeSipPlane, LoopClock
from gateway.testing.prompts import SpokenPrompts

DIALPLAN = """
contexts:
  browser:
    - match: echo
      echo: {}
    - match: alice
      dial: {user: alice}
    - match: _NXX.
      dial: {trunk: carrier, number: "${callee}"}
  carrier:
    - match: alice
      dial: {user: alice}
  demo:  # calls that are started over HTTP
    callers: {allow: _+., default: "+4930100"}
    rules:
      - match: _NXX.
        dial: {trunk: carrier, number: "${callee}"}
"""


def plan(text: str = DIALPLAN) -> Plan:
    """The test's dialplan."""
    return plan_from(parse_document(text))


class FakeBrowserLeg(FakeLeg):
    """A browser's leg without media, for the registry."""

    def __init__(self, media: FakeMedia) -> None:
        super().__init__(LegKind.WEBRTC, media)
        self.messages: list[str] = []
        self.candidates: list[str | None] = []

    def add_candidate(self, candidate: str | None, mid: str | None) -> None:
        self.candidates.append(candidate)

    async def renegotiate(self, sdp: str) -> str:
        return sdp

    def send_message(self, text: str) -> bool:
        self.messages.append(text)
        return True


@dataclass
class Node:
    """A node without network. Must be made inside a running loop."""

    dialplan: str = DIALPLAN
    media: FakeMedia = field(default_factory=FakeMedia)
    directory: Directory = field(default_factory=Directory)

    def __post_init__(self) -> None:
        clock = LoopClock()
        self.sip = FakeSipPlane(self.media)
        self.log = EventLog(clock)
        self.registry = CallRegistry(
            plan=plan(self.dialplan),
            media=self.media,
            sip=self.sip,
            browsers=self.directory,
            log=self.log,
            clock=clock,
            sounds=Sounds(SpokenPrompts(), Clips(), Path()),
        )
        self.gate = CallGate(self.registry, clock)
        self.calls = BrowserCalls(self.registry, self.gate)
        self.leg = FakeBrowserLeg(self.media)

    async def place(self, to: str, user: str = "bob") -> CallId:
        """A call of the one leg."""
        with self.calls.admit(Identity(user=user), to) as admission:
            return await self.calls.place(self.leg, admission)

    async def close(self) -> None:
        await self.registry.close_all()
        await self.calls.close()
