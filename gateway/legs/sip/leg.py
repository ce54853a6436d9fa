"""The asyncio face of one SIP call: the Leg that supervisors hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.errors import INTERNAL, Verdict
from gateway.ids import LegId, new_leg_id
from gateway.legs.outlet import Outlet
from gateway.legs.sip.messages import (
    Answer,
    Command,
    End,
    LegKey,
    OpenEarly,
    Ring,
    RingTimeout,
)
from gateway.ports import LegAnswered, LegEnded, LegEvent, LegKind, LegSink

PATIENCE_SECONDS: Final = 180.0
"""How long an incoming call may wait to be rung, answered or refused: as timer C of a proxy (RFC
3261 16.6). Calls have their own, shorter timers; this one is for a call that was forgotten."""


class SipLeg:
    """One SIP call (see gateway.ports.Leg). Made by SipPlane; asyncio thread only."""

    def __init__(
        self,
        key: LegKey,
        submit: Callable[[Command], None],
        on_end: Callable[[SipLeg], None],
        *,
        incoming: bool,
        patience: float,
    ) -> None:
        self.key = key
        self._id = new_leg_id()
        self._submit = submit
        self._on_end = on_end
        self._incoming = incoming
        self._outlet = Outlet()
        self._ended = False
        self._resolving: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = loop.call_later(patience, self._out_of_patience)

    @property
    def id(self) -> LegId:
        """This leg's id."""
        return self._id

    @property
    def kind(self) -> LegKind:
        """SIP."""
        return LegKind.SIP

    def listen(self, sink: LegSink) -> None:
        """Whom to tell; events that came earlier are delivered at once."""
        self._outlet.listen(sink)

    def ring(self) -> None:
        """Send 180 (incoming legs)."""
        self._deal_with(Ring(self.key))

    def early_media(self) -> None:
        """Send 183 with SDP (incoming legs)."""
        self._deal_with(OpenEarly(self.key))

    def answer(self) -> None:
        """Send 200 (incoming legs)."""
        self._deal_with(Answer(self.key))

    def hangup(self, verdict: Verdict) -> None:
        """CANCEL, BYE or a final response with `verdict`; LegEnded follows. Text of the verdict
        that does not fit a header is not sent.
        """
        if self._ended:
            return
        if self._resolving is not None:
            self._resolving.cancel()
            self._resolving = None
            loop = asyncio.get_running_loop()
            loop.call_soon(self.deliver, LegEnded(verdict, by_peer=False))
            return
        self._stop_timer()
        self._submit(End(self.key, verdict))

    def dial_when(self, resolving: asyncio.Task[None]) -> None:
        """The INVITE waits for a name look-up."""
        self._resolving = resolving

    def dialled(self) -> None:
        """The look-up is over."""
        self._resolving = None

    def deliver(self, event: LegEvent) -> None:
        """Pass an event on; the plane calls this."""
        if self._ended:
            return
        if isinstance(event, LegAnswered):
            self._stop_timer()
        if isinstance(event, LegEnded):
            self._ended = True
            self._stop_timer()
            self._on_end(self)
        self._outlet.emit(event)

    def _deal_with(self, command: Command) -> None:
        assert self._incoming, "only incoming legs are answered"
        if not self._ended:
            self._stop_timer()
            self._submit(command)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_patience(self) -> None:
        self._timer = None
        if self._incoming:
            self.hangup(INTERNAL.because("Nobody dealt with the call"))
        elif self._resolving is not None:
            self.hangup(INTERNAL)
        else:
            self._submit(RingTimeout(self.key, self._patience))
