"""Calls from telephones to a tab that is signed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.phone_page import PhonePage
from tests.e2e.site import BARESIP_DB, BARESIP_HZ, Site
from tests.support.browsers import Browser
from tests.support.processes import HOST
from tests.support.sipp import Calling, Sipp
from tests.support.tones import assert_tone

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]

RINGING = "!document.querySelector('#incoming').hidden"
QUIET = "document.querySelector('#incoming').hidden"
G729 = 18


@asynccontextmanager
async def ringing(site: Site, page: PhonePage, user: str) -> AsyncIterator[None]:
    """baresip calls the tab, which rings."""
    await page.open(user=user)
    await site.phone.command("dial", f"sip:{user}@{HOST}:{site.gateway.sip_port}")
    await page.tab.wait_for(RINGING, 10, "the tab rings")
    yield


async def test_a_call_rings_is_accepted_talks_and_is_hung_up_by_the_telephone(
    site: Site, browser: Browser, page: PhonePage
) -> None:
    established = len(site.phone.told("CALL_ESTABLISHED"))
    async with ringing(site, page, "user-anna"):
        assert site.phone.user in await page.tab.text("#caller")
        await page.tab.click("#accept")
        await page.wait_for_state("answered", within=10)
        await site.phone.tells("CALL_ESTABLISHED", 5, established + 1)
        await asyncio.sleep(0.6)
        begin = site.phone.heard().seconds
        heard = await page.record(2.0)
        assert_tone(heard, BARESIP_HZ, BARESIP_DB, where=browser.name)
        assert_tone(
            site.phone.heard().part(begin),
            browser.microphone_hz,
            browser.microphone_db,
            where="telephone",
        )
        await site.phone.command("hangup")
        await page.wait_for_state("ended", within=5)


async def test_a_declined_call_ends_at_the_telephone(site: Site, page: PhonePage) -> None:
    closed = len(site.phone.told("CALL_CLOSED"))
    async with ringing(site, page, "user-bert"):
        await page.tab.click("#decline")
        event = await site.phone.tells("CALL_CLOSED", 5, closed + 1)
        assert "603" in event["param"] or "Decline" in event["param"], event
        await page.tab.wait_for(QUIET, 5, "the tab is quiet again")


async def test_a_caller_who_gives_up_stops_the_ringing(site: Site, page: PhonePage) -> None:
    async with ringing(site, page, "user-carl"):
        await site.phone.command("hangup")
        await page.tab.wait_for(QUIET, 5, "the tab is quiet again")


async def test_a_user_who_is_not_signed_in_cannot_be_called(site: Site, tmp_path: Path) -> None:
    calling = Calling(expect=480).scenario()
    uac = Sipp(tmp_path, calling, remote_port=site.gateway.sip_port, callee="user-nobody", calls=1)
    async with uac:
        assert await uac.wait(10) == 0, uac.messages


async def test_a_caller_without_a_common_codec_gets_488(
    site: Site, page: PhonePage, tmp_path: Path
) -> None:
    await page.open(user="user-dora")
    calling = Calling(formats=(G729,), expect=488).scenario()
    uac = Sipp(tmp_path, calling, remote_port=site.gateway.sip_port, callee="user-dora", calls=1)
    async with uac:
        assert await uac.wait(10) == 0, uac.messages
    assert await page.tab.evaluate(QUIET), "the tab rang for a call that could not be"
