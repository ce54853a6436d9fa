"""Datagrams of strangers: during set-up and after it, only ICE-validated addresses are heard."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import random
import re
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from OpenSSL import SSL

from gateway.legs.webrtc import _aiortc_private
from gateway.legs.webrtc.link import LinkError
from tests.webrtc.conftest import Rig, until

SETUPS = 10  # per DTLS role


def client_hello() -> bytes:
    """A ClientHello that a DTLS server would answer."""
    connection = SSL.Connection(SSL.Context(SSL.DTLS_METHOD), None)
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(1500)


def alert(description: int) -> bytes:
    """A plaintext fatal alert (RFC 5246 7.2) in a DTLS 1.2 record of epoch 0."""
    return bytes.fromhex("15fefd00000000000000000002") + bytes([2, description])


def forged() -> list[bytes]:
    """What an off-path attacker can send without knowing anything."""
    return [
        client_hello(),
        alert(40),  # handshake_failure
        alert(0),  # close_notify
        b"",
        b"\x16",
        b"\x16\xfe\xfd" + bytes(40),
        b"\x80\x00" + bytes(40),  # RTP
        b"\x80\xc8" + bytes(40),  # RTCP
        b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12) + b"\x00\x25\x00\x00",  # STUN, unsigned
        b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x24\x00\x01a\x00\x00\x00",
        b"\x00\x01\x02",
    ]


class Sprayer:
    """Sends every forgery from unrelated sockets to the given ports, over and over."""

    def __init__(self) -> None:
        self.ports: set[int] = set()
        self.sent = 0
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]

    def aim(self, sdp: str) -> None:
        """At the loopback candidates of a session description."""
        for port in re.findall(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)", sdp):
            self.ports.add(int(port))

    async def run(self) -> None:
        datagrams = forged()
        while True:
            for port in self.ports:
                for number, data in enumerate(datagrams):
                    sender = self._sockets[number % len(self._sockets)]
                    sender.sendto(data, ("127.0.0.1", port))
                    self.sent += 1
            await asyncio.sleep(0.002)

    def close(self) -> None:
        for sender in self._sockets:
            sender.close()


@pytest.fixture
async def spray() -> AsyncIterator[Sprayer]:
    sprayer = Sprayer()
    task = asyncio.create_task(sprayer.run())
    yield sprayer
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    sprayer.close()


async def _set_up(rig: Rig, spray: Sprayer, role: str) -> int:
    """One call under spray; returns how many forgeries reached the gateway and were refused."""
    peer = rig.peer(setup=role)
    offer = await peer.offer()
    spray.aim(offer)
    leg, answer = await rig.planes[0].answer_offer(offer)
    spray.aim(answer)
    await asyncio.sleep(0.02)  # forgeries are under way before the first check
    await peer.accept(answer)
    await until(lambda: leg.port is not None)
    assert leg.port is not None
    port = rig.media.ports[leg.port]
    await until(lambda: len(port.rtp) > 3 and peer.stats.received > 3)
    spray.ports.clear()
    return leg.refused


@pytest.mark.parametrize("role", ["active", "passive"])
async def test_every_set_up_survives_forged_dtls(rig: Rig, spray: Sprayer, role: str) -> None:
    rig.plane()
    for _ in range(SETUPS):
        assert await _set_up(rig, spray, role) > 20


async def test_the_spray_is_harmful_without_the_guard(
    rig: Rig, spray: Sprayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Everybody(set[tuple[str, int]]):
        def __contains__(self, _: object) -> bool:
            return True

    real = _aiortc_private.GuardedConnection.get_component_candidates

    async def gather(self, *args, **options):
        self.validated = Everybody()
        return await real(self, *args, **options)

    monkeypatch.setattr(_aiortc_private.GuardedConnection, "get_component_candidates", gather)
    plane = rig.plane()
    failed = 0
    for _ in range(3):
        peer = rig.peer(setup="active")  # the gateway is DTLS server
        _, answer = await plane.answer_offer(await peer.offer())
        spray.aim(answer)
        await asyncio.sleep(0.02)
        try:
            await peer.accept(answer, timeout=1)
        except (LinkError, TimeoutError):
            failed += 1
        spray.ports.clear()
    assert failed


async def test_strangers_are_not_heard_after_set_up_either(rig: Rig, spray: Sprayer) -> None:
    rig.plane()
    await _set_up(rig, spray, "actpass")
    port = rig.media.only
    (peer,) = rig.peers
    names = [sock.getsockname() for sock in port.sockets.values()]
    (local,) = [name[1] for name in names if name[0] == "127.0.0.1"]
    before = port.refused
    spray.ports.add(local)
    await until(lambda: port.refused > before + 50)
    assert not peer.lost.is_set()
    received = peer.stats.received
    await until(lambda: peer.stats.received > received + 5)
    assert peer.stats.refused == 0


async def test_the_media_plane_is_told_validated_addresses_only(rig: Rig) -> None:
    _, peer, _ = await rig.call()
    port = rig.media.only
    offered = {(c.split()[4], int(c.split()[5])) for c in peer.candidate_lines}
    assert port.selected[-1][1:] in port.allowed
    assert port.allowed <= offered


def _stun(luck: random.Random, connection: _aiortc_private.GuardedConnection) -> bytes:
    """A STUN message with any attributes, often signed with the right password."""
    user = f"{connection.local_username}:abcd".encode()
    known = {0x06: user, 0x24: b"\0\0\0\1", 0x25: b"", 0x802A: bytes(8), 0x8029: bytes(8)}
    body = b""
    for _ in range(luck.randrange(8)):
        kind = luck.choice([*known, 0x06, 0x06, 0x24, luck.randrange(65536)])
        value = known.get(kind, b"") if luck.random() < 0.8 else luck.randbytes(luck.randrange(30))
        length = len(value) if luck.random() < 0.95 else luck.randrange(80)
        body += struct.pack("!HH", kind, length) + value + bytes(-len(value) % 4)
    method = luck.choice([0x001, 0x001, 0x001, 0x101, 0x111, 0x011, 0x003, luck.randrange(0x4000)])
    signed = luck.random() < 0.7
    header = struct.pack("!HHI", method, len(body) + 24 * signed, 0x2112A442) + luck.randbytes(12)
    if signed:
        key = connection.local_password.encode()
        digest = hmac.new(key, header + body, "sha1").digest()
        body += struct.pack("!HH", 0x08, 20) + digest
    return header + body


async def test_no_datagram_harms_the_demultiplexer() -> None:
    luck = random.Random(7983)
    connection = _aiortc_private.GuardedConnection(loopback=True, controlling=False)
    await connection.gather_candidates()
    connection.remote_username, connection.remote_password = "abcd", "x" * 22
    checks = asyncio.create_task(connection.connect())
    await asyncio.sleep(0)
    heard: list[bytes] = []
    connection.hand_rtp_to(heard.append)
    protocol = connection.protocols[0]
    for _ in range(5000):
        data = _stun(luck, connection)
        if luck.random() < 0.2:
            data = luck.randbytes(luck.randrange(60))
        protocol.datagram_received(data, ("127.0.0.1", luck.randrange(1024, 65536)))
    assert len(connection.validated) == _aiortc_private.MAX_VALIDATED  # signed ones got through
    assert len(connection.remote_candidates) <= 64
    assert all(128 <= data[0] <= 191 for data in heard)
    await connection.close()
    await asyncio.wait([checks])
    assert isinstance(checks.exception(), ConnectionError)
