"""The telephone side of the bench, a process of its own: answers every INVITE, echoes its RTP.

Speaks JSON, one object a line: prints {"sip": PORT} when it is ready, and answers each line on
standard input with what it has counted. Ends when standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

ANSWER = (
    "v=0\r\no=far 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id"}  # RFC 3261 7.3.3
RECEIVE_BUFFER = 4 << 20  # bytes


@dataclass
class Counts:
    """What has happened so far; `holes`: gaps in sequence numbers of the RTP received."""

    answered: int = 0
    ended: int = 0
    packets: int = 0
    holes: int = 0


@dataclass
class Echo(asyncio.DatagramProtocol):
    """Sends every RTP packet back to where it came from."""

    counts: Counts
    _last: dict[Any, int] = field(default_factory=dict)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is no subclass

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """One packet."""
        if len(data) < 12 or 192 <= data[1] <= 223:  # RTCP, RFC 5761 4
            return
        self._transport.sendto(data, addr)
        sequence = data[2] << 8 | data[3]
        last = self._last.get(addr)
        self._last[addr] = sequence
        self.counts.packets += 1
        if last is not None and sequence != (last + 1) & 0xFFFF:
            ahead = (sequence - last) & 0xFFFF
            self.counts.holes += ahead - 1 if 0 < ahead < 0x8000 else 0


@dataclass
class Answerer(asyncio.DatagramProtocol):
    """As much of a SIP user agent server as it takes to pick up a call (RFC 3261 8.2, UDP)."""

    counts: Counts
    host: str
    rtp_port: int
    _calls: set[str] = field(default_factory=set)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is no subclass

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """One message; responses and keep-alives need no answer."""
        head = data.decode("utf-8", "replace").partition("\r\n\r\n")[0].split("\r\n")
        method = head[0].partition(" ")[0]
        if method in ("SIP/2.0", "ACK", ""):
            return
        headers = _headers(head[1:])
        call = headers["call-id"][0]
        if method == "INVITE":
            self.counts.answered += call not in self._calls
            self._calls.add(call)
        elif method == "BYE":
            self.counts.ended += call in self._calls
            self._calls.discard(call)
        body = ANSWER.format(host=self.host, port=self.rtp_port) if method == "INVITE" else ""
        self._transport.sendto(self._response(headers, addr, body).encode(), addr)

    def _response(self, headers: dict[str, list[str]], addr: Any, body: str) -> str:
        port = self._transport.get_extra_info("sockname")[1]
        # RFC 3581 4: the topmost Via tells the client its own address and port.
        via = [
            re.sub(r";rport(?=;|$)", f";rport={addr[1]};received={addr[0]}", value)
            for value in headers["via"]
        ]
        to = headers["to"][0]
        lines = ["SIP/2.0 200 OK", *(f"Via: {value}" for value in via)]
        lines += [f"Record-Route: {value}" for value in headers.get("record-route", [])]
        lines += [f"From: {headers['from'][0]}", f"To: {to}" + ("" if "tag=" in to else ";tag=far")]
        lines += [f"Call-ID: {headers['call-id'][0]}", f"CSeq: {headers['cseq'][0]}"]
        lines += [f"Contact: <sip:far@{self.host}:{port}>", "Allow: INVITE, ACK, BYE, CANCEL"]
        if body:
            lines.append("Content-Type: application/sdp")
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])


def _headers(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        found.setdefault(COMPACT.get(key, key), []).append(value.strip())
    return found


async def serve(host: str) -> None:
    """Answers and echoes until standard input closes."""
    loop = asyncio.get_running_loop()
    counts = Counts()
    echo, _ = await loop.create_datagram_endpoint(lambda: Echo(counts), (host, 0))
    echo.get_extra_info("socket").setsockopt(1, 8, RECEIVE_BUFFER)  # SOL_SOCKET, SO_RCVBUF
    rtp_port = echo.get_extra_info("sockname")[1]
    sip, _ = await loop.create_datagram_endpoint(
        lambda: Answerer(counts, host, rtp_port), (host, 0)
    )
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"sip": sip.get_extra_info("sockname")[1]}), flush=True)
    while await reader.readline():
        print(json.dumps(asdict(counts)), flush=True)
    sip.close()
    echo.close()


def main() -> None:
    """Runs the far end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    uvloop.run(serve(parser.parse_args().host))


if __name__ == "__main__":
    main()
