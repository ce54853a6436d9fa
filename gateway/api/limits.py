"""How much one client may ask for: sizes, rates and counts."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import BAD_REQUEST, Blame, Verdict

RATE_LIMITED = Verdict("rate_limited", 503, 429, 42, Blame.CALLER, "Too many messages")
TOO_LARGE = Verdict("too_large", 513, 413, 95, Blame.CALLER, "Body is too large")
SLOW_CLIENT = BAD_REQUEST.because("Client does not read its messages")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds per client and per node; sizes in bytes, times in seconds."""

    message_bytes: int = 128 * 1024
    body_bytes: int = 128 * 1024
    rate: float = 50.0  # messages per second in the long run
    burst: int = 200
    refused_messages: int = 1000  # over the rate, before the connection is closed
    outgoing_messages: int = 256  # waiting for a client that does not read
    heartbeat: float = 20.0
    close_wait: float = 2.0
    calls_per_session: int = 8
    candidates_per_call: int = 256
    sessions: int = 2000
