"""Owns the recording of one call: at most one at a time, beside whatever the call does."""

from __future__ import annotations

from gateway.errors import FORBIDDEN, GatewayError
from gateway.ports import MediaPort
from gateway.verbs import Record


class CallRecorder:
    """stub"""

    async def start(self, verb: Record, port: MediaPort) -> str:
        raise GatewayError(FORBIDDEN)

    async def stop(self) -> str:
        raise GatewayError(FORBIDDEN)

    def pause(self, paused: bool) -> str:
        raise GatewayError(FORBIDDEN)

    def mute(self, muted: bool) -> None:
        pass

    def close(self) -> None:
        pass
