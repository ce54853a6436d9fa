"""Owns what a built-in program may do: its caller's port, keys, and players that close with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.errors import MEDIA_FAILED, GatewayError, Verdict
from gateway.ids import CallId
from gateway.media.clips import Clips
from gateway.media.prompts import Pcm, Prompts
from gateway.ports import Media, MediaEvent, MediaPort, PlayDone

PLAY_SLACK_SECONDS = 5.0
"""How long past its length a prompt may take before the media plane counts as failed."""


@dataclass(frozen=True, slots=True)
class Key:
    """The caller pressed a key, or (`duration_ms` set) let it go."""

    digit: str = field(repr=False)
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Sounds:
    """Where a program's speech and audio files come from."""

    prompts: Prompts
    clips: Clips


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a program may know of its call. Numbers are what rules saw, not what is safe to dial."""

    call: CallId
    caller: str = field(repr=False)
    callee: str = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


class ProgramContext:
    """One program on one caller's port. `close` is called before the program is cancelled."""

    def __init__(
        self,
        media: Media,
        port: MediaPort,
        sounds: Sounds,
        clock: Clock,
        facts: CallFacts,
        dropped: Callable[[str, str], None],
    ) -> None:
        self.media = media
        self.port = port
        self.prompts = sounds.prompts
        self.clips = sounds.clips
        self.clock = clock
        self.facts = facts
        self.keys: asyncio.Queue[Key | asyncio.Task[None]] = asyncio.Queue()
        """Keys of the caller, and prompt tasks that ended (see performing.gather)."""
        self._dropped = dropped  # told of each digit that could not be sent, and why
        self._looped = False
        self._players: set[MediaPort] = set()

    def loop_back(self) -> None:
        """The caller hears itself."""
        self._looped = True
        self.media.connect(self.port, self.port)

    def send_digit(self, digit: str, duration_ms: int, gap_ms: int = 70) -> None:
        """Queues a tone to the caller. One that cannot be sent (the caller's phone takes no such
        event, or too many wait) is a fact for the log, not the end of the call."""
        try:
            self.media.send_digit(self.port, digit, duration_ms, gap_ms)
        except GatewayError as error:
            self._dropped(digit, error.verdict.text)

    async def play(self, pcm: Pcm) -> None:
        """Plays to the caller and returns at the end; cancelling it stops the sound at once.

        Raises GatewayError(MEDIA_FAILED) when the end never comes.
        """
        done = asyncio.Event()

        def heard(event: MediaEvent) -> None:
            if isinstance(event, PlayDone):
                done.set()

        player = self.media.play(pcm.samples, pcm.rate)
        self._players.add(player)
        try:
            self.media.subscribe(player, heard)
            self.media.connect(player, self.port)
            async with asyncio.timeout(pcm.seconds + PLAY_SLACK_SECONDS):
                await done.wait()
        except TimeoutError:
            raise GatewayError(MEDIA_FAILED, "a prompt did not come to its end") from None
        finally:
            self._close(player)

    def close(self) -> None:
        """Gives back everything that the program opened; twice does nothing."""
        for player in tuple(self._players):
            self._close(player)
        if self._looped:
            self._looped = False
            self.media.disconnect(self.port, self.port)

    def _close(self, player: MediaPort) -> None:
        if player in self._players:
            self._players.discard(player)
            self.media.unsubscribe(player)
            self.media.close(player)


Program = Callable[[ProgramContext], Awaitable[Verdict]]
"""Returns how the call ended; the call ends then. Cancelled when the caller hangs up."""
