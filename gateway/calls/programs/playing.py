"""Owns prompts that are heard once: each on a player of its own, which closes with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.calls.audio import CallAudio
from gateway.media.pcm import Pcm
from gateway.ports import MediaEvent, MediaPort, PlayDone

PLAY_SLACK_SECONDS = 5.0
"""How long past its length a prompt may take before the media plane counts as failed."""


class Players:
    """The players of one program, command or screening."""

    def __init__(self, audio: CallAudio) -> None:
        self._audio = audio
        self._open: set[MediaPort] = set()

    async def play(self, pcm: Pcm, ports: Sequence[MediaPort]) -> None:
        """Plays to `ports` and returns at the end; cancelling it stops the sound at once.

        Raises TimeoutError when the end never comes, GatewayError(MEDIA_FAILED).
        """
        done = asyncio.Event()

        def heard(event: MediaEvent) -> None:
            if isinstance(event, PlayDone):
                done.set()

        player = self._audio.play(pcm.samples, pcm.rate)
        self._open.add(player)
        try:
            self._audio.subscribe(player, heard)
            for port in ports:
                self._audio.connect(player, port)
            async with asyncio.timeout(pcm.seconds + PLAY_SLACK_SECONDS):
                await done.wait()
        finally:
            self._close(player)

    def close(self) -> None:
        """Stops every sound, now; twice does nothing."""
        for player in tuple(self._open):
            self._close(player)

    def _close(self, player: MediaPort) -> None:
        if player in self._open:
            self._open.discard(player)
            self._audio.unsubscribe(player)
            self._audio.close(player)
