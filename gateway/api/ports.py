"""What the API asks of calls and of the WebRTC leg: protocols, and the values that cross them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from gateway.dialplan import Request
from gateway.errors import Verdict
from gateway.identity.values import Identity
from gateway.ids import CallId, LegId
from gateway.ports import Leg


class BrowserLeg(Leg, Protocol):
    """A WebRTC leg: a `Leg` that also speaks ICE trickle, renegotiation and a data channel."""

    def add_candidate(self, candidate: str | None, mid: str | None) -> None:
        """A remote ICE candidate (RFC 8839 5.1, without `a=`); None: there will be no more.

        Raises GatewayError(BAD_REQUEST) for one that cannot be parsed.
        """
        ...

    async def renegotiate(self, sdp: str) -> str:
        """Answers a later offer of the same session (hold). Raises GatewayError(BAD_SDP)."""
        ...

    def send_message(self, text: str) -> bool:
        """Sends text on the data channel; False while there is none."""
        ...


class WebRtcService(Protocol):
    """Makes WebRTC legs."""

    async def answer_offer(self, sdp: str, /, *, called: bool = False) -> tuple[BrowserLeg, str]:
        """A new leg and the SDP answer to the browser's offer.

        `called`: the browser accepts a call, so LegAnswered comes once media is connected.
        Raises GatewayError: BAD_SDP, NO_COMMON_CODEC, MEDIA_FAILED. A cancelled or failed request
        leaves no leg behind.
        """
        ...


class CallState(enum.StrEnum):
    """What a call is doing, as the browser is told."""

    RINGING = "ringing"
    EARLY = "early"  # audio before the answer
    ANSWERED = "answered"
    HELD = "held"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The call is in `state` now. `reason` comes with ENDED, which is the last update of a call."""

    state: CallState
    reason: Verdict | None = None
    media: str = ""  # the media path, printed; empty while there is none


@dataclass(frozen=True, slots=True)
class DigitHeard:
    """A digit of `leg`: begun while `duration_ms` is None, else ended. `id` pairs the two."""

    leg: LegId
    digit: str
    id: int
    duration_ms: int | None = None


CallUpdate = StateChanged | DigitHeard
CallSink = Callable[[CallUpdate], None]
"""Called on the asyncio thread, in order; never after ENDED or after unsubscribing."""
Unsubscribe = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Tones:
    """Digits to send as RTCDTMFSender would (W3C WebRTC 7.2): `,` is a pause of 2 s."""

    digits: str
    duration_ms: int
    gap_ms: int


class Admission(Protocol):
    """A call that may be made: it counts already. Leaving it as a context manager without having
    made the call gives it back."""

    @property
    def request(self) -> Request:
        """What the dialplan will be asked."""
        ...

    def follow(self, call: CallId) -> None:
        """The call was made; it counts until it is over."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class CallService(Protocol):
    """The calls of this node. All methods are called on the asyncio thread."""

    def admit(self, identity: Identity, to: str) -> Admission:
        """Whether `identity` may call the dialled string `to` now.

        Raises GatewayError: FORBIDDEN, UNAUTHORIZED, TOO_MANY_AT_ONCE, TOO_FAST, MINUTES_USED.
        """
        ...

    async def place(self, leg: BrowserLeg, admission: Admission) -> CallId:
        """Starts the admitted call from a browser's leg.

        Returns once the call is routed. Raises GatewayError (NOT_FOUND, UNAVAILABLE, FORBIDDEN,
        TOO_MANY_CALLS, SHUTTING_DOWN, ...) when it is refused; the leg is hung up then.
        """
        ...

    def hangup(self, call: CallId, verdict: Verdict | None = None, by: LegId | None = None) -> None:
        """Ends a call; nothing happens if it is over. None: an ordinary end. `by`: the leg of the
        party that wants it."""
        ...

    def subscribe(self, call: CallId, sink: CallSink) -> Unsubscribe:
        """Sends what happens to `call` to `sink`, beginning with what happened already."""
        ...

    def send_tones(self, call: CallId, leg: LegId, tones: Tones) -> None:
        """Treats `tones` as if `leg` had sent them as telephone-events.

        Raises GatewayError when the call is over or has no audio path.
        """
        ...
