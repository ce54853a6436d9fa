"""Owns rehearsing a call program: a caller who listens and presses keys, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.calls import Call, CallRegistry
from gateway.calls.programs import Asks, Program, ProgramContext, Sounds
from gateway.calls.recorder import Recorders
from gateway.clock import Instant
from gateway.config.document import parse_document
from gateway.config.model import RecordingsConfig
from gateway.dialplan import Action, Origin, Plan, Request, RunProgram, plan_from
from gateway.errors import NORMAL, Verdict
from gateway.events import DigitSent, Event, VerbStarted
from gateway.media.clips import Clips
from gateway.media.pcm import Pcm
from gateway.media.recordings import Recordings
from gateway.ports import LegKind
from gateway.storage import EventLog
from gateway.testing.clock import InlineExecutor, LoopClock
from gateway.testing.legs import FakeBrowsers, FakeLeg, FakeSipPlane
from gateway.testing.media import FakeMedia
from gateway.testing.prompts import RATE, SpokenPrompts, text_of

PATIENCE = 3600.0  # seconds of virtual time
_NAME = "rehearsed"
_ANY = "contexts: {browser: []}"
"""A plan whose policies let a program dial whatever it likes."""


class _NamedClips(Clips):
    """Audio files are not read: each plays for a second, and is heard as its name."""

    async def load(self, source: Path | str) -> Pcm:
        return Pcm(f"[{Path(source).name}]".encode().ljust(RATE * 2, b"\0"), RATE)


class Rehearsal:
    """A program, or a dialplan, and its caller, without network, audio or waiting. Use it with
    `virtual_time`:

    @virtual_time
    async def test_support() -> None:
        async with Rehearsal(app.programs["support"]) as caller:
            await caller.hears("Press one for sales, two for support.")
            caller.press("2")
            await caller.hears("Goodbye.")
            verdict = await caller.end()

    `phones` and `browsers` are the far ends of what it dials. Leaving the block hangs up. A bug of
    the program ends its call, as it would in the gateway; `end` raises it.
    """

    def __init__(
        self,
        program: Program | Plan,
        *,
        caller: str = "alice",
        callee: str = "100",
        variables: Mapping[str, str] | None = None,
        programs: Mapping[str, Program] | None = None,
        plan: Plan | None = None,
        webhooks: Asks | None = None,
        recordings: Path | None = None,
    ) -> None:
        """program: a call program, or the plan that decides about the call. programs: others, by
        name. plan: what a program dials and goes on by. recordings: their folder; None refuses to
        record."""
        self.media = FakeMedia()
        self.phones = FakeSipPlane(self.media)
        self.browsers = FakeBrowsers(self.media)
        self._clock = LoopClock()
        self.log = EventLog(self._clock)
        self._bugs: list[BaseException] = []
        known = {name: self._watched(one) for name, one in (programs or {}).items()}
        plan = plan or plan_from(parse_document(_ANY))
        self._action: Action | None = None
        if isinstance(program, Plan):
            plan = program
        else:
            known[_NAME] = self._watched(program)
            self._action = RunProgram(_NAME)
        self.secrets: list[bool] = []  # digits began to be secret, or are no more
        self.registry = CallRegistry(
            plan=plan,
            media=self.media,
            sip=self.phones,
            browsers=self.browsers,
            log=self.log,
            clock=self._clock,
            sounds=Sounds(SpokenPrompts(), _NamedClips(), Path()),
            programs=known,
            webhooks=webhooks,
            recorders=self._recorders(recordings),
            keep_secret=lambda _call, secret: self.secrets.append(secret),
        )
        context = plan.context_of(Origin.BROWSER, caller)
        self._request = Request(
            context,
            caller,
            callee,
            Origin.BROWSER,
            caller,
            self._clock.now().wall,
            variables=variables or {},
        )
        self.leg = FakeLeg(LegKind.WEBRTC, self.media)
        self._call: Call | None = None
        self._seen = 0
        self._is_alone = True

    def another(self, program: str, *, caller: str = "bob") -> Rehearsal:
        """Another caller at the same gateway, with one of `programs`."""
        other = copy(self)
        other._is_alone = False
        other._action = RunProgram(program)
        other._request = replace(self._request, caller=caller, source=caller)
        other.leg = FakeLeg(LegKind.WEBRTC, self.media)
        other._call = None
        other._seen = len(self.heard)
        return other

    async def called_out(self) -> Rehearsal:
        """Waits until a program has the gateway call somebody (`Call.call_out`): that call, whose
        caller is who answers at `phones` or `browsers`. AssertionError: nobody is called."""
        calls, legs = set(self.registry.calls), self._called()
        deadline = self.now.monotonic + PATIENCE
        while not (new := self.registry.calls.keys() - calls):
            assert self.now.monotonic < deadline, "nobody is called"
            await asyncio.sleep(0.01)
        other = copy(self)
        other._is_alone = False
        other._call = self.registry.calls[new.pop()]
        [other.leg, *_] = self._called() - legs
        return other

    def _called(self) -> set[FakeLeg]:
        return {*self.browsers.legs, *self.phones.legs}

    def _recorders(self, folder: Path | None) -> Recorders | None:
        if folder is None:
            return None
        config = RecordingsConfig(folder=str(folder))
        return Recorders(Recordings(folder, self.media, InlineExecutor()), config)

    def _watched(self, program: Program) -> Program:
        async def run(context: ProgramContext) -> Verdict:
            try:
                return await program(context)
            except Exception as bug:
                self._bugs.append(bug)
                raise

        return run

    async def __aenter__(self) -> Self:
        self._call = self.registry.begin(self.leg, self._request, self._action)
        self.leg.media(early=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.hang_up()

    @property
    def call(self) -> Call:
        """The call."""
        assert self._call is not None, "the rehearsal has not begun"
        return self._call

    @property
    def now(self) -> Instant:
        """Virtual time."""
        return self._clock.now()

    @property
    def events(self) -> list[Event]:
        """Everything that the log holds of the call."""
        return [item.event for item in self.log.replay(0, self.call.id)]

    @property
    def heard(self) -> list[str]:
        """Every prompt that began so far; an audio file is its name in brackets."""
        return [text_of(played) for played in self.media.played if not played.loop]

    @property
    def verbs(self) -> list[str]:
        """The verbs that were performed so far."""
        return [event.verb for event in self.events if isinstance(event, VerbStarted)]

    @property
    def tones(self) -> str:
        """The digits that were sent to the caller so far."""
        sent = [event for event in self.events if isinstance(event, DigitSent)]
        return "".join(event.digit for event in sent if event.leg == self.leg.id)

    async def hears(self, *texts: str) -> None:
        """Waits for these prompts, one after another and nothing else; AssertionError if others
        come, or the call ends before."""
        for text in texts:
            await self._next_prompt(text)
            said = self.heard[self._seen]
            self._seen += 1
            assert said == text, f"the caller hears {said!r}, not {text!r}"

    async def _next_prompt(self, wanted: str) -> None:
        deadline = self.now.monotonic + PATIENCE
        while len(self.heard) <= self._seen:
            assert self.call.verdict is None, f"the call has ended, and never said {wanted!r}"
            assert self.now.monotonic < deadline, f"the caller waits in vain for {wanted!r}"
            await asyncio.sleep(0.01)

    def press(self, digits: str, duration_ms: int = 100) -> None:
        """Keys of the caller, one after another."""
        assert self.leg.port is not None
        self.media.press(self.leg.port, digits, duration_ms)

    async def end(self) -> Verdict:
        """Waits until the call ends. Raises what the program raised."""
        async with asyncio.timeout(PATIENCE):
            await self.call.wait_ended()
        if self._bugs:
            raise self._bugs[0]
        assert len(self.heard) == self._seen, f"also said: {self.heard[self._seen :]}"
        assert self.call.verdict is not None
        return self.call.verdict

    async def hang_up(self) -> None:
        """The caller hangs up, if the call is not over."""
        if self._call is not None and not self.leg.ended and self.call.verdict is None:
            self.leg.ends(NORMAL)
        if self._is_alone:
            await self.registry.close_all()
