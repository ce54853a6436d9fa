"""One SIP call on the SIP thread: pjsua2's callbacks in, leg events out."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from gateway.config.model import Trunk
from gateway.errors import (
    CANCELLED,
    INTERNAL,
    NO_ANSWER,
    NO_COMMON_CODEC,
    NORMAL,
    PEER_UNREACHABLE,
    UNAVAILABLE,
    GatewayError,
    Verdict,
    from_sip_status,
)
from gateway.legs.sip import sdp
from gateway.legs.sip.binding import describe_error, pj
from gateway.legs.sip.headers import (
    Reason,
    body_of,
    printable,
    reason_value,
    reasons,
    response_status,
)
from gateway.legs.sip.messages import LegKey
from gateway.ports import (
    LegAnswered,
    LegDialog,
    LegEnded,
    LegEvent,
    LegHeld,
    LegMedia,
    LegRinging,
    PortStats,
)

log = logging.getLogger(__name__)

NO_SLOT: Final = -1  # PJSUA_INVALID_ID
_RTP_CLOCK: Final = {"opus": 48000, "g722": 8000}  # where pjmedia says the sampling rate
_CONNECTED: Final = (pj.PJSIP_INV_STATE_CONNECTING, pj.PJSIP_INV_STATE_CONFIRMED)


class SipMedia(Protocol):
    """What SIP calls ask of the media plane, on the SIP thread. Failures raise GatewayError."""

    def sip_media(self, call: int, slot: int) -> int:
        """The port of pjsua's call number `call`, whose audio is now on bridge slot `slot` (-1:
        none now). The same handle (> 0) for the call's life.
        """
        ...

    def sip_latch(self, port: int, latch: bool) -> None:
        """Whether the RTP source may be learnt once within the first second (NAT)."""
        ...

    def sip_timeout(self, port: int, milliseconds: int) -> None:
        """Watch for missing RTP; 0: do not."""
        ...

    def stats(self, port: int) -> PortStats:
        """Counters of the call's port."""
        ...

    def close(self, port: int) -> None:
        """The call is over; nothing happens if the port is closed already."""
        ...


class CallHost(Protocol):
    """What a call asks of its surroundings; all on the SIP thread."""

    media: SipMedia
    rtp_timeout_ms: int

    def tell(self, key: LegKey, event: LegEvent) -> None:
        """Send `event` to the leg."""
        ...

    def later(self, action: Callable[[], None]) -> None:
        """Run `action` when pjsua's callbacks have returned."""
        ...

    def forget(self, call: SipCall) -> None:
        """The call is over: drop it when pjsua's callbacks have returned; may come twice."""
        ...


