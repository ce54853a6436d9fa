"""Turns the events of one call into what its browser is told. Pure."""

from __future__ import annotations

from gateway.api.ports import CallState, CallUpdate, DigitHeard, StateChanged
from gateway.errors import Verdict
from gateway.events import (
    CallAnswered,
    CallEarlyMedia,
    CallEnded,
    CallHeld,
    CallRinging,
    DigitReceived,
    DigitStarted,
    Event,
    MediaPathChanged,
)
from gateway.ids import LegId


class Narrator:
    """Follows one call from its first event on."""

    def __init__(self) -> None:
        self._state: CallState | None = None
        self._answered = False
        self._held: set[LegId] = set()
        self._media = ""

    def tell(self, event: Event) -> CallUpdate | None:
        """What there is to tell after `event`; None: nothing new."""
        match event:
            case CallRinging():
                return self._become(self._state or CallState.RINGING)
            case CallEarlyMedia() if not self._answered:
                return self._become(CallState.EARLY)
            case CallAnswered():
                self._answered = True
                return self._become(self._talking())
            case CallHeld(leg, held):
                (self._held.add if held else self._held.discard)(leg)
                return self._become(self._talking()) if self._answered else None
            case MediaPathChanged(description):
                return self._path(description)
            case CallEnded(verdict):
                return self._become(CallState.ENDED, verdict)
            case DigitStarted(leg, digit, number):
                return DigitHeard(leg, digit, number)
            case DigitReceived(leg, digit, duration_ms, number):
                return DigitHeard(leg, digit, number, duration_ms)
            case _:
                return None

    def _talking(self) -> CallState:
        return CallState.HELD if self._held else CallState.ANSWERED

    def _become(self, state: CallState, reason: Verdict | None = None) -> StateChanged | None:
        if state is self._state:
            return None
        self._state = state
        return StateChanged(state, reason, self._media)

    def _path(self, description: str) -> StateChanged | None:
        self._media = description
        return StateChanged(self._state, None, description) if self._state else None
