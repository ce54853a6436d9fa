"""Digits of telephones that nobody here wrote, as they arrive at the tab."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.phone_page import PhonePage
from tests.e2e.site import Site
from tests.support.sipp import Calling, Sipp, dtmf_pcap
from tests.support.tones import describe, windows

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]

PCAP_KEYS = "0123456789*#"  # SIPp has no files of A to D
PCAP_MS = 280  # 2240 units at 8 kHz in each of its final packets
WITHIN_MS = 20
KEY_1_HZ = (697, 1209)  # ITU-T Q.23


async def test_sipps_own_pcap_files_arrive_as_the_right_digits(
    site: Site, page: PhonePage, tmp_path: Path
) -> None:
    await page.open(user="user-keys")
    calling = Calling(play=[dtmf_pcap(key) for key in PCAP_KEYS]).scenario()
    uac = Sipp(tmp_path, calling, remote_port=site.gateway.sip_port, callee="user-keys", calls=1)
    async with uac:
        await page.tab.wait_for("!document.querySelector('#incoming').hidden", 10, "it rings")
        await page.tab.click("#accept")
        await page.wait_for_state("answered", within=10)
        received = await page.wait_for_digits(PCAP_KEYS, within=15)
        assert await uac.wait(10) == 0, uac.messages
    for item in received:
        assert item.duration_ms is not None
        assert abs(item.duration_ms - PCAP_MS) <= WITHIN_MS, item


async def test_baresips_keys_arrive_although_it_sends_audio_among_them(
    site: Site, page: PhonePage
) -> None:
    await page.call("baresip")
    for key in "1A#":
        await site.phone.command("sndcode", key)
        await page.tab.wait_for(
            f"document.querySelector('#digits-received > li:last-child')?.dataset.digit === '{key}'"
            " && document.querySelector('#digits-received > li:last-child').dataset.phase"
            " === 'ended'",
            5,
            f"{key} on the page",
        )
    await page.wait_for_digits("1A#", within=2)


async def test_an_echoed_tone_comes_back_with_its_length(page: PhonePage) -> None:
    await page.call("sipp")
    await page.insert("3", 500, 70)
    (item,) = await page.wait_for_digits("3", within=3)
    assert item.duration_ms is not None
    assert abs(item.duration_ms - 500) <= 2 * WITHIN_MS  # twice through the gateway


async def test_the_browser_itself_plays_the_tone_of_an_event(page: PhonePage) -> None:
    """Its jitter buffer renders the telephone-events that the gateway sends (RFC 4733 2.6)."""
    await page.call("sipp")
    heard, _ = await asyncio.gather(page.record(1.5), page.insert("1", 2000, 70))
    dual = [look for look in windows(heard) if any(abs(look.hz - hz) < 8 for hz in KEY_1_HZ)]
    assert len(dual) >= 5, f"not the tone of key 1:\n{describe(heard)}"
