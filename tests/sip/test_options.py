"""OPTIONS outside a dialog (RFC 3261 11): those that ask a trunk, and those that ask us."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest
from pydantic import SecretStr

from gateway.config.model import Trunk
from gateway.errors import GatewayError
from gateway.ports import LegAnswered, LegEnded, OptionsReply, SipTarget
from tests.sip.conftest import Gateway, Heard, StartGateway
from tests.sip.sipp import Transport
from tests.sip.test_loop import loop_trunk
from tests.support.options_peer import OptionsPeer, options_peer
from tests.support.processes import HOST

WITHIN = 8.0


async def ask(gateway: Gateway, trunk: str = "far") -> OptionsReply:
    async with asyncio.timeout(WITHIN):
        return await gateway.plane.options(trunk)


def far(peer: OptionsPeer, **settings: object) -> Trunk:
    """The trunk whose far end `peer` is."""
    known = {"name": "far", "host": HOST, "port": peer.port}
    return Trunk.model_validate(known | settings)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_it_is_sent_as_an_invite_of_the_trunk_would_be(
    start_gateway: StartGateway, transport: Transport
) -> None:
    peer = options_peer()
    trunk = far(peer, transport=transport, caller="+4930123")
    async with peer.up(transport):
        gateway = await start_gateway(trunk)
        Heard(gateway.plane.dial(SipTarget("far", "100")))
        invite = await peer.asked(1)
        reply = await ask(gateway)
    assert (reply.status, reply.reason, reply.lives) == (200, "OK", True)
    assert reply.rtt is not None
    assert 0 < reply.rtt < 1
    options = next(text for text in peer.requests if text.startswith("OPTIONS "))
    ending = ";transport=tcp" if transport == "tcp" else ""
    assert options.startswith(f"OPTIONS sip:{HOST}:{peer.port}{ending} SIP/2.0\r\n")
    assert "\r\nAccept: application/sdp" in options  # RFC 3261 11.1
    assert "\r\nMax-Forwards: 70" in options
    for pattern in (r"\r\nFrom: ([^;]*);", r"\r\nVia: SIP/2.0/(\w+ [\d.]+)"):
        assert re.findall(pattern, options) == re.findall(pattern, invite)
    assert f"\r\nFrom: <sip:+4930123@{HOST}>;tag=" in options


async def test_a_trunk_with_an_account_is_asked_in_its_domain_and_a_challenge_is_an_answer(
    start_gateway: StartGateway,
) -> None:
    peer = options_peer("401 Unauthorized")
    async with peer.up():
        gateway = await start_gateway(far(peer, username="us", password=SecretStr("pw")))
        reply = await ask(gateway)
    assert (reply.status, reply.lives) == (401, True)
    assert f"\r\nFrom: <sip:us@{HOST}>;tag=" in peer.requests[0]
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("answer", "lives"),
    [
        ("200 OK", True),
        ("404 Not Found", True),
        ("405 Method Not Allowed", True),
        ("481 Call/Transaction Does Not Exist", True),
        ("501 Not Implemented", True),
        ("408 Request Timeout", False),
        ("503 Service Unavailable", False),
    ],
)
async def test_which_answers_prove_that_it_lives(
    start_gateway: StartGateway, answer: str, lives: bool
) -> None:
    peer = options_peer(answer)
    async with peer.up():
        gateway = await start_gateway(far(peer))
        reply = await ask(gateway)
    assert f"{reply.status} {reply.reason}" == answer
    assert reply.lives is lives
    assert reply.rtt is not None


async def test_a_host_by_name_is_looked_up(start_gateway: StartGateway) -> None:
    peer = options_peer()
    async with peer.up():
        gateway = await start_gateway(far(peer, host="localhost"))
        replies = [await ask(gateway), await ask(gateway)]
    assert [reply.status for reply in replies] == [200, 200]
    for request in peer.requests:
        assert request.startswith(f"OPTIONS sip:localhost:{peer.port} SIP/2.0")
        assert "\r\nRoute:" not in request


@pytest.mark.parametrize("host", ["nobody.invalid", "two..dots", f"{'a' * 70}.example"])
async def test_a_name_that_nobody_knows_is_no_proof_of_life(
    start_gateway: StartGateway, host: str
) -> None:
    gateway = await start_gateway(far(options_peer(), host=host))
    reply = await ask(gateway)
    assert (reply.status, reply.rtt, reply.lives) == (503, None, False)
    assert reply.reason.startswith(f"cannot resolve {host}: ")
    ended = await Heard(gateway.plane.dial(SipTarget("far", "100"))).next(LegEnded)
    assert ended.verdict.code == "peer_unreachable"


async def test_a_refused_connection_is_told_at_once(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(far(options_peer(), transport="tcp"))
    reply = await ask(gateway)
    assert (reply.status, reply.reason) == (503, "Connection refused")
    assert not reply.lives


@pytest.mark.usefixtures("short_timers")
async def test_silence_is_a_timeout(start_gateway: StartGateway) -> None:
    peer = options_peer(None)
    async with peer.up():
        gateway = await start_gateway(far(peer))
        reply = await ask(gateway)
    assert (reply.status, reply.rtt, reply.lives) == (408, None, False)
    assert len(peer.requests) >= 2, "it was sent again (RFC 3261 17.1.2.2)"


async def test_replies_find_who_asked(start_gateway: StartGateway) -> None:
    """Two at once to one trunk, of which the second is answered first."""
    peer = options_peer(None)
    async with peer.up():
        gateway = await start_gateway(far(peer))
        first = asyncio.create_task(ask(gateway))
        branch = branch_of(await peer.asked())
        again = asyncio.create_task(ask(gateway))
        while branch_of(peer.requests[-1]) == branch:
            await peer.asked(len(peer.requests) + 1)
        assert not first.done()
        peer.status = "200 OK"  # both are sent again
        assert [reply.status for reply in await asyncio.gather(first, again)] == [200, 200]
        one, other = (reply.rtt for reply in await asyncio.gather(first, again))
        assert one is not None
        assert other is not None
        assert one != other


def branch_of(request: str) -> str:
    found = re.search(r"branch=([^;\r]+)", request)
    assert found is not None
    return found[1]


async def test_who_asks_is_told_when_the_plane_stops(start_gateway: StartGateway) -> None:
    peer = options_peer(None)
    async with peer.up():
        gateway = await start_gateway(far(peer))
        asking = asyncio.create_task(gateway.plane.options("far"))
        await peer.asked()
        await gateway.plane.stop()
        with pytest.raises(GatewayError) as stopped:
            await asking
        assert stopped.value.verdict.code == "shutting_down"
        with pytest.raises(GatewayError):
            await gateway.plane.options("far")


async def test_who_waits_no_more_leaves_nothing_behind(start_gateway: StartGateway) -> None:
    peer = options_peer(None)
    async with peer.up():
        gateway = await start_gateway(far(peer))
        asking = asyncio.create_task(gateway.plane.options("far"))
        await peer.asked()
        asking.cancel()
        await asyncio.wait([asking])
        peer.status = "200 OK"
        await peer.asked(2)  # it is sent again, and answered to nobody
        assert (await ask(gateway)).lives


async def test_an_unknown_trunk_is_said(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    with pytest.raises(GatewayError, match="no trunk is called 'far'"):
        await gateway.plane.options("far")


async def test_calls_come_in_while_their_trunk_is_asked(
    start_gateway: StartGateway, sip_port: int
) -> None:
    """What asks has an identity that is called, here `anonymous`: the call is an ordinary one."""
    gateway = await start_gateway(loop_trunk(sip_port), port=sip_port)
    assert (await ask(gateway, "loop")).status == 200
    Heard(gateway.plane.dial(SipTarget("loop", "anonymous")))
    incoming, heard = await gateway.offered()
    assert (incoming.trunk, incoming.callee) == ("loop", "anonymous")
    incoming.leg.answer()
    await heard.next(LegAnswered)


OPTIONS = (
    "OPTIONS sip:{host}:{port} SIP/2.0\r\n"
    "Via: SIP/2.0/{kind} {host}:{own};branch=z9hG4bKo1\r\n"
    "From: <sip:peer@{host}>;tag=1\r\n"
    "To: <sip:{host}>\r\n"
    "Call-ID: o1\r\n"
    "CSeq: 7 OPTIONS\r\n"
    "Max-Forwards: 70\r\n"
    "Content-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_we_answer_what_we_can_do(start_gateway: StartGateway, transport: Transport) -> None:
    """RFC 3261 11.2: 200 with Allow, Accept and Supported, outside a call."""
    gateway = await start_gateway()
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as raw:
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, (HOST, gateway.port))
        request = OPTIONS.format(
            host=HOST, port=gateway.port, own=raw.getsockname()[1], kind=transport.upper()
        )
        await loop.sock_sendall(raw, request.encode())
        async with asyncio.timeout(WITHIN):
            answer = (await loop.sock_recv(raw, 65535)).decode()
    status, *lines = answer.split("\r\n")
    assert status == "SIP/2.0 200 OK"
    told = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"} <= set(told["Allow"].split(", "))
    assert "application/sdp" in told["Accept"]
    assert told["Supported"]
    assert told["CSeq"] == "7 OPTIONS"
    assert gateway.incoming.empty()
