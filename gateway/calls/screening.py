"""Owns asking who answered a dial, before the two are joined: a whisper, and a key to take it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.calls.audio import CallAudio
from gateway.calls.programs import Key, Sounds
from gateway.calls.programs.playing import Players
from gateway.errors import GatewayError
from gateway.events import DigitReceived, Event
from gateway.ids import LegId
from gateway.media.pcm import Pcm
from gateway.ports import MediaPort
from gateway.verbs.dialling import DialSettings

CONFIRM_SECONDS = 10.0
"""How long who answered may take to confirm, once the whisper is over."""


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
        self._players: dict[LegId, Players] = {}

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
        self._close_players(leg)

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
        players = self._players[leg] = Players(self._audio)
        sound = players.play(pcm, (port,))
        try:
            if confirm is None:
                await sound
                return False
            return await self._first(leg, sound, confirm)
        except TimeoutError:
            return False
        finally:
            self._close_players(leg)

    async def _first(self, leg: LegId, sound: Coroutine[Any, Any, None], confirm: str) -> bool:
        whisper = asyncio.create_task(sound, name="whisper")
        pressed = asyncio.create_task(self._pressed(leg, confirm), name="confirmation")
        try:
            await asyncio.wait([whisper, pressed], return_when=asyncio.FIRST_COMPLETED)
            if whisper.done():
                whisper.result()  # raises what the media plane raised
            return pressed.done()
        finally:
            whisper.cancel()
            pressed.cancel()
            await asyncio.wait([whisper, pressed])

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

    def _close_players(self, leg: LegId) -> None:
        players = self._players.pop(leg, None)
        if players is not None:
            players.close()
