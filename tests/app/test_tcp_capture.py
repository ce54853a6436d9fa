"""A call over a TCP trunk, captured: tshark reads it as SIP over TCP, and finds nothing wrong."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.sip.sipp import (
    callee_request,
    pause,
    receive,
    receive_invite,
    reply,
    scenario,
    sdp,
    sipp,
)
from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import free_ports, wait_until

CHECKED = (
    "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o",
    "udp.check_checksum:TRUE",
)  # fmt: skip
# Blanked byte by byte: else the message behind it would begin at the wrong place.
INFO = callee_request("INFO", 1, "Signal=\u00e9\u00e9\nDuration=160").replace(
    "application/sdp", "application/dtmf-relay"
)
CALLEE = scenario(
    receive_invite(),
    reply("180 Ringing"),
    reply("200 OK", sdp()),
    receive("ACK"),
    pause(300),  # some audio
    INFO,
    receive(400),
    callee_request("BYE", 2),
    receive(200),
)


async def tshark(file: Path, shown: str, *fields: str) -> list[str]:
    """What the packets that `shown` lets through have in these fields, a line each."""
    wanted = [part for field in fields for part in ("-e", field)]
    command = ["tshark", "-n", "-r", str(file), *CHECKED, "-Y", shown, "-T", "fields", *wanted]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True
    )
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


async def captured(url: str, file: Path) -> None:
    """Calls the trunk, captures the call, which the other side ends, and downloads the capture."""
    async with aiohttp.ClientSession(url) as http:
        body = {"to": {"trunk": "carrier", "number": "100"}, "program": "echo"}
        async with http.post("/v1/calls", json=body) as response:
            assert response.status == 201, await response.text()
            capture = f"/v1/calls/{(await response.json())['id']}/capture"
        async with http.post(capture, json={"seconds": 30}) as response:
            assert response.status == 202, await response.text()

        async def done() -> bool:
            async with http.get(f"{capture}/status") as response:
                return bool((await response.json())["state"] == "done")

        await wait_until(done, 20, "the capture is done")
        async with http.get(capture) as response:
            await asyncio.to_thread(file.write_bytes, await response.read())


@pytest.mark.sip
async def test_sip_over_tcp_is_tcp_in_the_file(tmp_path: Path) -> None:
    port, file = free_ports(), tmp_path / "call.pcap"
    gateway = Gateway(tmp_path, [TrunkTo("carrier", port, settings={"transport": "tcp"})])
    await gateway.start()
    try:
        async with sipp(tmp_path, CALLEE, transport="tcp", port=port) as callee:
            await captured(gateway.url, file)
            await callee.done()
    finally:
        await gateway.stop()
    gateway.assert_clean()

    said = await tshark(file, "sip && tcp", "sip.Method", "sip.Status-Code")
    methods = ["INVITE", "180", "200", "ACK", "INFO", "400", "BYE", "200"]
    assert [each for each in said if each != "100"] == methods
    assert len(await tshark(file, "tcp", "frame.number")) == len(said)
    assert not await tshark(file, "sip && udp", "frame.number")
    assert len(await tshark(file, "sdp && tcp", "sdp.media")) == 2
    ends = set(await tshark(file, "tcp", "tcp.srcport", "tcp.dstport"))
    [ours] = {end for pair in ends for end in pair.split()} - {str(port)}
    assert ends == {f"{ours} {port}", f"{port} {ours}"}
    assert int(ours) != gateway.sip_port  # it is the socket's, which connected
    for wrong in (
        "_ws.malformed", "tcp.analysis.flags", "_ws.expert.severity >= 6291456",
        "tcp.checksum.status == 0", "ip.checksum.status == 0", "udp.checksum.status == 0",
    ):  # fmt: skip
        assert not await tshark(file, wrong, "frame.number", "_ws.expert.message"), wrong
    assert len(await tshark(file, "tcp.checksum.status == 1", "frame.number")) == len(said)
    assert await tshark(file, "udp && rtp", "frame.number")
