"""Audio of real browsers, proved by the frequency and level of tones at both ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.phone_page import PhonePage
from tests.e2e.site import BARESIP_DB, BARESIP_HZ, Site
from tests.support.browsers import Browser
from tests.support.tones import assert_silence, assert_tone

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]

SETTLE = 0.6  # seconds of a call's beginning that are not judged
LISTEN = 2.0


async def test_the_tone_comes_back_from_an_echoing_telephone(
    site: Site, browser: Browser, page: PhonePage
) -> None:
    since = site.sniffer.mark()
    await page.call("sipp")
    await asyncio.sleep(SETTLE)
    heard = await page.record(LISTEN)
    sent = site.heard_by_sipp(site.echo, since).part(SETTLE)
    hz, level = browser.microphone_hz, browser.microphone_db
    assert_tone(sent, hz, level, where=f"telephone, from {browser.name}")
    assert_tone(heard, hz, level, where=f"{browser.name}, from the echo")


async def test_each_side_hears_the_tone_of_the_other(
    site: Site, browser: Browser, page: PhonePage
) -> None:
    await page.call("baresip")
    await asyncio.sleep(SETTLE)
    begin = site.phone.heard().seconds
    heard = await page.record(LISTEN)
    assert_tone(heard, BARESIP_HZ, BARESIP_DB, where=browser.name)
    assert_tone(
        site.phone.heard().part(begin),
        browser.microphone_hz,
        browser.microphone_db,
        where="telephone",
    )


async def test_a_call_over_sip_by_tcp_has_audio_too(
    site: Site, browser: Browser, page: PhonePage
) -> None:
    await page.call("sipp-tcp")
    await asyncio.sleep(SETTLE)
    heard = await page.record(1.0)
    assert_tone(heard, browser.microphone_hz, browser.microphone_db, where="echo over SIP/TCP")
    await page.hang_up()
    await site.echo_tcp.received("BYE", 5)


async def test_hold_silences_both_ways_and_resume_brings_the_audio_back(
    site: Site, browser: Browser, page: PhonePage
) -> None:
    await page.call("baresip")
    await page.tab.click("#hold")
    await page.wait_for_state("held", within=5)
    await asyncio.sleep(SETTLE)
    begin = site.phone.heard().seconds
    assert_silence(await page.record(1.2), where=f"{browser.name} on hold")
    held = site.phone.heard().part(begin)
    if held.seconds >= 0.2:  # nothing at all is silence as well
        assert_silence(held, where="telephone on hold")
    await page.tab.click("#hold")
    await page.wait_for_state("answered", within=5)
    await asyncio.sleep(SETTLE)
    begin = site.phone.heard().seconds
    heard = await page.record(LISTEN)
    assert_tone(heard, BARESIP_HZ, BARESIP_DB, where=f"{browser.name} after hold")
    assert_tone(
        site.phone.heard().part(begin),
        browser.microphone_hz,
        browser.microphone_db,
        where="telephone after hold",
    )


async def test_the_gateways_own_echo_sends_the_tone_back(browser: Browser, page: PhonePage) -> None:
    await page.call("echo")
    await asyncio.sleep(SETTLE)
    heard = await page.record(1.0)
    assert_tone(heard, browser.microphone_hz, browser.microphone_db, where="built-in echo")


async def test_the_page_shows_the_microphone_and_the_media_path(
    browser: Browser, page: PhonePage
) -> None:
    await page.call("sipp")
    if browser.name == "chromium":  # without a sound card Firefox's AudioContext never starts
        level = "Number(document.querySelector('#mic-level').dataset.db) > -30"
        await page.tab.wait_for(level, 5, "the microphone meter moves")
    path = await page.tab.wait_for_text("#path", "pcmu", 5)
    assert "telephone-event" in path or "/" in path
