"""A node's calls without a network: doubles on all sides, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.calls import Call, CallRegistry, CallSettings
from gateway.calls.programs import Sounds
from gateway.config.document import parse_document
from gateway.dialplan import plan_from
from gateway.events import Event
from gateway.media.clips import Clips
from gateway.ports import IncomingSip, LegKind
from gateway.storage import Envelope, EventLog
from gateway.testing import FakeBrowsers, FakeLeg, FakeMedia, FakeSipPlane, LoopClock
from gateway.testing.prompts import SpokenPrompts

PLAN = """
contexts:
  browser:
    - {match: phone, dial: {trunk: trunk, number: "200"}}
    - {match: quick, dial: {trunk: trunk, number: "200"}, ring_timeout: 5}
    - {match: alice, dial: {user: alice}}
    - {match: echo, echo: }
    - {match: ivr, ivr: }
    - {match: no, reject: {status: 486, reason: Not today}}
  trunk:
    - {match: alice, dial: {user: alice}}
    - {match: echo, echo: }
    - {match: ivr, ivr: }
"""


class Stand:
    """One node's calls with doubles on all sides."""

    def __init__(self, settings: CallSettings | None = None, plan: str = PLAN) -> None:
        self.media = FakeMedia()
        self.sip = FakeSipPlane(self.media)
        self.browsers = FakeBrowsers(self.media, alice=1)
        self.log = EventLog(LoopClock())
        self.down: set[str] = set()  # trunks
        self.registry = CallRegistry(
            plan=plan_from(parse_document(plan)),
            media=self.media,
            sip=self.sip,
            browsers=self.browsers,
            log=self.log,
            clock=LoopClock(),
            sounds=Sounds(SpokenPrompts(), Clips(), Path()),
            settings=settings,
            trunk_is_down=lambda trunk: trunk in self.down,
        )

    def browser_calls(self, to: str, user: str = "") -> tuple[FakeLeg, Call]:
        """A browser calls."""
        leg = FakeLeg(LegKind.WEBRTC, self.media)
        return leg, self.registry.start_browser_call(leg, user, to)

    def phone_calls(self, to: str, caller: str = "555") -> tuple[FakeLeg, Call]:
        """A phone calls by the trunk."""
        leg = FakeLeg(LegKind.SIP, self.media)
        call = self.registry.start_sip_call(IncomingSip(leg, "trunk", caller, to))
        assert call is not None
        return leg, call

    async def talking(self) -> tuple[FakeLeg, FakeLeg, Call]:
        """A browser and a phone that talk: caller, callee, call."""
        caller, call = self.browser_calls("phone")
        caller.media(early=True)
        await breathe()
        callee = self.sip.legs[-1]
        callee.answers()
        await breathe()
        assert call.state == "connected"
        return caller, callee, call

    def events(self, call: Call) -> list[Event]:
        """What the log holds of a call."""
        return [item.event for item in self.log.replay(0, call.id)]

    def assert_nothing_is_left(self) -> None:
        """No call, port, connection, relay, listener or task survives."""
        assert not self.registry.calls
        assert not self.media.open
        assert not self.media.connections
        assert not self.media.relays
        assert not self.media.subscribed
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def breathe(seconds: float = 0.01) -> None:
    """Lets everything that is ready happen; virtual time, so nothing is waited for."""
    await asyncio.sleep(seconds)


async def ended(call: Call) -> list[Event]:
    """The call's events, once it is over."""
    events = [item.event async for item in call.events() if isinstance(item, Envelope)]
    await breathe()
    return events


@pytest.fixture
def make_stand(logs: object) -> Callable[..., Stand]:
    """Builds stands; `logs` keeps their lines off the terminal."""
    return Stand


@pytest.fixture
def stand(make_stand: Callable[..., Stand]) -> Stand:
    """A stand with the usual settings."""
    return make_stand()


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Log entries, as structlog gets them."""
    with structlog.testing.capture_logs() as entries:
        yield entries
