"""Which browsers can be called: signalling sessions by user name, and the legs that ring there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.api.ports import BrowserLeg
from gateway.errors import UNAVAILABLE, Blame, Verdict
from gateway.identity.values import UNAUTHORIZED, Identity
from gateway.ids import CallId, LegId, new_leg_id
from gateway.legs.outlet import Outlet
from gateway.ports import Leg, LegEnded, LegEvent, LegKind, LegRinging, LegSink


@dataclass(frozen=True, slots=True)
class Farewell:
    """Why the gateway ends a session: what its WebSocket is closed with (RFC 6455 7.4.2), and its
    calls."""

    close_code: int
    verdict: Verdict


SIGNED_OUT = Farewell(
    4001, Verdict("signed_out", 480, 403, 16, Blame.NOBODY, "The user was signed out")
)
NOT_TRUSTED = Farewell(
    4003, UNAUTHORIZED.because("The token has expired, or the key behind it is revoked")
)


class CallableSession(Protocol):
    """What the directory asks of a signalling session."""

    @property
    def id(self) -> str:
        """Tells sessions apart."""
        ...

    @property
    def identity(self) -> Identity:
        """Whose it is."""
        ...

    @property
    def since(self) -> datetime:
        """When the user signed in."""
        ...

    @property
    def call_ids(self) -> Sequence[str]:
        """Its calls, also those that ring."""
        ...

    def leave(self, farewell: Farewell) -> None:
        """Ends the session and its calls."""
        ...

    def offer_call(self, leg: RingingLeg) -> bool:
        """Shows an incoming call; False when the session takes no more calls."""
        ...

    def withdraw_call(self, leg: RingingLeg, verdict: Verdict) -> None:
        """The call stopped ringing before the browser accepted it."""
        ...


class RingingLeg:
    """A leg that exists before the browser has answered; afterwards the WebRTC leg behind it.

    A `gateway.ports.Leg`. Its id stays the same through both lives.
    """

    def __init__(self, call: CallId, caller: str, session: CallableSession) -> None:
        self.call = call
        self.caller = caller
        self._id = new_leg_id()
        self._session = session
        self._inner: BrowserLeg | None = None
        self._outlet = Outlet()
        self._ended: LegEnded | None = None

    @property
    def id(self) -> LegId:
        """This leg's id."""
        return self._id

    @property
    def kind(self) -> LegKind:
        """Always WEBRTC."""
        return LegKind.WEBRTC

    @property
    def ended(self) -> LegEnded | None:
        """How the leg ended, once it has."""
        return self._ended

    def listen(self, sink: LegSink) -> None:
        """Whom to tell; events that came earlier are delivered at once."""
        self._outlet.listen(sink)

    def ring(self) -> None:
        """Nothing to do: the browser is the one that rings."""

    def early_media(self) -> None:
        """Nothing to do: a browser has no early media."""

    def answer(self) -> None:
        """Nothing to do: the browser is the one that answers."""

    def hangup(self, verdict: Verdict) -> None:
        """Stops the ringing, or ends the WebRTC leg. LegEnded follows."""
        if self._ended is not None:
            return
        if self._inner is not None:
            self._inner.hangup(verdict)
            return
        self._end(verdict, by_peer=False)
        self._session.withdraw_call(self, verdict)

    def rang(self) -> None:
        """The browser shows the call."""
        self._emit(LegRinging())

    def accept(self, inner: BrowserLeg) -> bool:
        """The browser answered with `inner`, which is this leg from now on.

        False when the call is over already; `inner` is hung up then.
        """
        if self._ended is not None:
            inner.hangup(self._ended.verdict)
            return False
        self._inner = inner
        inner.listen(self._emit)
        return True

    def refuse(self, verdict: Verdict) -> None:
        """The browser declined, failed to answer or went away before it answered."""
        if self._ended is None:
            self._end(verdict, by_peer=True)

    def _end(self, verdict: Verdict, *, by_peer: bool) -> None:
        # Told on the loop's next turn, so that whoever hangs up is not called back from inside.
        self._ended = LegEnded(verdict, by_peer)
        asyncio.get_running_loop().call_soon(self._emit, self._ended)

    def _emit(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self._ended = event
        self._outlet.emit(event)


class Directory:
    """Signed-in sessions. A `gateway.ports.BrowserDirectory`."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[CallableSession]] = {}

    def sign_in(self, user: str, session: CallableSession) -> None:
        """`session` can be called as `user`, besides those that already can."""
        self._sessions.setdefault(user, []).append(session)

    def sign_out(self, user: str, session: CallableSession) -> None:
        """`session` cannot be called as `user` any more."""
        sessions = self._sessions.get(user, [])
        if session in sessions:
            sessions.remove(session)
        if not sessions:
            self._sessions.pop(user, None)

    @property
    def sessions(self) -> int:
        """How many browsers can be called: a user with three tabs has three."""
        return sum(map(len, self._sessions.values()))

    def is_signed_in(self, user: str) -> bool:
        """Whether somebody can be called as `user`."""
        return user in self._sessions

    def sessions_of(self, project: str) -> list[CallableSession]:
        """The sessions of a project's users, by user, then in the order of signing in."""
        found = [
            session
            for each in self._sessions.values()
            for session in each
            if session.identity.project == project
        ]
        return sorted(found, key=lambda session: (session.identity.user, session.since))

    def ring(self, user: str, caller: str, call_id: str) -> Sequence[Leg]:
        """Rings all sessions of `user`: one leg each. Empty when nobody is signed in."""
        legs: list[Leg] = []
        for session in tuple(self._sessions.get(user, ())):
            leg = RingingLeg(CallId(call_id), caller, session)
            if session.offer_call(leg):
                leg.rang()
                legs.append(leg)
        return legs


GONE = UNAVAILABLE.because("The browser went away")
