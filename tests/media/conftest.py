"""A running media plane for native tests: pjsua as the SIP plane brings it up, and the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.config.model import MediaConfig, SipConfig, SipListen
from gateway.errors import NOT_FOUND, GatewayError
from gateway.legs.sip.plane import SipPlane
from gateway.media.engine import MediaEngine
from gateway.ports import IncomingSip


def nobody_is_called(_: IncomingSip) -> None:
    """These tests make no SIP calls."""
    raise GatewayError(NOT_FOUND)


@pytest.fixture
async def media() -> AsyncIterator[MediaEngine]:
    """A fresh media plane; pjsua is one per process, so it goes with the test."""
    engine = MediaEngine()
    sip = SipPlane(
        SipConfig(listen=[SipListen(port=0)]), MediaConfig(threads=2), engine, nobody_is_called
    )
    await sip.start()
    engine.start()
    yield engine
    engine.stop()
    await sip.stop()
