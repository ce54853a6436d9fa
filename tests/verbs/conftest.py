"""What the verb tests share: one gateway, and a browser's leg for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.legs.webrtc.peer import ProbePeer
from tests.verbs.house import House, running_house
from tests.verbs.phone import Phone


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The running gateway; in the end its log must show no trouble."""
    async with running_house(tmp_path_factory.mktemp("house")) as running:
        yield running
    running.gateway.assert_clean()


@pytest_asyncio.fixture(loop_scope="session")
async def peer() -> AsyncIterator[ProbePeer]:
    """A browser's leg."""
    one = ProbePeer()
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="session")
async def other_peer() -> AsyncIterator[ProbePeer]:
    """Another browser's leg."""
    one = ProbePeer()
    yield one
    await one.close()


@pytest.fixture
def north(house: House) -> Phone:
    """A telephone."""
    return house.phones["north"]


@pytest.fixture
def south(house: House) -> Phone:
    """Another telephone."""
    return house.phones["south"]
