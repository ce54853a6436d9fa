"""SIPp as a SIP peer in tests: scenarios built from steps, one process per peer, always stopped."""

from __future__ import annotations

import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from tests.support.processes import HOST, Program, free_ports

Transport = Literal["udp", "tcp"]

_KEPT = "from,to,via,cseq,contact,uri"  # variables of `receive_invite`
_TRANSPORT_OPTION = {"udp": "u1", "tcp": "t1"}
PCMU_OFFER = ("0 PCMU/8000", "101 telephone-event/8000")


def sdp(
    *formats: str, direction: str = "sendrecv", version: int = 1, extra: tuple[str, ...] = ()
) -> str:
    """A session description; `formats` like "0 PCMU/8000". `extra` lines follow the audio."""
    formats = formats or PCMU_OFFER
    numbers = " ".join(entry.split()[0] for entry in formats)
    lines = [
        "v=0",
        f"o=sipp 1 {version} IN IP[local_ip_type] [local_ip]",
        "s=-",
        "c=IN IP[media_ip_type] [media_ip]",
        "t=0 0",
        f"m=audio [media_port] RTP/AVP {numbers}",
    ]
    for entry in formats:
        number, encoding = entry.split()
        lines.append(f"a=rtpmap:{number} {encoding}")
        if encoding.startswith("telephone-event"):
            lines.append(f"a=fmtp:{number} 0-16")
    return "\n".join([*lines, f"a={direction}", *extra])


def _message(lines: str, body: str = "") -> str:
    head = textwrap.dedent(lines).strip()
    kind = "Content-Type: application/sdp\n" if body else ""
    return f"<![CDATA[\n{head}\n{kind}Content-Length: [len]\n\n{body}\n]]>"


def receive(what: str | int, *, optional: bool = False, options: str = "", inside: str = "") -> str:
    """Wait for a request (a method) or a response (a status)."""
    kind = f'response="{what}"' if isinstance(what, int) else f'request="{what}"'
    maybe = ' optional="true"' if optional else ""
    return f"<recv {kind}{maybe} {options}>{inside}</recv>"


def reply(
    status: str, body: str = "", *headers: str, to: str = "[last_To:];tag=t[call_number]"
) -> str:
    """Answer the last request; `status` like "486 Busy Here"."""
    text = f"""\
        SIP/2.0 {status}
        [last_Via:]
        [last_From:]
        {to}
        [last_Call-ID:]
        [last_CSeq:]
        Contact: <sip:[local_ip]:[local_port];transport=[transport]>"""
    return f"<send>{_message(_with(text, headers), body)}</send>"


def reply_saved(status: str, body: str = "", *headers: str) -> str:
    """Answer the INVITE that `receive_invite` kept, after other requests came in."""
    text = f"""\
        SIP/2.0 {status}
        Via:[$via]
        From:[$from]
        To:[$to];tag=t[call_number]
        [last_Call-ID:]
        CSeq:[$cseq]
        Contact: <sip:[local_ip]:[local_port];transport=[transport]>"""
    return f"<send>{_message(_with(text, headers), body)}</send>"


def receive_invite(options: str = "") -> str:
    """Wait for INVITE and keep its headers for later requests and responses of ours."""
    keep = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{variable}"/>'
        for header, variable in zip(
            ("From", "To", "Via", "CSeq", "Contact"), _KEPT.split(",")[:-1], strict=True
        )
    )
    uri = '<ereg regexp="sip:[^>]*" search_in="hdr" header="Contact:" assign_to="uri"/>'
    return receive("INVITE", options=options, inside=f"<action>{keep}{uri}</action>")


def callee_request(method: str, sequence: int, body: str = "", *headers: str) -> str:
    """A request within the dialog from the side that was called (after `receive_invite`)."""
    text = f"""\
        {method} [$uri] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
        From:[$to];tag=t[call_number]
        To:[$from]
        [last_Call-ID:]
        CSeq: {sequence} {method}
        Max-Forwards: 70
        Contact: <sip:[local_ip]:[local_port];transport=[transport]>"""
    return f"<send>{_message(_with(text, headers), body)}</send>"


