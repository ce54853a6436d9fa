"""How calls end and fail, as the page and the telephone see it."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.phone_page import REMARK_SECONDS, PhonePage
from tests.e2e.site import RTP_TIMEOUT, Site
from tests.support.browsers import Browser

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]


async def test_an_unknown_destination_is_explained_on_the_page(page: PhonePage) -> None:
    await page.dial("no-such-place")
    said = await page.tab.wait_for_text("#error", "no-such-place", REMARK_SECONDS)
    assert "not known" in said
    assert await page.state() in ("idle", "ended")


async def test_a_busy_telephone_is_told_with_its_sip_status(page: PhonePage) -> None:
    await page.dial("busy")
    await page.wait_for_state("ended", within=REMARK_SECONDS)
    assert "486" in await page.tab.wait_for_text("#error", "busy", REMARK_SECONDS)


async def test_an_unreachable_trunk_is_told_with_the_sip_reason(page: PhonePage) -> None:
    await page.dial("gone")
    await page.wait_for_state("ended", within=15)
    await page.tab.wait_for_text("#error", "503", REMARK_SECONDS)


async def test_hanging_up_in_the_tab_sends_bye(site: Site, page: PhonePage) -> None:
    byes = site.echo.count_received("BYE")
    await page.call("sipp")
    await page.hang_up()
    await site.echo.received("BYE", REMARK_SECONDS, byes + 1)


async def test_hanging_up_while_it_rings_cancels(site: Site, page: PhonePage) -> None:
    cancels = site.early.count_received("CANCEL")
    await page.dial("early")
    await page.wait_for_state("early", within=10)
    await page.hang_up()
    await site.early.received("CANCEL", REMARK_SECONDS, cancels + 1)


async def test_a_telephone_that_hangs_up_ends_the_call_in_the_tab(
    site: Site, page: PhonePage
) -> None:
    await page.call("baresip")
    await site.phone.command("hangup")
    await page.wait_for_state("ended", within=REMARK_SECONDS)


async def test_a_closed_tab_ends_the_call_at_the_telephone(site: Site, browser: Browser) -> None:
    byes = site.echo.count_received("BYE")
    tab = await browser.tab()
    page = PhonePage(tab, site.gateway.url)
    await page.open()
    await page.call("sipp")
    await asyncio.sleep(0.5)  # a call in which audio has flowed
    await tab.close()
    await site.echo.received("BYE", RTP_TIMEOUT + 5, byes + 1)
