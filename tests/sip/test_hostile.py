"""Peers that break rules, fall silent or send nonsense: their call suffers, nothing else does."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import NORMAL
from gateway.ports import LegAnswered, LegEnded, SipTarget
from tests.sip.conftest import Gateway, Heard, StartGateway
from tests.sip.sipp import (
    caller_request,
    pause,
    receive,
    receive_invite,
    reply,
    scenario,
    sdp,
    sipp,
)
from tests.sip.test_incoming import ACK, BYE, INVITE, TRYING, answer_one, audio_of, trunk
from tests.support.processes import wait_until

REQUEST = (
    b"INVITE sip:100@127.0.0.1:%(port)d SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:%(own)d;branch=z9hG4bK%(tag)s\r\n"
    b"From: %(from)s;tag=%(tag)s\r\n"
    b"To: <sip:100@127.0.0.1>\r\n"
    b"Call-ID: %(tag)s\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:a@127.0.0.1:%(own)d>\r\n"
    b"%(more)sMax-Forwards: 70\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: %(length)d\r\n\r\n%(body)s"
)
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\n"
)


@pytest.fixture
def raw() -> Iterator[socket.socket]:
    """A UDP socket that says what it likes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def invite(
    gateway: Gateway,
    raw: socket.socket,
    tag: bytes,
    *,
    caller: bytes = b"<sip:a@x>",
    more: bytes = b"",
    body: bytes = OFFER,
) -> None:
    """Send an INVITE made of bytes."""
    parts = {
        b"port": gateway.port, b"own": raw.getsockname()[1], b"tag": tag, b"from": caller,
        b"more": more, b"length": len(body), b"body": body,
    }  # fmt: skip
    raw.sendto(REQUEST % parts, ("127.0.0.1", gateway.port))