def guarded(callback: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A director callback whose failure is logged and ends its call: SWIG only prints it."""

    @functools.wraps(callback)
    def run(self: SipCall, prm: Any) -> None:
        try:
            callback(self, prm)
        except GatewayError as error:
            log.warning("SIP call %d: %s", self.key, error.verdict.text)
            self.fail(error.verdict)
        except pj.Error as error:
            log.warning("SIP call %d: %s", self.key, describe_error(error))
            self.fail(INTERNAL)
        except Exception:
            log.exception("SIP call %d: %s failed", self.key, callback.__name__)
            self.fail(INTERNAL)

    return run


class SipCall(pj.Call):  # type: ignore[misc]
    """A pjsua2 call and what its leg has been told about it."""

    def __init__(
        self, account: pj.Account, host: CallHost, key: LegKey, trunk: Trunk, call_id: int = -1
    ) -> None:
        super().__init__(account, call_id)
        self.key = key
        self.trunk = trunk
        self.offer = ""  # SDP of the INVITE or re-INVITE that came in last
        self.over = False
        self._host = host
        self._incoming = call_id != -1
        self._answering = False
        self._answered = False
        self._negotiated = False
        self._heard = False  # the peer sent at least a 100
        self._cancelled: list[Reason] = []
        self._ending: Verdict | None = None
        self._bye_due = False  # ended by us while the ACK was still to come
        self._port = 0
        self._stats: PortStats | None = None
        self._held = False
        self._media_told: LegMedia | None = None

    # ---- commands ---------------------------------------------------------------------------

    def dial(self, uri: str, sender: str, headers: Sequence[tuple[str, str]]) -> None:
        """Send the INVITE. Raises pj.Error when it cannot even be made."""
        prm = _call_parameters()
        prm.txOption.localUri = sender
        prm.txOption.headers = pj.SipHeaderVector([_header(*header) for header in headers])
        self.makeCall(uri, prm)
        self._tell(LegDialog(str(self.getInfo().callIdString)))

    def ring(self) -> None:
        """180."""
        self._respond(pj.PJSIP_SC_RINGING)

    def open_early(self) -> None:
        """183 with SDP; 180 where there is no offer to answer (RFC 3261 13.2.1: the offer of a
        late-offer call goes into the 200).
        """
        self._respond(pj.PJSIP_SC_PROGRESS if self.offer else pj.PJSIP_SC_RINGING)

    def accept(self) -> None:
        """200."""
        if self._incoming and not self._answering and not self.over:
            self._answering = True
            self.answer(_call_parameters(pj.PJSIP_SC_OK))

    def end(self, verdict: Verdict) -> None:
        """BYE, CANCEL or a final response, with a Reason header (RFC 3326). LegEnded follows."""
        if not self.over:
            self._ending = verdict
            # RFC 3261 15: no BYE from the called side before the ACK.
            if self.isActive():
                self._bye_due = self.getInfo().state == pj.PJSIP_INV_STATE_CONNECTING
                if not self._bye_due:
                    self._hang_up(verdict)
            self._finish(verdict, by_peer=False)

    def end_now(self, verdict: Verdict) -> None:
        """As `end`, without waiting for an ACK."""
        self.end(verdict)
        if self._bye_due and self._ending is not None:
            self._bye_due = False
            self._hang_up(self._ending)

    def _hang_up(self, verdict: Verdict) -> None:
        prm = pj.CallOpParam()
        if self._incoming:
            prm.statusCode = _final_status(verdict)
        prm.txOption.headers = pj.SipHeaderVector([_header("Reason", reason_value(verdict))])
        try:
            self.hangup(prm)
        except pj.Error as error:
            log.warning("SIP call %d: hanging up failed: %s", self.key, describe_error(error))

    def ring_timeout(self, seconds: float) -> Verdict:
        """The verdict when nobody answered for `seconds`: a peer that said nothing is gone."""
        if self._heard:
            return NO_ANSWER.because(f"No answer within {seconds:g} s")
        return PEER_UNREACHABLE.because(f"No response within {seconds:g} s")

    def fail(self, verdict: Verdict) -> None:
        """End the call because of us, once the callbacks have returned."""
        self._host.later(lambda: self.end(verdict))

    def _respond(self, status: int) -> None:
        if self._incoming and not self._answering and not self.over:
            self.answer(_call_parameters(status))

    # ---- pjsua2 callbacks -------------------------------------------------------------------

    @guarded
    def onCallSdpCreated(self, prm: pj.OnCallSdpCreatedParam) -> None:  # noqa: N802
        """An offer or answer of ours is about to be used."""
        remote = prm.remSdp.wholeSdp
        if prm.remSdp.pjSdpSession and not remote:
            remote = self.offer  # longer than pjsua2's buffer
        prm.sdp.wholeSdp = sdp.restrict(prm.sdp.wholeSdp, remote, self.trunk.codecs)

    @guarded
    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802
        """A transaction moved on: a first sign of life of a peer that we called, or CANCEL."""
        if self._answered or (self._heard and not self._incoming):
            return
        message = _received(prm.e)
        self._heard = self._heard or bool(message)
        if message.startswith("CANCEL "):
            self._cancelled = reasons(message)

    @guarded
    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802
        """The INVITE session moved on (RFC 3261 13, 14, 15)."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._bye_due = False
            verdict, by_peer = self._verdict(info, prm.e)
            self._finish(verdict, by_peer)
            self._host.forget(self)
        elif self._ending is not None:
            if self._bye_due and info.state == pj.PJSIP_INV_STATE_CONFIRMED:
                ending = self._ending
                self._host.later(lambda: self.end_now(ending))
        elif info.state == pj.PJSIP_INV_STATE_EARLY and not self._incoming:
            if info.lastStatusCode == pj.PJSIP_SC_RINGING:
                self._tell(LegRinging())
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED or (
            info.state == pj.PJSIP_INV_STATE_CONNECTING and self._incoming
        ):
            # A caller's media is negotiated only between CONNECTING and CONFIRMED.
            self._connected()

    @guarded
    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802
        """Audio began, changed or stopped. Ports must be (re)connected before this returns."""
        if self._ending is not None:
            return
        info = self.getInfo()  # kept: .media belongs to it
        audio = next((m for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO), None)
        if audio is None:
            return
        if audio.status in (pj.PJSUA_CALL_MEDIA_NONE, pj.PJSUA_CALL_MEDIA_ERROR):
            if self._port:
                self._host.media.sip_media(self.getId(), NO_SLOT)
            return
        self._negotiated = True
        slot = int(audio.audioConfSlot)
        port = self._host.media.sip_media(self.getId(), slot if slot >= 0 else NO_SLOT)
        if not self._port:
            self._port = port
            self._host.media.sip_latch(port, self.trunk.nat)
            self._host.media.sip_timeout(port, self._host.rtp_timeout_ms)
        if slot >= 0:
            early = not (self._answering or info.state in _CONNECTED)
            told = LegMedia(port, early, self._describe(int(audio.index)))
            if self._media_told is None or replace(told, early=self._media_told.early) != (
                self._media_told
            ):
                self._media_told = told
                self._tell(told)
        held = audio.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD
        if held != self._held:
            self._held = held
            self._tell(LegHeld(held))

    @guarded
    def onCallRxReinvite(self, prm: pj.OnCallRxReinviteParam) -> None:  # noqa: N802
        """A re-INVITE: without this, pjsip answers 500 where no codec is in common."""
        self.offer = body_of(prm.rdata.wholeMsg)
        self._judge(prm)

    @guarded
    def onCallRxOffer(self, prm: pj.OnCallRxOfferParam) -> None:  # noqa: N802
        """An offer in UPDATE or a re-INVITE (RFC 3311)."""
        self._judge(prm)

    def _judge(self, prm: pj.OnCallRxOfferParam | pj.OnCallRxReinviteParam) -> None:
        offer = prm.offer.wholeSdp
        if offer and not sdp.has_common_codec(offer, self.trunk.codecs):
            prm.statusCode = pj.PJSIP_SC_NOT_ACCEPTABLE_HERE
        _audio_only(prm.opt)

    @guarded
    def onStreamDestroyed(self, prm: pj.OnStreamDestroyedParam) -> None:  # noqa: N802
        """The audio stops. pjsua takes the port apart before it tells that a call is over."""
        if self._port:
            self._note_stats()

    @guarded
    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:  # noqa: N802
        """REFER: declined, because pjsua would otherwise call whom the peer names."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    @guarded
    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:  # noqa: N802
        """INVITE with Replaces: refused, because it would bypass the trunk's address check."""
        prm.statusCode = pj.PJSIP_SC_FORBIDDEN

    # ---- what they mean ---------------------------------------------------------------------

    def _verdict(self, info: pj.CallInfo, event: pj.SipEvent) -> tuple[Verdict, bool]:
        """How a disconnected call ended, and whether the peer did it."""
        if self._ending is not None:
            return self._ending, False
        message = _received(event)
        status, phrase = response_status(message) or (info.lastStatusCode, info.lastReason)
        said = reasons(message)
        if self._answered or self._answering:
            if message.startswith("BYE "):
                return _with_reason(NORMAL, said), True
            return PEER_UNREACHABLE.because(f"Call lost: {status} {printable(phrase)}"), False
        if self._incoming:
            return _with_reason(CANCELLED, self._cancelled), True
        return _with_reason(from_sip_status(status, printable(phrase)), said), bool(message)

    def _finish(self, verdict: Verdict, by_peer: bool) -> None:
        if self.over:
            return
        self.over = True
        if self._port:
            self._note_stats()
            try:
                self._host.media.close(self._port)
            except GatewayError as error:  # as after the media plane has stopped
                log.debug("SIP call %d: closing its port: %s", self.key, error.verdict.text)
        self._host.tell(self.key, LegEnded(verdict, by_peer, self._stats))
        if not self._bye_due:
            self._host.forget(self)

    def _note_stats(self) -> None:
        with suppress(GatewayError):  # the port is gone: what was noted before is the last
            self._stats = self._host.media.stats(self._port)

    def _describe(self, index: int) -> str:
        stream = self.getStreamInfo(index)
        name = str(stream.codecName).lower()
        clock = _RTP_CLOCK.get(name, int(stream.codecClockRate))
        text = f"{name}/{clock}"
        return f"{text} + {sdp.EVENT}/{clock}" if stream.audTxEventPt >= 0 else text

    def _connected(self) -> None:
        if not (self._negotiated or self._incoming):
            # The 200 had no codec of ours, or refused the audio: pjsua has sent BYE already.
            self._ending = NO_COMMON_CODEC
        elif not self._answered:
            self._answered = True
            self._tell(LegAnswered())

    def _tell(self, event: LegEvent) -> None:
        if not self.over:
            self._host.tell(self.key, event)


def _audio_only(setting: pj.CallSetting) -> None:
    """One audio stream; no video, and no real-time text, which pjsua 2.17 adds by default."""
    setting.audioCount = 1
    setting.videoCount = 0
    setting.textCount = 0


def _header(name: str, value: str) -> Any:
    header = pj.SipHeader()
    header.hName = name
    header.hValue = value
    return header


def _call_parameters(status: int | None = None) -> pj.CallOpParam:
    prm = pj.CallOpParam(True)
    _audio_only(prm.opt)
    if status is not None:
        prm.statusCode = status
    return prm


def _final_status(verdict: Verdict) -> int:
    """The response that refuses a call: a verdict that is a success refuses it all the same."""
    return verdict.sip_status if 300 <= verdict.sip_status <= 699 else UNAVAILABLE.sip_status


def _received(event: pj.SipEvent) -> str:
    """The message that caused `event`, or nothing if it was a timer or a transport."""
    if event.type != pj.PJSIP_EVENT_TSX_STATE:
        return ""
    state = event.body.tsxState
    if state.type != pj.PJSIP_EVENT_RX_MSG:
        return ""
    return str(state.src.rdata.wholeMsg)


def _with_reason(verdict: Verdict, said: list[Reason]) -> Verdict:
    """`verdict` with the cause and the words of the peer's Reason headers."""
    for reason in said:
        if reason.protocol == "Q.850":
            verdict = replace(verdict, q850=reason.cause)
        if reason.text:
            verdict = verdict.because(reason.text)
    return verdict
