"""SIP messages as the trace hands them over."""

from __future__ import annotations

from gateway.observability.timeline import SipPacket

HERE, THERE = ("127.0.0.1", 5060), ("192.0.2.7", 5070)


def packet(text: str, *, at: float = 1000.0, sent: bool = False, length: int = 0) -> SipPacket:
    """A message; lines may end with LF."""
    data = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    return SipPacket(at, sent, "UDP", HERE, THERE, data, length or len(data))


def request(method: str, call_id: str, *more: str, body: str = "", cseq: int = 1) -> str:
    """A request with a few headers."""
    return "\n".join(
        [
            f"{method} sip:100@192.0.2.7 SIP/2.0",
            "From: <sip:alice@127.0.0.1>;tag=1",
            "To: <sip:100@192.0.2.7>",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            *more,
            "",
            body,
        ]
    )


def response(status: str, call_id: str, method: str = "INVITE", *more: str, body: str = "") -> str:
    """A response."""
    return "\n".join(
        [f"SIP/2.0 {status}", f"Call-ID: {call_id}", f"CSeq: 1 {method}", *more, "", body]
    )
