"""What gateway.legs.webrtc._aiortc_private relies on in aiortc and aioice.

When this fails after an upgrade: read the changed functions, adapt the private file, then the pins.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import socket
from importlib.metadata import version
from pathlib import Path

import pytest
from aioice import ice, stun, turn
from aiortc import RTCCertificate, rtcdtlstransport, rtcicetransport, rtcsctptransport

from gateway.legs.webrtc import _aiortc_private as private
from gateway.legs.webrtc.link import Link
from tests.webrtc.conftest import Rig, until

PACKAGE = Path(private.__file__).parent


def test_versions_are_the_pinned_ones() -> None:
    assert version("aiortc") == "1.16.0"
    assert version("aioice").startswith("0.13.")


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    with pytest.raises(ImportError, match=r"aiortc 9\.9 is installed"):
        importlib.reload(private)


# The code that the private file overrides or takes apart, by what it must still contain.
SOURCES: list[tuple[object, list[str]]] = [
    (
        ice.Connection.get_component_candidates,
        ["addresses", "StunProtocol(self)", "self._protocols += host_protocols"],
    ),
    (ice.Connection.gather_candidates, ["self.get_component_candidates(component=component"]),
    (
        ice.Connection.request_received,
        ["check_message_integrity", "self.check_incoming(message, addr, protocol)"],
    ),
    (ice.Connection.connect, ["self.check_incoming(*early_check)"]),
    (ice.Connection.check_start, ["addr != pair.remote_addr", "self.check_complete(pair)"]),
    (ice.Connection.check_complete, ["self._nominated[pair.component] = pair"]),
    (ice.Connection.data_received, ["self._queue.put_nowait((data, component))"]),
    (ice.Connection.get_event, ["if self._closed:", "return None"]),
    (ice.Connection.add_remote_candidate, ["self._end_remote_candidates()"]),
    (ice.Connection._add_remote_candidate, ["remote_candidate: Candidate, network_host: str"]),
    (ice.StunProtocol.datagram_received, ["stun.parse_message(data)", "receiver.data_received"]),
    (ice.StunProtocol.close, ["self.transport.close()", "await self.__closed"]),
    (ice.StunProtocol.connection_lost, ["self.__closed.set_result(True)"]),
    (turn.TurnClientMixin.datagram_received, ["self.receiver.datagram_received(payload"]),
    (rtcicetransport.RTCIceGatherer.__init__, ["self._connection = Connection("]),
    (rtcicetransport.RTCIceTransport.__init__, ["self._connection = gatherer._connection"]),
    (rtcdtlstransport.RTCDtlsTransport.start, ["self._validate_peer_identity", "_setup_srtp()"]),
    (rtcdtlstransport.RTCDtlsTransport._setup_srtp, ['b"EXTRACTOR-dtls_srtp"', "get_key_and_salt"]),
    (rtcdtlstransport.RTCDtlsTransport._recv_next, ["and self._rx_srtp:"]),
    (rtcdtlstransport.RTCDtlsTransport._send_rtp, ["self._tx_srtp.protect"]),
    (rtcsctptransport.RTCSctpTransport._receive_data_chunk, ["self._advertised_rwnd -="]),
    (rtcsctptransport.RTCSctpTransport._send_chunk, ["_send_data("]),
]


@pytest.mark.parametrize(
    ("function", "parts"), SOURCES, ids=lambda x: getattr(x, "__qualname__", "")
)
def test_overridden_code_is_as_we_know_it(function: object, parts: list[str]) -> None:
    source = inspect.getsource(function)  # type: ignore[arg-type]
    assert [part for part in parts if part not in source] == []


def test_no_other_file_touches_private_parts() -> None:
    libraries = r"(?:connection|ice|dtls|sctp|gatherer|protocol|pair|transport|channel|candidate)"
    reach = re.compile(rf"\b_?{libraries}\._[a-z]")
    offenders = [
        f"{path.name}:{number}"
        for path in PACKAGE.glob("*.py")
        if path.name != "_aiortc_private.py"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if reach.search(line)
    ]
    assert offenders == []


async def test_there_is_one_srtp_sender(rig: Rig) -> None:
    _, peer, _ = await rig.call()
    for link in (peer._link, next(iter(rig.planes[0].legs))._link):
        dtls = link._dtls
        assert dtls._tx_srtp is None
        assert dtls._rx_srtp is None
        with pytest.raises(AssertionError, match="media plane"):
            await dtls._send_rtp(b"\x80\x00")
        assert not dtls._rtp_router.receivers
        assert not dtls._rtp_router.senders


async def test_keys_of_both_sides_fit(rig: Rig) -> None:
    _, peer, _ = await rig.call()
    params = rig.media.only.params
    keys = peer._link._dtls.keys
    assert keys is not None
    assert (keys.tx, keys.rx) == (params.rx_key, params.tx_key)
    assert keys.tx != keys.rx
    assert repr(keys.tx) not in repr(keys)  # no key in a log by accident


async def test_early_rtp_is_kept_for_the_media_plane() -> None:
    connection = private.GuardedConnection(loopback=True, controlling=False)
    here = ("192.0.2.1", 1)
    connection._demultiplex(b"\x80stranger", here, connection.data_received)  # type: ignore[arg-type]
    connection.validated.add(here)
    for number in range(100):
        connection._demultiplex(b"\x80%d" % number, here, connection.data_received)  # type: ignore[arg-type]
    got: list[bytes] = []
    connection.hand_rtp_to(got.append)
    assert got == [b"\x80%d" % number for number in range(36, 100)]  # the last 64
    assert connection.refused == 1


async def test_a_closed_connection_gives_an_event_at_once() -> None:
    # RTCIceTransport._monitor loops on None without ever yielding to the loop.
    connection = private.GuardedConnection(loopback=True, controlling=False)
    await connection.close()
    assert isinstance(await connection.get_event(), ice.ConnectionClosed)


async def test_a_binding_request_without_priority_is_ignored() -> None:
    connection = private.GuardedConnection(loopback=True, controlling=False)
    await connection.gather_candidates()
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    connection.check_incoming(message, ("192.0.2.1", 1), connection.protocols[0])
    assert connection.validated == set()
    await connection.close()


async def test_candidates_and_validated_addresses_are_bounded() -> None:
    connection = private.GuardedConnection(loopback=True, controlling=False)
    await connection.gather_candidates()
    connection.remote_username, connection.remote_password = "abcd", "x" * 22
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["PRIORITY"] = 1
    for number in range(200):
        connection.check_incoming(message, ("127.0.0.1", 1000 + number), connection.protocols[0])
    assert len(connection.validated) == private.MAX_VALIDATED
    assert len(connection.remote_candidates) == 64
    await connection.close()


async def test_taken_sockets_still_send_and_close(rig: Rig) -> None:
    link = Link(RTCCertificate.generateCertificate(), servers={}, loopback=True)
    await link.gather()
    names = [(c.ip, c.port) for c in link.local_candidates]
    taken = link.take_over()
    assert [tag for tag, _ in taken] == list(range(len(names)))
    loop = asyncio.get_running_loop()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        link._taken[0].sendto(b"x", listener.getsockname())
        data, source = await asyncio.wait_for(loop.sock_recvfrom(listener, 10), 5)
        assert (data, source) == (b"x", names[0])
    await link.close()
    await until(lambda: all(t.fileno() == -1 for t in link._taken))
