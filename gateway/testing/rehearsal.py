"""Owns rehearsing a call program: a caller who listens and presses keys, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.calls.programs import CallFacts, Key, Program, ProgramContext, Sounds
from gateway.clock import Instant
from gateway.errors import Verdict
from gateway.ids import CallId
from gateway.media.clips import Clips
from gateway.media.pcm import Pcm
from gateway.testing.clock import LoopClock
from gateway.testing.media import FakeMedia
from gateway.testing.prompts import RATE, SpokenPrompts, text_of

PATIENCE = 3600.0  # seconds of virtual time


class _NamedClips(Clips):
    """Audio files are not read: each plays for a second, and is heard as its name. So are URLs."""

    async def load(self, source: Path | str) -> Pcm:
        name = source.name if isinstance(source, Path) else source
        return Pcm(f"[{name}]".encode().ljust(RATE * 2, b"\0"), RATE)


class Rehearsal:
    """A program and its caller, without network, audio or waiting. Use with `virtual_time`:

    @virtual_time
    async def test_support() -> None:
        async with Rehearsal(app.programs["support"]) as caller:
            await caller.hears("Press one for sales, two for support.")
            caller.press("2")
            await caller.hears("Goodbye.")
            verdict = await caller.end()

    Leaving the block hangs up. What the program raised is raised by `end`.
    """

    def __init__(
        self,
        program: Program,
        *,
        caller: str = "alice",
        callee: str = "100",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._program = program
        self._media = FakeMedia()
        self._port = self._media.new_port()
        self._clock = LoopClock()
        self._seen = 0
        facts = CallFacts(CallId("rehearsal"), caller, callee, variables or {})
        sounds = Sounds(SpokenPrompts(), _NamedClips())
        self._context = ProgramContext(
            self._media, self._port, sounds, self._clock, facts, lambda digit, reason: None
        )
        self._task: asyncio.Task[Verdict] | None = None

    async def __aenter__(self) -> Self:
        async def run() -> Verdict:
            return await self._program(self._context)

        self._task = asyncio.create_task(run(), name="rehearsal")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.hang_up()

    @property
    def now(self) -> Instant:
        """Virtual time."""
        return self._clock.now()

    @property
    def heard(self) -> list[str]:
        """Every prompt that began so far; an audio file is its name in brackets, one
        of the web its URL."""
        return [text_of(played) for played in self._media.played]

    @property
    def tones(self) -> str:
        """The digits that the program sent so far."""
        return "".join(sent.digit for sent in self._media.sent)

    async def hears(self, *texts: str) -> None:
        """Waits for these prompts, one after another and nothing else; AssertionError if others
        come, or the program ends before."""
        for text in texts:
            await self._next_prompt(text)
            said = self.heard[self._seen]
            self._seen += 1
            assert said == text, f"the caller hears {said!r}, not {text!r}"

    async def _next_prompt(self, wanted: str) -> None:
        assert self._task is not None
        deadline = self.now.monotonic + PATIENCE
        while len(self._media.played) <= self._seen:
            assert not self._task.done(), f"the program has ended, and never said {wanted!r}"
            assert self.now.monotonic < deadline, f"the caller waits in vain for {wanted!r}"
            await asyncio.sleep(0.01)

    def press(self, digits: str, duration_ms: int = 100) -> None:
        """Keys, one after another."""
        for digit in digits:
            self._context.keys.put_nowait(Key(digit))
            self._context.keys.put_nowait(Key(digit, duration_ms))

    async def end(self) -> Verdict:
        """Waits until the program ends the call. Raises what the program raised."""
        assert self._task is not None
        async with asyncio.timeout(PATIENCE):
            verdict = await self._task
        assert len(self.heard) == self._seen, f"also said: {self.heard[self._seen :]}"
        return verdict

    async def hang_up(self) -> None:
        """The caller hangs up: the program is cancelled, if it is not over."""
        assert self._task is not None
        self._context.close()
        self._task.cancel()
        await asyncio.wait([self._task])
