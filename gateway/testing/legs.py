"""Legs that the test plays: the far ends of a call, and the planes that make them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.errors import PEER_UNREACHABLE, GatewayError, Verdict
from gateway.ids import LegId, new_leg_id
from gateway.ports import (
    LegAnswered,
    LegEnded,
    LegEvent,
    LegHeld,
    LegKind,
    LegMedia,
    LegRinging,
    LegSink,
    MediaPort,
    SipTarget,
)
from gateway.testing.media import FakeMedia


class FakeLeg:
    """Implements gateway.ports.Leg. `asked` holds what the call asked of it, in order.

    With `confirms` (as real legs do), a hang-up is followed by LegEnded in the loop's next turn.
    With `opens_media`, answering or opening early media of a SIP caller gives it an audio path.
    """

    def __init__(
        self,
        kind: LegKind,
        media: FakeMedia,
        *,
        confirms: bool = True,
        opens_media: bool = True,
    ) -> None:
        self._id = new_leg_id()
        self._kind = kind
        self._media = media
        self._confirms = confirms
        self._opens_media = opens_media
        self._sink: LegSink | None = None
        self._waiting: list[LegEvent] = []
        self.asked: list[str] = []
        self.verdict: Verdict | None = None  # given with hangup
        self.port: MediaPort | None = None
        self.ended = False
        self.broken: set[str] = set()  # methods that raise, as a bug would

    # ---- for tests: what the far end does ---------------------------------------------------

    def emit(self, event: LegEvent) -> None:
        """Tells the call, now or when it listens."""
        assert not self.ended, "a leg says nothing after LegEnded"
        if isinstance(event, LegEnded):
            self.ended = True
            if self.port is not None:
                event = replace(event, stats=self._media.stats(self.port))
                self._media.close(self.port)
        if self._sink is None:
            self._waiting.append(event)
        else:
            self._sink(event)

    def rings(self) -> None:
        """180 Ringing."""
        self.emit(LegRinging())

    def media(self, *, early: bool = False, description: str = "") -> MediaPort:
        """Audio can flow; the same port each time."""
        if self.port is None:
            self.port = self._media.new_port()
        usual = "opus/48000" if self._kind is LegKind.WEBRTC else "pcmu/8000"
        self.emit(LegMedia(self.port, early, description or usual))
        return self.port

    def answers(self) -> MediaPort:
        """200 OK, with audio."""
        port = self.media()
        self.emit(LegAnswered())
        return port

    def holds(self, held: bool = True) -> None:
        """Puts us on hold, or takes us back."""
        self.emit(LegHeld(held))

    def ends(self, verdict: Verdict, *, by_peer: bool = True) -> None:
        """The far end hangs up or refuses."""
        self.emit(LegEnded(verdict, by_peer))

    # ---- gateway.ports.Leg ------------------------------------------------------------------

    @property
    def id(self) -> LegId:
        """See gateway.ports.Leg."""
        return self._id

    @property
    def kind(self) -> LegKind:
        """See gateway.ports.Leg."""
        return self._kind

    def listen(self, sink: LegSink) -> None:
        """See gateway.ports.Leg."""
        self._note("listen")
        assert self._sink is None, "a leg has one listener"
        self._sink = sink
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            sink(event)

    def ring(self) -> None:
        """See gateway.ports.Leg."""
        self._note("ring")

    def early_media(self) -> None:
        """See gateway.ports.Leg."""
        self._note("early_media")
        self._open_media(early=True)

    def answer(self) -> None:
        """See gateway.ports.Leg."""
        self._note("answer")
        self._open_media(early=False)

    def hangup(self, verdict: Verdict) -> None:
        """See gateway.ports.Leg."""
        self._note("hangup")
        self.verdict = verdict
        if self._confirms:
            asyncio.get_running_loop().call_soon(self._confirm, verdict)

    def _note(self, asked: str) -> None:
        if asked != "listen":
            self.asked.append(asked)
        if asked in self.broken:
            raise RuntimeError(f"a bug in {asked}")

    def _open_media(self, early: bool) -> None:
        if self._opens_media and self._kind is LegKind.SIP and not self.ended:
            asyncio.get_running_loop().call_soon(lambda: self.ended or self.media(early=early))

    def _confirm(self, verdict: Verdict) -> None:
        if not self.ended:
            self.emit(LegEnded(verdict, by_peer=False))


class FakeSipPlane:
    """Implements gateway.ports.SipPlane: remembers targets, gives a FakeLeg to each.

    `script`, if given, is called with each new leg: it may let it ring and answer. Trunks in
    `unreachable` raise.
    """

    def __init__(self, media: FakeMedia, script: Callable[[FakeLeg], None] | None = None) -> None:
        self._media = media
        self.script = script
        self.unreachable: set[str] = set()
        self.targets: list[SipTarget] = []
        self.legs: list[FakeLeg] = []

    def dial(self, target: SipTarget) -> FakeLeg:
        """See gateway.ports.SipPlane."""
        self.targets.append(target)
        if target.trunk in self.unreachable:
            raise GatewayError(PEER_UNREACHABLE)
        leg = FakeLeg(LegKind.SIP, self._media)
        self.legs.append(leg)
        if self.script is not None:
            asyncio.get_running_loop().call_soon(self.script, leg)
        return leg


class FakeBrowsers:
    """Implements gateway.ports.BrowserDirectory: `sessions` says how many tabs a user has open."""

    def __init__(self, media: FakeMedia, **sessions: int) -> None:
        self._media = media
        self.sessions = dict(sessions)
        self.rung: list[tuple[str, str, str]] = []  # user, caller, call id
        self.legs: list[FakeLeg] = []

    def ring(self, user: str, caller: str, call_id: str) -> Sequence[FakeLeg]:
        """See gateway.ports.BrowserDirectory."""
        self.rung.append((user, caller, call_id))
        made = [FakeLeg(LegKind.WEBRTC, self._media) for _ in range(self.sessions.get(user, 0))]
        self.legs += made
        return made
