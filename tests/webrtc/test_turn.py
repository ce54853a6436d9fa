"""Relayed legs: the gateway behind a TURN server (coturn), media through Python."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.model import IceServer
from gateway.errors import MEDIA_FAILED, NORMAL, GatewayError
from gateway.legs.webrtc.seam import RELAY_TAG
from tests.support.processes import HOST, Program, free_ports
from tests.webrtc.conftest import Rig, until
from tests.webrtc.offers import CHROMIUM

USER, PASSWORD, REALM = "gateway", "relay-secret", "example.org"


@pytest.fixture
async def turn_server(tmp_path: Path) -> AsyncIterator[IceServer]:
    port = free_ports(2)
    relay = free_ports(40)
    arguments = ["turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech"]
    arguments += ["--allow-loopback-peers", "--fingerprint", "--log-file=stdout", "--simple-log"]
    arguments += [f"--listening-ip={HOST}", f"--relay-ip={HOST}", f"--listening-port={port}"]
    arguments += [f"--min-port={relay}", f"--max-port={relay + 39}"]
    arguments += [f"--user={USER}:{PASSWORD}", f"--realm={REALM}"]
    arguments += [f"--pidfile={tmp_path / 'turn.pid'}", f"--userdb={tmp_path / 'turn.db'}"]
    async with Program(arguments, tmp_path, "turnserver") as server:
        await server.ready(lambda: "SQLite DB connection success" in server.log)
        yield IceServer(
            urls=[f"turn:{HOST}:{port}?transport=udp"],
            username=USER,
            credential=SecretStr(PASSWORD),
        )


@pytest.fixture
def relay_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's host has no address of its own; the peer still has loopback."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: [])


@pytest.mark.usefixtures("relay_only")
async def test_media_flows_through_the_relay(rig: Rig, turn_server: IceServer) -> None:
    plane = rig.plane(loopback=False, ice_servers=[turn_server])
    leg, peer, events = await rig.call(plane, data_channel=True)
    assert [line.split()[7] for line in leg.answer_sdp().splitlines() if "candidate:" in line] == [
        "relay",
        "relay",  # in both sections
    ]
    port = rig.media.only
    assert port.sockets == {}
    assert [tag for tag, _, _ in port.selected] == [RELAY_TAG]
    peer.start_tone(600)
    await peer.send_digits("42", duration_ms=100, gap_ms=60)
    await until(lambda: len(peer.received_digits) == 2)
    await until(lambda: peer.stats.received > 30)
    assert port.through_python > 30
    assert peer.stats.refused == 0
    assert peer.stats.lost == 0
    await until(lambda: peer.send_message("through the relay as well"))
    leg.hangup(NORMAL)
    await until(lambda: len(events) == 2)
    await leg.wait_closed()
    assert not plane.legs


async def test_a_direct_path_is_preferred(rig: Rig, turn_server: IceServer) -> None:
    leg, peer, _ = await rig.call(rig.plane(ice_servers=[turn_server]))
    assert "typ relay" in leg.answer_sdp()
    await until(lambda: peer.stats.received > 10)
    assert rig.media.only.selected[-1][0] >= 0
    leg.hangup(NORMAL)  # while the server lives: gives the allocation back
    await leg.wait_closed()


async def test_a_dead_turn_server_delays_but_does_not_break_calls(rig: Rig) -> None:
    server = IceServer(
        urls=[f"turn:{HOST}:{free_ports()}"], username=USER, credential=SecretStr(PASSWORD)
    )
    _, peer, _ = await rig.call(rig.plane(ice_servers=[server]))
    await until(lambda: peer.stats.received > 10)


@pytest.mark.usefixtures("relay_only")
async def test_no_address_at_all(rig: Rig) -> None:
    plane = rig.plane(loopback=False)
    with pytest.raises(GatewayError) as caught:
        await plane.answer_offer(CHROMIUM)
    assert caught.value.verdict.code == MEDIA_FAILED.code
    assert "no address" in caught.value.verdict.text


async def test_a_malformed_server_is_refused_at_the_start(rig: Rig) -> None:
    with pytest.raises(ValueError, match="malformed uri"):
        rig.plane(ice_servers=[IceServer(urls=["http://example.org"])])
