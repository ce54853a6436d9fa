"""What the end-to-end tests share: one gateway with its far ends, and two running browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.phone_page import PhonePage
from tests.e2e.site import Site, running_site
from tests.support.browsers import Browser
from tests.support.chromium import Chromium
from tests.support.firefox import Firefox

BROWSERS = {"chromium": Chromium, "firefox": Firefox}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The running gateway and its far ends."""
    async with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=sorted(BROWSERS))
async def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """Chromium, then Firefox."""
    running: Browser = BROWSERS[request.param](tmp_path_factory.mktemp(request.param))
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def page(site: Site, browser: Browser) -> AsyncIterator[PhonePage]:
    """The gateway's page in a new tab; the tab is closed with no script error behind it."""
    tab = await browser.tab()
    phone = PhonePage(tab, site.gateway.url)
    await phone.open()
    yield phone
    await phone.leave()
    problems = list(tab.problems)
    await tab.close()
    assert not problems, f"{browser.name}: {problems}"
