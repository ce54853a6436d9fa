"""The call as a Python program sees it: its facts, and the verbs as methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gateway.calls.programs.base import ProgramContext
from gateway.calls.programs.performing import Gathered, perform
from gateway.calls.verbs import Gather, Pause, Play, Say, SendDtmf
from gateway.errors import NORMAL, Verdict


class HangUp(BaseException):
    """A program ended its call. No Exception, so that `except Exception` does not keep it."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.text)


class Call:
    """One answered call. When the caller hangs up, the program is cancelled: `finally` blocks run,
    and what it plays or waits for stops at once.

    Verbs raise ValueError for arguments that they do not take, and GatewayError when the media
    plane fails; either ends the call, unless the program deals with it.
    """

    def __init__(self, context: ProgramContext) -> None:
        self._context = context

    @property
    def id(self) -> str:
        """The call's id, as in events and logs."""
        return self._context.facts.call

    @property
    def caller(self) -> str:
        """Who calls, as the dialplan's rules saw it; may be anything a stranger sent."""
        return self._context.facts.caller

    @property
    def callee(self) -> str:
        """What was dialled."""
        return self._context.facts.callee

    @property
    def variables(self) -> Mapping[str, str]:
        """What the dialplan's `set` steps left."""
        return self._context.facts.variables

    async def say(self, text: str) -> None:
        """Speaks `text` (at most 1000 characters); returns at its end."""
        await perform(self._context, Say(text=text))

    async def play(self, file: Path | str) -> None:
        """Plays an audio file (wav, mp3, ogg, flac; at most ten minutes); returns at its end."""
        await perform(self._context, Play(file=Path(file)))

    async def gather(self, *question: str, **settings: Any) -> Gathered:
        """Asks for digits; `settings` are the fields of gateway.calls.verbs.Gather."""
        return await perform(self._context, Gather(question=question, **settings))

    async def send_dtmf(self, digits: str, *, duration_ms: int = 100, gap_ms: int = 70) -> None:
        """Sends tones to the caller; a comma is a pause of 2 s. Returns when they are through."""
        verb = SendDtmf(digits=digits, duration_ms=duration_ms, gap_ms=gap_ms)
        await perform(self._context, verb)

    async def pause(self, seconds: float) -> None:
        """Waits; the caller hears silence."""
        await perform(self._context, Pause(seconds=seconds))

    def hangup(self, text: str = "The program ended") -> NoReturn:
        """Ends the call. `text` goes into its record and the BYE's Reason header (RFC 3326)."""
        raise HangUp(NORMAL.because(text))
