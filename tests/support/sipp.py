"""SIPp as the telephone at the far end: answers with an RTP echo, or calls in and plays pcaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tests.support.processes import HOST, Program, free_ports, wait_until

PCAP_FOLDERS = (Path("/usr/share/sip-tester"), Path("/usr/share/sip-tester/pcap"))
EVENT_TYPE = 101  # payload type of telephone-event in our scenarios and in SIPp's pcap files
PCAP_GAP_MS = 200  # SIPp starts the next file when told, not when the last one has ended
PCAP_DTMF_MS = 280  # nominal length of each dtmf_2833 file: 2240 units at 8 kHz

_SDP = """v=0
      o=sipp 53655765 2353687637 IN IP4 [local_ip]
      s=-
      c=IN IP4 [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP {formats}
      {rtpmaps}
      a=ptime:20
      a=sendrecv
"""
_RTPMAP = {
    0: "PCMU/8000",
    3: "GSM/8000",
    8: "PCMA/8000",
    9: "G722/8000",
    18: "G729/8000",
    EVENT_TYPE: "telephone-event/8000",
}
_REPLY = """  <send{retransmit}><![CDATA[
      SIP/2.0 {status}
      [last_Via:]
      [last_From:]
      {to}
      [last_Call-ID:]
      {cseq}
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
{body}  ]]></send>
"""
_WITH_SDP = """      Content-Type: application/sdp
      Content-Length: [len]

      {sdp}"""
_WITHOUT_SDP = "      Content-Length: 0\n\n"
_REQUEST = """  <send{retransmit}><![CDATA[
      {method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: <sip:{caller}@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>{to_tag}
      Call-ID: [call_id]
      CSeq: {number} {cseq_method}
      Contact: <sip:{caller}@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
{body}  ]]></send>
"""


def dtmf_pcap(key: str) -> Path:
    """SIPp's own recording of one key as RFC 4733 events (no A to D)."""
    name = {"*": "star", "#": "pound"}.get(key, key)
    for folder in PCAP_FOLDERS:
        path = folder / f"dtmf_2833_{name}.pcap"
        if path.exists():
            return path
    raise FileNotFoundError(f"dtmf_2833_{name}.pcap (Debian package sip-tester) is not installed")


def sdp(formats: Sequence[int] = (0, EVENT_TYPE)) -> str:
    """A session description that lists these payload types."""
    maps = [f"a=rtpmap:{kind} {_RTPMAP[kind]}" for kind in formats]
    if EVENT_TYPE in formats:
        maps.append(f"a=fmtp:{EVENT_TYPE} 0-16")
    return _SDP.format(formats=" ".join(map(str, formats)), rtpmaps="\n      ".join(maps))


def _scenario(*steps: str) -> str:
    return (
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="test">\n'
        + "".join(steps)
        + "</scenario>\n"
    )


def _reply(
    status: str,
    session: str | None = None,
    *,
    reliable: bool = False,
    new_tag: bool = True,
    cseq: str = "[last_CSeq:]",
) -> str:
    """A response to the last request; `new_tag` for those that are outside a dialog."""
    return _REPLY.format(
        status=status,
        to="[last_To:]" + (";tag=[pid]SIPpTag[call_number]" if new_tag else ""),
        cseq=cseq,
        body=_WITH_SDP.format(sdp=session) if session else _WITHOUT_SDP,
        retransmit=' retrans="500"' if reliable else "",
    )


def _pause(milliseconds: int) -> str:
    return f'  <pause milliseconds="{milliseconds}"/>\n'


def _play(pcaps: Sequence[Path]) -> str:
    return "".join(
        f'  <nop><action><exec play_pcap_audio="{escape(str(pcap))}"/></action></nop>\n'
        + _pause(PCAP_DTMF_MS + PCAP_GAP_MS)
        for pcap in pcaps
    )


_WAIT_FOR_BYE = '  <recv request="BYE"/>\n' + _reply("200 OK", new_tag=False)
_INVITE = """  <recv request="INVITE" crlf="true"><action>
    <ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" assign_to="cseq"/>
  </action></recv>
"""
_ON_CANCEL = (  # RFC 3261 9.2
    '  <label id="cancelled"/>\n'
    + _reply("200 OK")
    + _reply("487 Request Terminated", reliable=True, cseq="CSeq: [$cseq] INVITE")
    + '  <recv request="ACK"/>\n'
)


def _wait_or_cancel(milliseconds: int) -> str:
    """A pause in which the caller may give up."""
    return (
        f'  <recv request="CANCEL" timeout="{milliseconds}" ontimeout="after{milliseconds}"'
        ' next="cancelled"/>\n'
        f'  <label id="after{milliseconds}"/>\n'
    )


@dataclass(frozen=True, slots=True)
class Answering:
    """How SIPp takes a call. Times in milliseconds."""

    formats: Sequence[int] = (0, EVENT_TYPE)
    early_media_ms: int = 0  # this long a 183 with SDP, before the answer
    ringing_ms: int = 0  # this long a 180, before the answer
    refuse: str = ""  # e.g. "486 Busy Here" in place of an answer
    play: Sequence[Path] = ()

    def scenario(self) -> str:
        """SIPp's XML for it."""
        steps, session = [_INVITE], sdp(self.formats)
        if self.ringing_ms:
            steps += [_reply("180 Ringing"), _wait_or_cancel(self.ringing_ms)]
        if self.early_media_ms:
            early = _reply("183 Session Progress", session)
            steps += [early, _wait_or_cancel(self.early_media_ms)]
        if self.refuse:
            steps += [_reply(self.refuse, reliable=True), '  <recv request="ACK"/>\n']
        else:
            steps += [_reply("200 OK", session, reliable=True), '  <recv request="ACK"/>\n']
            if self.play:
                steps += [_pause(500), _play(self.play)]
            steps.append(_WAIT_FOR_BYE)
        done = '  <nop next="done"/>\n', _ON_CANCEL, '  <label id="done"/>\n  <nop/>\n'
        return _scenario(*steps, *done)


@dataclass(frozen=True, slots=True)
class Calling:
    """How SIPp calls in. Times in milliseconds."""

    formats: Sequence[int] = (0, EVENT_TYPE)
    caller: str = "sipp"
    expect: int = 200  # the final response
    before_ms: int = 1000  # from the answer to the first pcap
    play: Sequence[Path] = ()
    talk_ms: int = 1000  # from the last pcap to the BYE
    hang_up: bool = True  # False: wait for the other side's BYE

    def scenario(self) -> str:
        """SIPp's XML for it."""
        invite = self._request(
            "INVITE", 1, body=_WITH_SDP.format(sdp=sdp(self.formats)), retransmit=' retrans="500"'
        )
        provisional = "".join(
            f'  <recv response="{code}" optional="true"/>\n' for code in (100, 180, 183)
        )
        final = f'  <recv response="{self.expect}" rtd="true"/>\n'
        ack = self._request("ACK", 1, to_tag="[peer_tag_param]")
        if self.expect != 200:
            return _scenario(invite, provisional, final, ack)
        steps = [
            invite,
            provisional,
            final,
            ack,
            _pause(self.before_ms),
            _play(self.play),
        ]
        if not self.hang_up:
            return _scenario(*steps, _WAIT_FOR_BYE)
        bye = self._request("BYE", 2, to_tag="[peer_tag_param]", retransmit=' retrans="500"')
        return _scenario(*steps, _pause(self.talk_ms), bye, '  <recv response="200"/>\n')

    def _request(
        self, method: str, number: int, to_tag: str = "", body: str = "", retransmit: str = ""
    ) -> str:
        return _REQUEST.format(
            method=method,
            cseq_method=method,
            number=number,
            caller=self.caller,
            to_tag=to_tag,
            body=body or _WITHOUT_SDP,
            retransmit=retransmit,
        )


class Sipp(Program):
    """One SIPp process. `port`: SIP; `media_port`: RTP, for all its calls."""

    def __init__(
        self,
        directory: Path,
        scenario: str,
        *,
        remote_port: int = 0,
        callee: str = "service",
        calls: int = 0,
        echo: bool = True,
        tcp: bool = False,
        name: str = "sipp",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_ports()
        self.media_port = free_ports(4)
        self._messages = directory / f"{name}-messages.log"
        path = directory / f"{name}.xml"
        path.write_text(scenario)
        arguments = ["sipp", "-sf", str(path), "-i", HOST, "-p", str(self.port), "-nostdin"]
        arguments += ["-mi", HOST, "-mp", str(self.media_port), "-t", "t1" if tcp else "u1"]
        arguments += [
            "-trace_msg",
            "-message_file",
            str(self._messages),
            "-message_overwrite",
            "false",
        ]
        arguments += ["-trace_err", "-error_file", str(directory / f"{name}-errors.log")]
        if echo:
            arguments.append("-rtp_echo")
        if calls:
            arguments += ["-m", str(calls)]
        if remote_port:
            arguments += ["-s", callee, "-r", "1", "-l", "1", f"{HOST}:{remote_port}"]
        super().__init__(arguments, directory, name)

    @property
    def messages(self) -> str:
        """The SIP messages it has sent and received, as its log has them."""
        return self._messages.read_text(errors="replace") if self._messages.exists() else ""

    async def start(self) -> None:
        """Starts it; returns when its SIP port is bound (to call in: when it has begun)."""
        await super().start()
        await self.ready(self._is_bound, within=10)

    def _is_bound(self) -> bool:
        """Whether the kernel lists its SIP port as bound (UDP) or listening (TCP)."""
        wanted = f":{self.port:04X} "
        return any(
            wanted in line.split(maxsplit=2)[1] + " "
            for table in ("udp", "tcp")
            for line in Path("/proc/net", table).read_text().splitlines()[1:]
        )

    async def received(self, method: str, within: float, times: int = 1) -> None:
        """Waits until it has received `times` requests of `method`."""
        await wait_until(
            lambda: self.count_received(method) >= times,
            within,
            f"{self.name} receives {times} {method}",
        )

    def count_received(self, method: str) -> int:
        """How many requests of `method` it has received."""
        parts = self.messages.split("message received")[1:]
        return sum(part.split("\n\n", 1)[1].lstrip().startswith(f"{method} ") for part in parts)
