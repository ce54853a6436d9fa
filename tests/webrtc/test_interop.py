"""Endpoints that share nothing with the gateway's leg: aiortc's own, Chromium, Firefox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack

from gateway.errors import NORMAL
from gateway.legs.webrtc.leg import WebRtcLeg
from gateway.ports import LegEnded, LegEvent, LegHeld, LegMedia
from gateway.terms import Codec
from tests.support.browsers import Tab
from tests.support.chromium import Chromium
from tests.support.firefox import Firefox
from tests.support.processes import HOST, free_ports
from tests.webrtc.conftest import Rig, heard_by, until
from tests.webrtc.fake_media import FakePort

PAGE = """<!doctype html><title>leg</title><link rel="icon" href="data:,"><script>
const post = async (path, body) => (await fetch(path, { method: "POST", body })).text();
async function call() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  window.pc = new RTCPeerConnection();
  window.dtmf = pc.addTrack(stream.getTracks()[0], stream).dtmf;
  window.channel = pc.createDataChannel("gateway");
  window.heard = [];
  channel.onmessage = (event) => heard.push(event.data);
  await pc.setLocalDescription();
  const first = post("/offer", pc.localDescription.sdp);
  pc.onicecandidate = async ({ candidate }) => {
    await first;
    await post("/candidate", JSON.stringify([candidate?.candidate ?? null, candidate?.sdpMid]));
  };
  await pc.setRemoteDescription({ type: "answer", sdp: await first });
}
async function direct(direction) {
  pc.getTransceivers()[0].direction = direction;
  await pc.setLocalDescription();
  const sdp = await post("/again", pc.localDescription.sdp);
  await pc.setRemoteDescription({ type: "answer", sdp });
}
</script>"""


@dataclass
class Signalling:
    """Just enough of a server between a page and a leg."""

    rig: Rig
    role: str = "active"
    url: str = ""
    leg: WebRtcLeg | None = None
    events: list[LegEvent] = field(default_factory=list)

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def offer(self, request: web.Request) -> web.Response:
        plane = self.rig.plane(dtls_role=self.role)
        self.leg, answer = await plane.answer_offer(await request.text())
        self.events = heard_by(self.leg)
        return web.Response(text=answer)

    async def candidate(self, request: web.Request) -> web.Response:
        line, mid = json.loads(await request.text())
        assert self.leg is not None
        self.leg.add_candidate(line, mid)
        return web.Response()

    async def again(self, request: web.Request) -> web.Response:
        assert self.leg is not None
        return web.Response(text=await self.leg.renegotiate(await request.text()))


@pytest.fixture
async def signalling(rig: Rig) -> AsyncIterator[Signalling]:
    server = Signalling(rig)
    app = web.Application()
    app.router.add_get("/", server.page)
    for name in ("offer", "candidate", "again"):
        app.router.add_post(f"/{name}", getattr(server, name))
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_ports()
    await web.TCPSite(runner, HOST, port).start()
    server.url = f"http://{HOST}:{port}/"
    yield server
    await runner.cleanup()


def _events_of(port: FakePort) -> list[tuple[int, bool, int]]:
    """(event, end, duration) of the telephone-event packets that arrived."""
    return [
        (p[12], bool(p[13] & 0x80), int.from_bytes(p[14:16], "big"))
        for p in port.rtp
        if p[1] & 0x7F == port.params.event_payload_type
    ]


async def _exercise(tab: Tab, signalling: Signalling, codec: Codec, clock: int) -> None:
    await tab.open(signalling.url)
    await tab.evaluate("call()")
    leg = signalling.leg
    assert leg is not None
    await until(lambda: leg.port is not None)
    await tab.wait_for("pc.connectionState === 'connected'", 10)
    port = signalling.rig.media.only
    assert (port.params.codec, port.params.event_clock_rate) == (codec, clock)
    # Exact tones: 100 ms has a final duration of 100 ms and arrives as updates, not as a burst.
    assert await tab.evaluate("dtmf.canInsertDTMF")
    await tab.evaluate("dtmf.insertDTMF('7', 100, 70)")
    await until(lambda: any(end for _, end, _ in _events_of(port)))
    events = _events_of(port)
    assert events[0] == (7, False, clock // 50)
    assert events[-1] == (7, True, clock // 10)
    # Data channel.
    heard: list[str] = []
    leg.on_message(heard.append)
    await tab.wait_for("channel.readyState === 'open'", 5)
    await tab.evaluate("channel.send('from the tab')")
    await until(lambda: heard == ["from the tab"])
    assert leg.send_message("from the gateway")
    await tab.wait_for("heard[0] === 'from the gateway'", 5)
    # Hold and resume, often: Firefox trickles new candidates each time.
    for _ in range(12):
        await tab.evaluate("direct('sendonly')")
        await tab.evaluate("direct('sendrecv')")
    held = [event.held for event in signalling.events if isinstance(event, LegHeld)]
    assert held == [True, False] * 12
    count = len(port.rtp)
    await until(lambda: len(port.rtp) > count + 10)
    await tab.evaluate("pc.close()")
    await until(lambda: signalling.events[-1:] == [LegEnded(NORMAL, by_peer=True)])
    assert tab.problems == []


@pytest.mark.browser
@pytest.mark.parametrize("role", ["active", "passive"])
async def test_chromium(signalling: Signalling, tmp_path: Path, role: str) -> None:
    signalling.role = role
    browser = Chromium(tmp_path)
    await browser.start()
    try:
        await _exercise(await browser.tab(), signalling, Codec.OPUS, 48000)
    finally:
        await browser.stop()


@pytest.mark.browser
@pytest.mark.parametrize("role", ["active", "passive"])
async def test_firefox(signalling: Signalling, tmp_path: Path, role: str) -> None:
    signalling.role = role
    browser = Firefox(tmp_path)
    await browser.start()
    try:
        await _exercise(await browser.tab(), signalling, Codec.PCMU, 8000)
    finally:
        await browser.stop()


async def test_plain_aiortc(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTrack(AudioStreamTrack())
    channel = pc.createDataChannel("gateway")
    frames: list[Any] = []
    readers: list[asyncio.Task[None]] = []

    async def read(track: MediaStreamTrack) -> None:
        try:
            while True:
                frames.append(await track.recv())
        except MediaStreamError:
            return

    pc.on("track", lambda track: readers.append(asyncio.ensure_future(read(track))))
    await pc.setLocalDescription(await pc.createOffer())
    leg, answer = await rig.plane(loopback=False).answer_offer(pc.localDescription.sdp)
    events = heard_by(leg)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(lambda: leg.port is not None and channel.readyState == "open")
    assert leg.port is not None
    assert events == [LegMedia(leg.port, True, "opus/48000 without telephone-event")]
    await until(lambda: len(frames) > 20)
    await until(lambda: leg.send_message("text"))
    leg.hangup(NORMAL)
    await until(lambda: pc.connectionState == "closed")
    await pc.close()
    await asyncio.gather(*readers)
