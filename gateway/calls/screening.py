"""Owns asking who answered a dial, before the two are joined: a whisper, and a key to take it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.calls.audio import CallAudio
from gateway.calls.programs import Key, Sounds
from gateway.errors import GatewayError
from gateway.events import DigitReceived, Event
from gateway.ids import LegId
from gateway.media.pcm import Pcm
from gateway.ports import MediaPort, PlayDone
from gateway.verbs.dialling import DialSettings

CONFIRM_SECONDS = 10.0
"""How long who answered may take to confirm, once the whisper is over."""
_SLACK = 5.0


class Screening:
    """The screenings of one call, each on the port of a callee; `told` takes what came of it."""

    def __init__(
        self,
        audio: CallAudio,
        sounds: Sounds,
        told: Callable[[LegId, bool], None],
        log: Any,
    ) -> None:
        self._audio = audio
        self._sounds = sounds
        self._told = told
        self._log = log
        self._tasks: dict[LegId, asyncio.Task[None]] = {}
        self._keys: dict[LegId, asyncio.Queue[Key]] = {}
        self._players: dict[LegId, MediaPort] = {}

    def start(
        self, group: asyncio.TaskGroup, leg: LegId, port: MediaPort, how: DialSettings
    ) -> None:
        """Begins; what was there before is gone."""
        self.stop(leg)
        self._keys[leg] = asyncio.Queue()
        self._tasks[leg] = group.create_task(self._run(leg, port, how), name="screening")

    def stop(self, leg: LegId) -> None:
        """Nobody needs it any more; nothing happens where none runs."""
        self._keys.pop(leg, None)
        task = self._tasks.pop(leg, None)
        if task is not None:
            task.cancel()
        self._close_player(leg)

    def offer(self, event: Event) -> None:
        """Gives a screening the keys of its leg."""
        if isinstance(event, DigitReceived) and event.leg in self._keys:
            self._keys[event.leg].put_nowait(Key(event.digit, event.duration_ms))

    def close(self) -> None:
        """Ends all."""
        for leg in tuple(self._tasks):
            self.stop(leg)

    async def _run(self, leg: LegId, port: MediaPort, how: DialSettings) -> None:
        accepted = how.confirm is None  # also when the whisper fails
        try:
            if how.whisper is not None:
                pcm = await self._sounds.prompts.say(how.whisper, language=how.language)
                accepted = await self._whisper(leg, port, pcm, how.confirm) or accepted
            if how.confirm is not None:
                accepted = accepted or await self._confirmed(leg, how.confirm)
        except GatewayError as error:
            self._log.warning("whisper.failed", code=error.verdict.code, text=error.verdict.text)
        self._tasks.pop(leg, None)
        self._keys.pop(leg, None)
        self._told(leg, accepted)

    async def _whisper(self, leg: LegId, port: MediaPort, pcm: Pcm, confirm: str | None) -> bool:
        """Plays; True as soon as the key is pressed."""
        done = asyncio.Event()
        player = self._players[leg] = self._audio.play(pcm.samples, pcm.rate)
        try:
            self._audio.subscribe(
                player, lambda event: done.set() if isinstance(event, PlayDone) else None
            )
            self._audio.connect(player, port)
            async with asyncio.timeout(pcm.seconds + _SLACK):
                return await self._first(leg, done, confirm)
        except TimeoutError:
            return False
        finally:
            self._close_player(leg)

    async def _first(self, leg: LegId, done: asyncio.Event, confirm: str | None) -> bool:
        if confirm is None:
            await done.wait()
            return False
        ended = asyncio.create_task(done.wait(), name="whisper")
        pressed = asyncio.create_task(self._pressed(leg, confirm), name="confirmation")
        try:
            await asyncio.wait([ended, pressed], return_when=asyncio.FIRST_COMPLETED)
            return pressed.done()
        finally:
            ended.cancel()
            pressed.cancel()
            await asyncio.wait([ended, pressed])

    async def _confirmed(self, leg: LegId, confirm: str) -> bool:
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._pressed(leg, confirm)
        except TimeoutError:
            return False
        return True

    async def _pressed(self, leg: LegId, confirm: str) -> None:
        keys = self._keys[leg]
        while (await keys.get()).digit != confirm:
            pass

    def _close_player(self, leg: LegId) -> None:
        player = self._players.pop(leg, None)
        if player is not None:
            self._audio.unsubscribe(player)
            self._audio.close(player)
