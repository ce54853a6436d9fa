"""Calls that only are events: what a log holds of them."""

from __future__ import annotations

from gateway import events as e
from gateway.errors import NORMAL, Verdict
from gateway.ids import CallId, LegId
from gateway.ports import LegKind
from gateway.storage.event_log import EventLog

DIGITS = "4711081547110815"
CALLER, CALLEE = "+14155550100", "+442071838750"


def begin(log: EventLog, call: str, *, caller: str = CALLER, trunk: str | None = None) -> None:
    """The call exists, and rings at trunk `out`."""
    name, legs = CallId(call), (LegId(f"{call}-a"), LegId(f"{call}-b"))
    log.append(name, e.CallCreated("browser", caller, CALLEE, trunk))
    log.append(name, e.LegAdded(legs[0], e.Role.CALLER, LegKind.WEBRTC, trunk, caller))
    log.append(name, e.CallRouted("rule", ()))
    log.append(name, e.LegAdded(legs[1], e.Role.CALLEE, LegKind.SIP, "out", CALLEE))
    log.append(name, e.CallRinging(legs[1]))


def answer(log: EventLog, call: str, digits: str = DIGITS) -> None:
    """The callee answers, and the caller presses keys."""
    name, leg = CallId(call), LegId(f"{call}-a")
    log.append(name, e.CallAnswered(LegId(f"{call}-b")))
    for number, digit in enumerate(digits):
        log.append(name, e.DigitStarted(leg, digit, number))
        log.append(name, e.DigitReceived(leg, digit, 80, number))


def end(log: EventLog, call: str, verdict: Verdict = NORMAL) -> None:
    """Both legs go."""
    name = CallId(call)
    for leg, by_peer in ((LegId(f"{call}-b"), True), (LegId(f"{call}-a"), False)):
        log.append(name, e.LegQuality(leg, "pcmu/8000", 500, 5, 500, 0, 1.5, 20.0))
        log.append(name, e.LegGone(leg, verdict, by_peer))
    log.append(name, e.CallEnded(verdict, True, 10_000, 9_000, e.Role.CALLEE))


def whole(log: EventLog, call: str, *, caller: str = CALLER, verdict: Verdict = NORMAL) -> None:
    """From beginning to end."""
    begin(log, call, caller=caller)
    answer(log, call)
    end(log, call, verdict)
