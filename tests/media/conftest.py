"""A running media plane for native tests: pjsua without SIP transports, and the engine on it."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import pjgw.pjsua2 as pj
import pytest

from gateway.media.engine import MediaEngine


@pytest.fixture(scope="session")
def pjsua() -> Iterator[None]:
    """pjsua, once per test session: pjlib does not like to be started again and again."""
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.medConfig.clockRate = config.medConfig.sndClockRate = 16000
    config.medConfig.channelCount = 1
    config.medConfig.audioFramePtime = 20
    config.medConfig.confThreads = 2
    config.medConfig.sndAutoCloseTime = -1
    endpoint.libInit(config)
    endpoint.libStart()
    yield
    del config
    gc.collect()
    endpoint.libDestroy()


@pytest.fixture
async def media(pjsua: None) -> AsyncIterator[MediaEngine]:
    """A fresh media plane."""
    engine = MediaEngine()
    engine.start()
    yield engine
    engine.stop()
