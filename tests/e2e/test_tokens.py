"""The page of a gateway that wants to know who calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.e2e.phone_page import REMARK_SECONDS, SET_UP_SECONDS, PhonePage
from tests.support.browsers import Browser
from tests.support.identified import gateway, running, written
from tests.support.processes import HOST, free_ports

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]


@dataclass
class Known:
    """The node, and a token that may call echo."""

    url: str
    token: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Known]:
    folder = tmp_path_factory.mktemp("known")
    config = written(folder, trunks=[{"name": "carrier", "host": HOST, "port": free_ports()}])
    token = gateway("token", config, "--user", "alice", "--to", "echo").stdout.strip()
    async with running(config, folder) as (url, _):
        yield Known(url, token)


async def test_the_page_takes_a_token_and_hides_it(browser: Browser, known: Known) -> None:
    tab = await browser.tab()
    await tab.open(known.url)
    assert "sign in" in await tab.wait_for_text("#error", "token", SET_UP_SECONDS)
    page = PhonePage(tab, f"{known.url}/?again#token={known.token}")
    await page.open()
    await tab.wait_for_text("#identity", "alice", REMARK_SECONDS)
    assert known.token not in str(await tab.evaluate("location.href"))
    await page.call("echo")
    await page.hang_up()
    await page.dial("2125550100")
    await tab.wait_for_text("#error", "not call there", REMARK_SECONDS)
    await tab.close()
