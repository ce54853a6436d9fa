"""A browser whose address changes in the middle of a call: media follows what ICE nominates."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aioice import stun

from tests.webrtc.conftest import Rig, until


class Roamer(asyncio.DatagramProtocol):
    """The same browser on another socket: knows the credentials, answers and makes checks."""

    def __init__(self, local: tuple[str, str], remote: tuple[str, str]) -> None:
        self._local, self._remote = local, remote
        self.checked = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None
        self.rtp = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data[0] > 3:
            self.rtp += 128 <= data[0] <= 191
            return
        message = stun.parse_message(data)
        if message.message_class is stun.Class.REQUEST:
            answer = stun.Message(
                stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=message.transaction_id
            )
            answer.attributes["XOR-MAPPED-ADDRESS"] = addr[:2]
            answer.add_message_integrity(self._local[1].encode())
            assert self.transport is not None
            self.transport.sendto(bytes(answer), addr)
            self.checked.set()

    def check(self, to: tuple[str, int], *, nominate: bool) -> None:
        """An authenticated connectivity check (RFC 8445 7.2)."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote[0]}:{self._local[0]}"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 2**63
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._remote[1].encode())
        assert self.transport is not None
        self.transport.sendto(bytes(request), to)


def _credentials(sdp: str) -> tuple[str, str]:
    ufrag = re.search(r"a=ice-ufrag:(\S+)", sdp)
    password = re.search(r"a=ice-pwd:(\S+)", sdp)
    assert ufrag is not None
    assert password is not None
    return ufrag[1], password[1]


async def test_media_follows_the_nominated_pair(rig: Rig) -> None:
    leg, peer, _ = await rig.call()
    port = rig.media.only
    credentials = _credentials(peer.sdp), _credentials(leg.answer_sdp())
    loop = asyncio.get_running_loop()
    transport, roamer = await loop.create_datagram_endpoint(
        lambda: Roamer(*credentials), local_addr=("127.0.0.1", 0)
    )
    try:
        (socket,) = [s for s in port.sockets.values() if s.getsockname()[0] == "127.0.0.1"]
        gateway, here = socket.getsockname(), transport.get_extra_info("sockname")
        roamer.check(gateway, nominate=False)
        await asyncio.wait_for(roamer.checked.wait(), 5)
        await until(lambda: here in port.allowed)
        assert len(port.selected) == 1
        roamer.check(gateway, nominate=True)
        await until(lambda: len(port.selected) == 2)
        assert port.selected[-1][1:] == here
        await until(lambda: roamer.rtp > 3)  # what the echo sends goes there now
    finally:
        transport.close()


async def test_wrong_credentials_change_nothing(rig: Rig) -> None:
    leg, _, _ = await rig.call()
    port = rig.media.only
    ufrag, _ = _credentials(leg.answer_sdp())
    loop = asyncio.get_running_loop()
    transport, roamer = await loop.create_datagram_endpoint(
        lambda: Roamer(("none", "x" * 24), (ufrag, "y" * 24)), local_addr=("127.0.0.1", 0)
    )
    try:
        (socket,) = [s for s in port.sockets.values() if s.getsockname()[0] == "127.0.0.1"]
        before = set(port.allowed)
        for _ in range(20):
            roamer.check(socket.getsockname(), nominate=True)
            await asyncio.sleep(0.01)
        assert port.allowed == before
        assert len(port.selected) == 1
    finally:
        transport.close()
