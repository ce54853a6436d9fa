"""Owns what a leg hears while it waits: ringing, or music, until somebody stops it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.calls.audio import CallAudio
from gateway.calls.programs import Sounds
from gateway.calls.programs.tones import tone
from gateway.errors import GatewayError
from gateway.media.pcm import Pcm
from gateway.ports import MediaPort

RINGING_HZ, RINGING_ON, RINGING_OFF = 425, 1.0, 4.0
"""Ringing tone within ITU-T E.180 clause 4, in the cadence of ETSI TR 101 041-2; seconds."""


_RINGING = tone(RINGING_HZ, RINGING_ON, RINGING_OFF)


class Background:
    """Endless sounds on the ports of one call: at most one for each port."""

    def __init__(self, audio: CallAudio, sounds: Sounds, log: Any) -> None:
        self._audio = audio
        self._sounds = sounds
        self._log = log
        self._players: dict[MediaPort, MediaPort] = {}
        self._loading: dict[MediaPort, asyncio.Task[None]] = {}

    def start(self, group: asyncio.TaskGroup, port: MediaPort, music: str | None) -> None:
        """`port` hears `music`, or (None) ringing. Music that cannot be had is silence, and told
        to the log: no call ends for it."""
        self.stop(port)
        if music is None:
            self._play(port, _RINGING)
        else:
            self._loading[port] = group.create_task(self._load(port, music), name="music")

    def stop(self, port: MediaPort) -> None:
        """Silence again; nothing happens where nothing is played."""
        loading = self._loading.pop(port, None)
        if loading is not None:
            loading.cancel()
        player = self._players.pop(port, None)
        if player is not None:
            self._audio.close(player)

    def close(self) -> None:
        """Stops everything."""
        for port in self._loading.keys() | self._players.keys():
            self.stop(port)

    async def _load(self, port: MediaPort, music: str) -> None:
        try:
            self._play(port, await self._sounds.file(music))
        except GatewayError as error:
            self._log.warning("music.failed", code=error.verdict.code, text=error.verdict.text)
        self._loading.pop(port, None)

    def _play(self, port: MediaPort, pcm: Pcm) -> None:
        player = self._audio.play(pcm.samples, pcm.rate, loop=True)
        self._players[port] = player
        self._audio.connect(player, port)
