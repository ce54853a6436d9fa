"""The error tree: every failure knows its SIP, HTTP and Q.850 verdict and who is to blame.

Nobody compares strings: logs, SIP replies, problem+json and call records read the verdict.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Blame(enum.StrEnum):
    """Who could have prevented the failure."""

    CALLER = "caller"
    CALLEE = "callee"
    GATEWAY = "gateway"
    PEER = "peer"  # a trunk, a SIP server, a web server that was asked
    NETWORK = "network"
    NOBODY = "nobody"  # an ordinary end of a call


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a call or request ended, in every language that has to be told.

    sip_status: RFC 3261 21; http_status: RFC 9110; q850: ITU-T Q.850 cause value.
    """

    code: str
    sip_status: int
    http_status: int
    q850: int
    blame: Blame
    text: str

    def because(self, text: str) -> Verdict:
        """The same verdict with the particulars of this case."""
        return replace(self, text=text)

    def ours(self) -> Verdict:
        """The same refusal, where no trunk was asked: it is our own policy."""
        if self.code != "peer_refused":
            return self
        return replace(FORBIDDEN, sip_status=self.sip_status, text=self.text)


NORMAL = Verdict("normal", 200, 200, 16, Blame.NOBODY, "Call ended normally")
CANCELLED = Verdict("cancelled", 487, 409, 16, Blame.CALLER, "Caller hung up before the answer")
NOT_FOUND = Verdict("not_found", 404, 404, 1, Blame.CALLER, "No route to this destination")
FORBIDDEN = Verdict("forbidden", 403, 403, 21, Blame.CALLER, "Not allowed")
BUSY = Verdict("busy", 486, 409, 17, Blame.CALLEE, "Busy")
DECLINED = Verdict("declined", 603, 409, 21, Blame.CALLEE, "Declined")
ANONYMOUS_REFUSED = Verdict(  # RFC 5079
    "anonymous_refused", 433, 403, 21, Blame.CALLER, "Anonymous callers are not accepted"
)
LOOP_DETECTED = Verdict("loop_detected", 482, 508, 25, Blame.GATEWAY, "The dialplan loops")
NO_ANSWER = Verdict("no_answer", 480, 408, 19, Blame.CALLEE, "No answer")
UNAVAILABLE = Verdict("unavailable", 480, 404, 20, Blame.CALLEE, "User is not signed in")
NO_COMMON_CODEC = Verdict("no_common_codec", 488, 488, 88, Blame.CALLER, "No codec in common")
NOT_NEGOTIATED = Verdict(
    "not_negotiated", 488, 409, 79, Blame.CALLEE, "The far end did not agree to this"
)
BAD_REQUEST = Verdict("bad_request", 400, 400, 95, Blame.CALLER, "Malformed request")
BAD_SDP = Verdict("bad_sdp", 488, 400, 95, Blame.CALLER, "Malformed session description")
PEER_UNREACHABLE = Verdict("peer_unreachable", 503, 502, 27, Blame.PEER, "Trunk did not answer")
PEER_REFUSED = Verdict("peer_refused", 500, 502, 41, Blame.PEER, "Trunk refused the call")
FETCH_FAILED = Verdict(  # Q.850 value: RFC 3398 8.2.6.1
    "fetch_failed", 502, 502, 38, Blame.PEER, "A web server did not give what was needed"
)
SETUP_TIMEOUT = Verdict("setup_timeout", 408, 504, 102, Blame.NETWORK, "Media set-up timed out")
MEDIA_LOST = Verdict("media_lost", 500, 502, 41, Blame.NETWORK, "No media from the peer")
MEDIA_FAILED = Verdict("media_failed", 500, 500, 47, Blame.GATEWAY, "Media plane failure")
OVERLOADED = Verdict("overloaded", 503, 503, 42, Blame.GATEWAY, "Too much is waiting already")
INTERNAL = Verdict("internal", 500, 500, 41, Blame.GATEWAY, "Internal error")
SHUTTING_DOWN = Verdict("shutting_down", 503, 503, 41, Blame.GATEWAY, "Gateway is shutting down")
DATABASE_FAILED = Verdict("database_failed", 500, 503, 41, Blame.GATEWAY, "Database failure")
INTERRUPTED = Verdict("interrupted", 500, 500, 41, Blame.GATEWAY, "The gateway stopped in mid-call")
TOO_MANY_CALLS = Verdict("too_many_calls", 503, 429, 42, Blame.GATEWAY, "Too many calls")


class GatewayError(Exception):
    """A failure with a verdict; `detail` goes to the one who caused it."""

    def __init__(self, verdict: Verdict, detail: str | None = None) -> None:
        self.verdict = verdict if detail is None else verdict.because(detail)
        super().__init__(self.verdict.text)


def from_sip_status(status: int, reason: str = "") -> Verdict:
    """The verdict for a final SIP response of a trunk (Q.850 values: RFC 3398 8.2.6.1)."""
    known = {
        403: FORBIDDEN,
        404: NOT_FOUND,
        408: PEER_UNREACHABLE,
        480: NO_ANSWER,
        486: BUSY,
        487: CANCELLED,
        488: NO_COMMON_CODEC,
        503: PEER_UNREACHABLE,
        600: BUSY,
        603: DECLINED,
    }.get(status, PEER_REFUSED)
    return replace(known, sip_status=status, text=f"{status} {reason}".strip())
