"""What the tests of dashboards and pages share: one scrape of a node that has carried calls."""

from __future__ import annotations

import aiohttp
import pytest
import pytest_asyncio

from tests.observability.site import looped, scraped, talk


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def scrape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a node after a call through a trunk, and some requests."""
    async with looped(tmp_path_factory.mktemp("scraped")) as gateway:
        await talk(gateway)
        async with aiohttp.ClientSession() as http:
            for path in ("/healthz", "/no/such/page", "/v1/calls/c-nobody/verbs"):
                await (await http.get(gateway.url + path)).read()
        text = await scraped(gateway)
    gateway.assert_clean()
    return text
