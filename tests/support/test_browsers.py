"""The browsers themselves, without a gateway: a page that calls itself hears its microphone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.browsers import Browser
from tests.support.chromium import Chromium
from tests.support.firefox import Firefox
from tests.support.processes import HOST, free_ports
from tests.support.tones import assert_tone

PAGE = """<!doctype html><title>loop</title>
<input id="to"><button id="call">call</button><audio id="remote-audio" autoplay></audio>
<output id="state">idle</output>
<script>
document.getElementById("call").onclick = async () => {
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const near = new RTCPeerConnection(), far = new RTCPeerConnection();
  near.onicecandidate = (e) => e.candidate && far.addIceCandidate(e.candidate);
  far.onicecandidate = (e) => e.candidate && near.addIceCandidate(e.candidate);
  far.ontrack = (e) => (document.getElementById("remote-audio").srcObject = e.streams[0]);
  near.onconnectionstatechange = () =>
    (document.getElementById("state").textContent =
      near.connectionState + " " + document.getElementById("to").value);
  near.addTrack(microphone.getTracks()[0], microphone);
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
};
</script>
"""


@pytest.fixture
async def page_url() -> AsyncIterator[str]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_ports()
    await web.TCPSite(runner, HOST, port).start()
    yield f"http://{HOST}:{port}/"
    await runner.cleanup()


@pytest.mark.browser
@pytest.mark.parametrize("kind", [Chromium, Firefox])
async def test_a_tab_records_the_tone_of_its_own_microphone(
    kind: type[Chromium] | type[Firefox], page_url: str, tmp_path: Path
) -> None:
    browser: Browser = kind(tmp_path / "browser")
    await browser.start()
    try:
        tab = await browser.tab()
        await tab.open(page_url)
        await tab.fill("#to", "echo")
        await tab.fill("#to", "600#*A")
        await tab.click("#call")
        await tab.wait_for_text("#state", "connected 600#*A", 10)
        heard = await tab.record(2)
        assert_tone(
            heard.part(0.2), browser.microphone_hz, browser.microphone_db, where=browser.name
        )
        await tab.close()
    finally:
        await browser.stop()
