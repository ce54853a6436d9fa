"""One browser's signalling session: its name, its calls, and what each message does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, assert_never

import structlog

from gateway.api import messages as m
from gateway.api.directory import GONE, Farewell, RingingLeg
from gateway.api.limits import RATE_LIMITED
from gateway.api.outbox import Outbox
from gateway.api.ports import (
    BrowserLeg,
    CallState,
    CallUpdate,
    DigitHeard,
    StateChanged,
    Tones,
)
from gateway.api.services import IceServers, Services
from gateway.api.session_call import SessionCall
from gateway.errors import (
    BAD_REQUEST,
    DECLINED,
    FORBIDDEN,
    INTERNAL,
    TOO_MANY_CALLS,
    Blame,
    GatewayError,
    Verdict,
)
from gateway.identity.bucket import TokenBucket
from gateway.identity.values import Identity
from gateway.ids import CallId, LegId

log = structlog.get_logger(__name__)

NO_SUCH_CALL = Verdict("no_such_call", 481, 404, 95, Blame.CALLER, "No such call here")
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Session:
    """A `directory.CallableSession`; reads with `receive`, speaks through its outbox."""

    def __init__(
        self,
        session_id: str,
        identity: Identity,
        services: Services,
        ice_servers: IceServers,
        outbox: Outbox,
        spawn: Spawn,
        disconnect: Callable[[Farewell], None],
    ) -> None:
        """disconnect: has the WebSocket closed; `close` follows."""
        self._id = session_id
        self._identity = identity
        self._services = services
        self._ice_servers = ice_servers
        self._outbox = outbox
        self._spawn = spawn
        self._disconnect = disconnect
        self._farewell: Farewell | None = None
        self._since = services.clock.now().wall
        self._calls: dict[str, SessionCall] = {}
        self._placing = 0  # calls whose offer is being answered; they have no id yet
        self._greeted = False
        self._closed = False
        limits = services.limits
        self._bucket = TokenBucket(limits.rate, limits.burst, self._now())
        self._refused = 0

    @property
    def id(self) -> str:
        """Tells sessions apart."""
        return self._id

    @property
    def identity(self) -> Identity:
        """Whose it is."""
        return self._identity

    @property
    def since(self) -> datetime:
        """When the user signed in."""
        return self._since

    @property
    def call_ids(self) -> Sequence[str]:
        """Its calls, also those that ring."""
        return tuple(self._calls)

    @property
    def busy(self) -> bool:
        """Whether it has calls, or is just making one."""
        return bool(self._calls or self._placing)

    # ---- from the browser -------------------------------------------------------------------

    def receive(self, text: str) -> bool:
        """Does what a message asks; False when the client must be cut off for flooding."""
        if not self._bucket.take(self._now()):
            self._refused += 1
            self._send(m.ServerError.of(RATE_LIMITED))
            return self._refused < self._services.limits.refused_messages
        try:
            message = m.parse(text)
        except m.MessageError as error:
            self._send(m.ServerError.of(error.verdict, in_reply_to=error.in_reply_to))
            return True
        try:
            self._handle(message)
        except GatewayError as error:
            self._fail(message, error.verdict)
        except Exception:  # task boundary: one message fails, the session goes on
            log.exception("signal.message_failed", session=self.id, type=message.type)
            self._fail(message, INTERNAL)
        return True

    def _handle(self, message: m.ClientMessage) -> None:
        if not self._greeted and not isinstance(message, m.ClientHello):
            raise GatewayError(BAD_REQUEST, "Say hello first")
        match message:
            case m.ClientHello():
                self._hello(message)
            case m.ClientToken():
                self._begin(message, self._renew(message))
            case m.ClientCall(call=None):
                self._begin(message, self._place(message))
            case m.ClientCall():
                self._begin(message, self._renegotiate(message))
            case m.ClientAnswer():
                self._accept(message)
            case m.ClientCandidate():
                self._candidate(message)
            case m.ClientDtmf():
                call = self._running(message.call)
                tones = Tones(message.tones.upper(), message.duration, message.gap)
                self._services.calls.send_tones(call.id, self._leg_id(call), tones)
            case m.ClientHangup():
                self._hangup(message)
            case _:
                assert_never(message)

    def _hello(self, message: m.ClientHello) -> None:
        identity = self._services.authenticator.sign_in(self._identity, message.user)
        self._sign_out()
        self._identity = identity
        self._since = self._services.clock.now().wall
        self._greeted = True
        if identity.user:
            self._services.directory.sign_in(identity.address, self)
        self._send(
            m.ServerHello(
                session=self.id,
                user=identity.user,
                expires=identity.expires,
                ice_servers=self._ice_servers(identity),
                in_reply_to=message.id,
            )
        )

    async def _renew(self, message: m.ClientToken) -> None:
        """The same user goes on with a newer token."""
        authenticator = self._services.authenticator
        newer = await authenticator.identify(message.token)
        identity = authenticator.sign_in(newer, self._identity.user)
        if identity.address != self._identity.address:
            raise GatewayError(FORBIDDEN, "Your new token is for another user")
        self._identity = identity
        self._send(
            m.ServerToken(
                expires=identity.expires,
                ice_servers=self._ice_servers(identity),
                in_reply_to=message.id,
            )
        )

    def _begin(self, message: m.ClientMessage, work: Coroutine[Any, Any, None]) -> None:
        self._spawn(self._guard(message, work))

    async def _guard(self, message: m.ClientMessage, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except GatewayError as error:
            self._fail(message, error.verdict)
        except Exception:  # task boundary: one message fails, the session goes on
            log.exception("signal.message_failed", session=self.id, type=message.type)
            self._fail(message, INTERNAL)

    async def _place(self, message: m.ClientCall) -> None:
        if message.to is None:
            raise GatewayError(BAD_REQUEST, "to: a new call needs a destination")
        if not self._has_room():
            raise GatewayError(TOO_MANY_CALLS, "Too many calls in this session")
        identity = self._services.authenticator.caller(self._identity)
        with self._services.calls.admit(identity, message.to) as admission:
            self._placing += 1
            try:
                leg, sdp = await self._services.webrtc.answer_offer(message.sdp)
                call_id = await self._services.calls.place(leg, admission)
            finally:
                self._placing -= 1
        call = self._calls[call_id] = SessionCall(call_id, leg=leg)
        self._send(m.ServerAnswer(call=call_id, sdp=sdp, in_reply_to=message.id))
        self._follow(call)

    async def _renegotiate(self, message: m.ClientCall) -> None:
        call = self._running(message.call or "")
        assert call.leg is not None
        async with call.negotiation:
            sdp = await call.leg.renegotiate(message.sdp)
        self._running(call.id)  # it may have ended meanwhile
        self._send(m.ServerAnswer(call=call.id, sdp=sdp, in_reply_to=message.id))

    def _accept(self, message: m.ClientAnswer) -> None:
        call = self._known(message.call)
        if call.ringing is None or call.leg is not None or call.answering:
            raise GatewayError(BAD_REQUEST, "This call is not ringing")
        call.answering = True
        self._begin(message, self._answer(call, call.ringing, message))

    async def _answer(
        self, call: SessionCall, ringing: RingingLeg, message: m.ClientAnswer
    ) -> None:
        try:
            leg, sdp = await self._services.webrtc.answer_offer(message.sdp, called=True)
        except Exception as error:
            # A browser that cannot answer must not ring on; the guard reports the error itself.
            verdict = error.verdict if isinstance(error, GatewayError) else INTERNAL
            ringing.refuse(verdict)
            self._drop_ringing(call, verdict)
            raise
        if ringing.ended is not None:
            leg.hangup(ringing.ended.verdict)
            return
        self._send(m.ServerAnswer(call=call.id, sdp=sdp, in_reply_to=message.id))
        call.leg = leg
        ringing.accept(leg)
        for candidate in call.early_candidates:
            _add_candidate(leg, candidate)
        call.early_candidates.clear()
        self._follow(call)

    def _candidate(self, message: m.ClientCandidate) -> None:
        call = self._known(message.call)
        call.candidates += 1
        if call.candidates > self._services.limits.candidates_per_call:
            raise GatewayError(BAD_REQUEST, "Too many candidates")
        if call.leg is not None:
            _add_candidate(call.leg, message)
        else:
            call.early_candidates.append(message)

    def _hangup(self, message: m.ClientHangup) -> None:
        call = self._known(message.call)
        if call.leg is None and call.ringing is not None:
            call.ringing.refuse(DECLINED)
            self._drop_ringing(call, DECLINED)
        else:
            self._services.calls.hangup(call.id, by=self._leg_id(call))

    # ---- from the call ----------------------------------------------------------------------

    def offer_call(self, leg: RingingLeg) -> bool:
        """Shows an incoming call; False when the session takes no more calls."""
        if self._closed or leg.call in self._calls or not self._has_room():
            return False
        if self._identity.expired(self._services.clock.now().wall):
            return False
        self._calls[leg.call] = SessionCall(leg.call, ringing=leg)
        self._send(m.ServerCall(call=leg.call, caller=leg.caller))
        return True

    def withdraw_call(self, leg: RingingLeg, verdict: Verdict) -> None:
        """The call stopped ringing before the browser accepted it."""
        call = self._calls.get(leg.call)
        if call is not None and call.ringing is leg:
            self._drop_ringing(call, verdict)

    def _drop_ringing(self, call: SessionCall, verdict: Verdict) -> None:
        if self._calls.pop(call.id, None) is not None:
            self._send(m.ServerHangup(call=call.id, reason=m.Reason.of(verdict)))

    def _follow(self, call: SessionCall) -> None:
        call.unsubscribe = self._services.calls.subscribe(
            call.id, lambda update: self._tell(call, update)
        )

    def _tell(self, call: SessionCall, update: CallUpdate) -> None:
        if self._calls.get(call.id) is not call:
            return
        match update:
            case StateChanged():
                if update.state is CallState.ENDED:
                    del self._calls[call.id]
                reason = m.Reason.of(update.reason) if update.reason else None
                self._send(
                    m.ServerState(
                        call=call.id,
                        state=update.state.value,
                        reason=reason,
                        media=update.media or None,
                    )
                )
            case DigitHeard():
                if update.leg != self._leg_id(call):
                    self._tell_digit(call, update)
            case _:
                assert_never(update)

    def _tell_digit(self, call: SessionCall, update: DigitHeard) -> None:
        message = digit_message(call.id, update)
        self._send(message)
        if call.leg is not None:
            call.leg.send_message(message.text())

    # ---- the end ----------------------------------------------------------------------------

    def leave(self, farewell: Farewell) -> None:
        """Ends the session and its calls."""
        self._farewell = farewell
        self._disconnect(farewell)

    def close(self, verdict: Verdict | None = None) -> None:
        """The connection is gone: signs out, and ends the session's calls (None: ordinarily, or as
        `leave` said)."""
        if self._closed:
            return
        self._closed = True
        if verdict is None and self._farewell is not None:
            verdict = self._farewell.verdict
        self._sign_out()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.unsubscribe is not None:
                call.unsubscribe()
            if call.leg is not None:
                by = self._leg_id(call) if verdict is None else None  # else it is our doing
                self._services.calls.hangup(call.id, verdict, by)
            elif call.ringing is not None:
                call.ringing.refuse(GONE)

    # ---- helpers ----------------------------------------------------------------------------

    def _sign_out(self) -> None:
        if self._greeted and self._identity.user:
            self._services.directory.sign_out(self._identity.address, self)

    def _has_room(self) -> bool:
        return len(self._calls) + self._placing < self._services.limits.calls_per_session

    def _known(self, call_id: str) -> SessionCall:
        call = self._calls.get(call_id)
        if call is None:
            raise GatewayError(NO_SUCH_CALL)
        return call

    def _running(self, call_id: str) -> SessionCall:
        call = self._known(call_id)
        if call.leg is None:
            raise GatewayError(BAD_REQUEST, "This call is not answered yet")
        return call

    def _leg_id(self, call: SessionCall) -> LegId:
        leg = call.ringing or call.leg
        assert leg is not None
        return leg.id

    def _fail(self, message: m.ClientMessage, verdict: Verdict) -> None:
        call = None if isinstance(message, m.ClientHello | m.ClientToken) else message.call
        self._send(m.ServerError.of(verdict, call=call, in_reply_to=message.id))

    def _send(self, message: m.ServerMessage) -> None:
        self._outbox.put(message.text())

    def _now(self) -> float:
        return self._services.clock.now().monotonic


def _add_candidate(leg: BrowserLeg, message: m.ClientCandidate) -> None:
    # Browsers say both "" and null when there are no more (W3C WebRTC 4.8.1.3).
    leg.add_candidate(message.candidate or None, message.mid)


def digit_message(call: CallId, update: DigitHeard) -> m.ServerDtmf:
    """The message that tells of a digit of the far end."""
    return m.ServerDtmf(
        call=call,
        digit=update.digit,
        phase="began" if update.duration_ms is None else "ended",
        event=update.id,
        duration_ms=update.duration_ms,
    )
