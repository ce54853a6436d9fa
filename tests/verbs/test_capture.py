"""Captures of real calls, read by tshark: SIP, RTP of both legs, and what is left out of them."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE
from tests.verbs.house import House
from tests.verbs.phone import Phone
from tests.verbs.talks import talking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

CARD = "4929123412341234"
RTP = ("-o", "rtp.heuristic_rtp:TRUE", "--enable-heuristic", "rtp_udp")


async def begin(house: House, call: str, **wish: Any) -> None:
    url = f"{house.gateway.url}/v1/calls/{call}/capture"
    async with house.http.post(url, json=wish) as response:
        assert response.status == 202, await response.text()
        assert (await response.json())["state"] == "running"
    async with house.http.get(url) as response:
        assert response.status == 409


async def finished(house: House, call: str, file: Path) -> dict[str, Any]:
    """Waits for the end of a call's capture, and downloads it."""
    url = f"{house.gateway.url}/v1/calls/{call}/capture"

    async def done() -> dict[str, Any] | None:
        async with house.http.get(url + "/status") as response:
            told: dict[str, Any] = await response.json()
        return told if told["state"] == "done" else None

    told: dict[str, Any] = await wait_until(done, PATIENCE, "the capture is done")
    async with house.http.get(url) as response:
        assert response.content_type == "application/vnd.tcpdump.pcap"
        await asyncio.to_thread(file.write_bytes, await response.read())
    return told


async def tshark(file: Path, shown: str, *fields: str) -> list[list[str]]:
    """The fields of all packets that `shown` lets through."""
    wanted = [part for field in fields for part in ("-e", field)]
    command = ["tshark", "-n", "-r", str(file), *RTP, "-Y", shown, "-T", "fields", *wanted]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


async def test_a_talk_is_captured_with_its_sip_and_both_legs(
    house: House, peer: ProbePeer, north: Phone, tmp_path: Path
) -> None:
    async with talking(house, peer, north) as talk:
        await begin(house, talk.call, seconds=60)
        await asyncio.sleep(2.0)  # so much of the talk is captured
        await peer.send_digits("42", duration_ms=120, gap_ms=100)
        await wait_until(lambda: len(north.rtp.received_digits) == 2, PATIENCE, "digits")
    await house.ends(talk.call)
    file = tmp_path / "talk.pcap"
    told = await finished(house, talk.call, file)
    assert (told["reason"], told["lost"]) == ("asked", 0)
    sip = await tshark(file, "sip", "sip.Method", "sip.Status-Code", "udp.dstport")
    assert sip[0][0] == "INVITE"
    assert sip[0][2] == str(north.port)
    methods = [line[0] for line in sip if line[0]]
    assert methods == ["INVITE", "ACK", "BYE"]
    assert [line[1] for line in sip][-1] == "200"
    rtp = await tshark(file, "rtp", "rtp.ssrc", "rtp.seq", "rtp.p_type", "udp.dstport")
    streams = Counter(line[0] for line in rtp)
    assert len(streams) == 4
    assert min(streams.values()) >= 100
    for ssrc in streams:
        numbers = [int(line[1]) for line in rtp if line[0] == ssrc]
        assert {(b - a) % 65536 for a, b in pairwise(numbers)} == {1}
    assert {line[3] for line in rtp if line[2] == "0"} >= {str(north.rtp.port)}
    events = await tshark(file, "rtpevent", "rtpevent.event_id")
    assert events
    assert {line[0] for line in events} == {"255"}
    assert len(await tshark(file, "udp", "frame.number")) == told["packets"]
    assert not await tshark(file, "udp.checksum.status == 0 || ip.checksum.status == 0", "ip.id")
    times = [float(line[0]) for line in await tshark(file, "udp", "frame.time_relative")]
    assert max(a - b for a, b in pairwise(times)) < 0.005, "in order"
    stored = list((house.folder / "captures").iterdir())
    assert {path.stat().st_mode & 0o777 for path in stored} == {0o600}
    assert (house.folder / "captures").stat().st_mode & 0o777 == 0o700


async def test_digits_are_shown_to_who_asks_for_them_but_never_secret_ones(
    house: House, peer: ProbePeer, tmp_path: Path
) -> None:
    call = await house.call(peer, "waits")
    await wait_until(lambda: peer.stats.received > 10, PATIENCE, "audio")
    await begin(house, call, seconds=30, digits=True)
    await peer.send_digits("5", duration_ms=100)
    wish = {"max_digits": len(CARD), "secure": True, "terminators": ""}
    gathering = asyncio.create_task(house.verb(call, "gather", wish))

    async def has_begun() -> bool:
        async with house.http.get(f"{house.gateway.url}/v1/calls/{call}/timeline") as response:
            told = await response.json()
        verbs = [entry for entry in told["entries"] if entry.get("type") == "verb.started"]
        return any(entry["data"]["verb"] == "gather" for entry in verbs)

    await wait_until(has_begun, PATIENCE, "the gather")
    await peer.send_digits(CARD, duration_ms=80, gap_ms=60)
    assert (await gathering)["outcome"]["digits"] == CARD
    url = f"{house.gateway.url}/v1/calls/{call}/capture"
    async with house.http.delete(url) as response:
        assert response.status == 204
    file = tmp_path / "secret.pcap"
    told = await finished(house, call, file)
    assert told["reason"] == "asked"
    await house.verb(call, "hangup")
    shown = await tshark(file, "rtp", "rtp.p_type", "rtp.payload", "rtp.marker")
    assert peer.negotiated is not None
    kind = str(peer.negotiated.event_payload_type)
    codes = [line[1][:2] for line in shown if line[0] == kind]
    assert set(codes) == {"05", "ff"}
    assert codes.index("ff") > codes.count("05") - 1
    secret = [line[1] for line in shown if line[0] == kind and line[1].startswith("ff")]
    assert set(secret) == {"ffffffff"}


async def test_a_capture_ends_by_itself_and_only_one_runs(
    house: House, peer: ProbePeer, tmp_path: Path
) -> None:
    call = await house.call(peer, "waits")
    await wait_until(lambda: peer.stats.received > 10, PATIENCE, "audio")
    await begin(house, call, seconds=1, sip=False)
    url = f"{house.gateway.url}/v1/calls/{call}/capture"
    async with house.http.post(url, json={}) as response:
        assert (response.status, (await response.json())["code"]) == (409, "capturing")
    file = tmp_path / "short.pcap"
    told = await finished(house, call, file)
    assert told["reason"] == "time"
    times = [float(line[0]) for line in await tshark(file, "udp", "frame.time_relative")]
    assert 0.7 < times[-1] < 1.3
    await begin(house, call, seconds=1)
    await finished(house, call, file)
    await house.verb(call, "hangup")
    await house.ends(call)
    async with house.http.post(url, json={}) as response:
        assert response.status == 404