def caller_request(method: str, sequence: int, body: str = "", *headers: str) -> str:
    """A request from the side that calls. Sequence 1 is outside a dialog, all others are inside."""
    inside = sequence > 1 or method == "ACK"
    to = "To: <sip:100@[remote_ip]:[remote_port]>" + ("[peer_tag_param]" if inside else "")
    text = f"""\
        {method} sip:100@[remote_ip]:[remote_port] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
        From: "Alice \\"A\\"" <sip:alice@[local_ip]:[local_port]>;tag=f[call_number]
        {to}
        Call-ID: [call_id]
        CSeq: {sequence} {method}
        Max-Forwards: 70
        Contact: <sip:alice@[local_ip]:[local_port];transport=[transport]>"""
    return f"<send>{_message(_with(text, headers), body)}</send>"


def cancel(*headers: str) -> str:
    """CANCEL of the INVITE that was the last request sent."""
    text = """\
        CANCEL sip:100@[remote_ip]:[remote_port] SIP/2.0
        [last_Via:]
        [last_From:]
        To: <sip:100@[remote_ip]:[remote_port]>
        [last_Call-ID:]
        CSeq: 1 CANCEL
        Max-Forwards: 70"""
    return f"<send>{_message(_with(text, headers))}</send>"


def pause(milliseconds: int) -> str:
    """The peer takes its time."""
    return f'<pause milliseconds="{milliseconds}"/>'


def _with(text: str, headers: tuple[str, ...]) -> str:
    return "\n".join([textwrap.dedent(text), *headers])


def scenario(*steps: str) -> str:
    """The XML of a scenario."""
    body = "\n".join(steps)
    kept = f'<Reference variables="{_KEPT}"/>' if "assign_to" in body else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="test">{body}\n{kept}</scenario>\n'
    )


class Sipp:
    """A running SIPp."""

    def __init__(self, program: Program, port: int, trace: Path) -> None:
        self.program = program
        self.port = port
        self._trace = trace

    @property
    def trace(self) -> str:
        """All messages it sent and received so far."""
        return self._trace.read_text(errors="replace") if self._trace.exists() else ""

    def received(self, start: str) -> list[str]:
        """The messages that it received whose first line begins with `start`."""
        return self._messages("received", start)

    def sent(self, start: str) -> list[str]:
        """The messages that it sent whose first line begins with `start`."""
        return self._messages("sent", start)

    async def done(self, within: float = 15) -> None:
        """Wait until its calls are over; they must all have gone as the scenario says."""
        status = await self.program.wait(within)
        assert status == 0, f"SIPp ended with {status}:\n{self.trace[-6000:]}\n{self.program.log}"

    def _messages(self, direction: str, start: str) -> list[str]:
        parts = re.split(r"^-{20,}.*$\n", self.trace, flags=re.M)
        pattern = re.compile(rf"\A\w+ message {direction} \[?\d+\]? bytes ?:?\n\n", re.I)
        found = [part[m.end() :] for part in parts if (m := pattern.match(part))]
        return [message for message in found if message.startswith(start)]


@asynccontextmanager
async def sipp(
    directory: Path,
    xml: str,
    *,
    target: int | None = None,
    transport: Transport = "udp",
    calls: int = 1,
    rate: int = 10,
    port: int | None = None,
    address: str = HOST,
    options: tuple[str, ...] = (),
) -> AsyncIterator[Sipp]:
    """Run SIPp with a scenario: as a server, or calling `target` (a port on loopback)."""
    port = port or free_ports()
    name = f"sipp{port}"
    file = _write(directory / f"{name}.xml", xml)
    trace = directory / f"{name}.messages"
    arguments = ["sipp", "-sf", str(file), "-i", address, "-p", str(port), "-m", str(calls)]
    arguments += ["-t", _TRANSPORT_OPTION[transport], "-nostdin", "-r", str(rate)]
    arguments += ["-trace_msg", "-message_file", str(trace), "-mp", str(free_ports(4))]
    arguments += [*options, *([f"{HOST}:{target}"] if target else [])]
    async with Program(arguments, directory, name) as program:
        if target is None:
            await program.ready(lambda: _bound(transport, port))
        yield Sipp(program, port, trace)


def _write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def _bound(transport: Transport, port: int) -> bool:
    """Whether somebody listens on the port."""
    wanted = f":{port:04X}"
    lines = Path(f"/proc/net/{transport}").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(wanted) for line in lines)
