"""Calls that other programs drive over HTTP: a browser's tab, SIPp, and nothing of ours between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.clients import Curl, Drives, Generated
from tests.e2e.phone_page import PhonePage
from tests.e2e.site import EVENTS, Site
from tests.support.browsers import Browser
from tests.support.processes import wait_until
from tests.support.telephone_events import analyse_events
from tests.support.tones import assert_tone

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]

RINGING = "!document.querySelector('#incoming').hidden"
CLOCK = 8000  # Hz, of telephone-event beside PCMU


async def drive(client: Drives, name: str, site: Site, browser: Browser, page: PhonePage) -> None:
    """Click to call: the tab rings, then SIPp; both are heard, a digit arrives, the call ends."""
    user = f"user-{name}"
    await page.open(user=user)
    since = site.sniffer.mark()
    call = await client.create(user, "sipp")
    await page.tab.wait_for(RINGING, 10, "the tab rings")
    await page.tab.click("#accept")
    await page.wait_for_state("answered", within=15)
    await wait_until(lambda: site.rtp_to_sipp(site.echo, since), 10, "audio at SIPp")
    shown = await client.show(call)
    assert (shown["callee"], shown["answered"], shown["phase"]) == ("sipp", True, "connected")
    assert [(leg["role"], leg["kind"]) for leg in shown["legs"]] == [
        ("caller", "webrtc"), ("callee", "sip"),
    ]  # fmt: skip
    assert call in await client.ids()
    heard = await page.record(2.0)
    assert_tone(
        heard, browser.microphone_hz, browser.microphone_db, where="the tab, by SIPp's echo"
    )
    await client.tone(call, "5", "callee")
    await wait_until(
        lambda: analyse_events(site.rtp_to_sipp(site.echo, since), CLOCK, EVENTS).digits == "5",
        5,
        "the digit at SIPp",
    )
    await client.hang_up(call)
    await page.wait_for_state("ended", within=10)
    assert call not in await client.ids()


async def test_curl_drives_a_call(site: Site, browser: Browser, page: PhonePage) -> None:
    await drive(Curl(site.gateway.url), "curl", site, browser, page)


async def test_a_generated_client_drives_a_call(
    site: Site, browser: Browser, page: PhonePage, tmp_path: Path
) -> None:
    client = Generated(site.gateway.url, tmp_path)
    await client.generate()
    await drive(client, "generated", site, browser, page)