async def final_response(raw: socket.socket) -> bytes:
    """The status line of the first response that is not provisional."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        while True:
            line = (await loop.sock_recv(raw, 65535)).split(b"\r\n")[0]
            if not line.startswith(b"SIP/2.0 1"):
                return line


async def the_gateway_still_works(gateway: Gateway, tmp_path: Path) -> None:
    """An ordinary call comes in and goes."""
    calls = scenario(INVITE, TRYING, receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await answer_one(gateway)
        await peer.done()


async def test_bytes_that_are_no_text_reach_the_handler_as_text(
    start_gateway: StartGateway, raw: socket.socket, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    invite(gateway, raw, b"1", caller=b'"\xff\xfe\xc3" <sip:a%FFb@x>')
    incoming, heard = await gateway.offered()
    (incoming.caller + incoming.caller_name).encode()
    incoming.leg.hangup(NORMAL)
    await heard.next(LegEnded)
    assert await final_response(raw) == b"SIP/2.0 480 Temporarily Unavailable"
    await the_gateway_still_works(gateway, tmp_path)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\r\n\r\n",
        b"\x00" * 1400,
        b"INVITE",
        b"INVITE sip:100@127.0.0.1 SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x\r\n\r\n",
        b"\xff" * 65000,
        REQUEST[:200],
    ],
    ids=lambda datagram: repr(datagram[:12]),
)
async def test_garbage_is_ignored(
    start_gateway: StartGateway, raw: socket.socket, tmp_path: Path, datagram: bytes
) -> None:
    gateway = await start_gateway(trunk())
    raw.sendto(datagram, ("127.0.0.1", gateway.port))
    await the_gateway_still_works(gateway, tmp_path)
    assert gateway.incoming.empty()


async def test_replaces_does_not_take_over_a_call(
    start_gateway: StartGateway, raw: socket.socket, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(INVITE, TRYING, receive(200), ACK, pause(1500), BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        await heard.next(LegAnswered)
        answers = await wait_until(lambda: peer.received("SIP/2.0 200"), 5, "answered")
        answer = answers[0].replace("\r", "").splitlines()
        call_id = next(line for line in answer if line.startswith("Call-ID:")).split()[1]
        ours = next(line for line in answer if line.startswith("To:")).partition("tag=")[2]
        theirs = next(line for line in answer if line.startswith("From:")).partition("tag=")[2]
        replaces = f"Replaces: {call_id};to-tag={ours};from-tag={theirs}\r\n"
        invite(gateway, raw, b"2", more=replaces.encode())
        assert b" 403 " in await final_response(raw)
        ended = await heard.next(LegEnded)
        await peer.done()
    assert ended.by_peer
    assert gateway.incoming.empty()


async def test_an_offer_longer_than_pjsua2s_buffer_is_answered_all_the_same(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk(codecs=["pcma", "pcmu"]))
    extra = tuple(
        f"a=candidate:{n} 1 udp 2130706431 192.0.2.{n} 50000 typ host generation 0"
        for n in range(40)
    )
    formats = ("0 PCMU/8000", "8 PCMA/8000", "101 telephone-event/8000")
    long = caller_request("INVITE", 1, sdp(*formats, extra=extra))
    calls = scenario(long, TRYING, receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port) as peer:
        await answer_one(gateway)
        await peer.done()
    assert audio_of(peer.received("SIP/2.0 200")[0])[0] == ["8", "101"]


@pytest.mark.usefixtures("short_timers")
async def test_a_transaction_timeout_ends_an_outgoing_call(start_gateway: StartGateway) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        gateway = await start_gateway(trunk(port=silent.getsockname()[1]))
        ended = await Heard(gateway.plane.dial(SipTarget("t", "100"))).next(LegEnded)
    assert (ended.verdict.code, ended.verdict.sip_status) == ("peer_unreachable", 408)
    assert not ended.by_peer


@pytest.mark.usefixtures("short_timers")
async def test_a_caller_that_never_acknowledges_is_given_up(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    mute = scenario(INVITE, TRYING, receive(200), pause(4000))
    async with sipp(tmp_path, mute, target=gateway.port):
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        ended = await heard.next(LegEnded)
    assert (ended.verdict.code, ended.by_peer) == ("peer_unreachable", False)
    assert not gateway.media.open


async def test_hanging_up_before_the_ack_ends_the_leg_at_once_and_sends_bye_after_it(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(trunk())
    slow = scenario(
        INVITE, TRYING, receive(200), pause(1500), ACK, receive("BYE", options='timeout="5000"'),
    )  # fmt: skip
    async with sipp(tmp_path, slow, target=gateway.port) as peer:
        incoming, heard = await gateway.offered()
        incoming.leg.answer()
        await heard.next(LegAnswered)
        incoming.leg.hangup(NORMAL.because("Never mind"))
        await heard.next(LegEnded)
        assert not peer.sent("ACK")
        await peer.done()
    (bye,) = peer.received("BYE")
    assert 'Reason: Q.850;cause=16;text="Never mind"' in bye


async def test_a_contact_that_cannot_be_resolved_does_not_stop_other_calls(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    answer = reply("200 OK", sdp()).replace("sip:[local_ip]:[local_port]", "sip:x@nowhere.invalid")
    refuses = scenario(receive_invite(), reply("486 Busy Here"), receive("ACK"))
    async with (
        sipp(tmp_path, scenario(receive_invite(), answer, pause(8000))) as lost,
        sipp(tmp_path, refuses) as busy,
    ):
        gateway = await start_gateway(
            trunk(port=lost.port), trunk(name="busy", host="127.0.0.1", port=busy.port)
        )
        stuck = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await stuck.next(LegAnswered)
        begun = time.monotonic()
        await Heard(gateway.plane.dial(SipTarget("busy", "100"))).next(LegEnded)
        assert time.monotonic() - begun < 1.0
        stuck.leg.hangup(NORMAL)
        await stuck.next(LegEnded)


async def test_a_storm_of_calls_is_served(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(trunk())
    calls = scenario(INVITE, TRYING, receive(200), ACK, BYE)
    async with sipp(tmp_path, calls, target=gateway.port, calls=60, rate=60) as peer:
        legs = []
        for _ in range(60):
            incoming, heard = await gateway.offered()
            incoming.leg.answer()
            legs.append(heard)
        for heard in legs:
            assert (await heard.next(LegEnded)).by_peer
        await peer.done(30)
    assert gateway.plane.leg_count == 0
    assert not gateway.media.open
