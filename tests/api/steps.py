"""Steps that several tests of the API take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.api.conftest import Api, Browser
from tests.api.doubles import OFFER, FakeCall


async def place(api: Api, browser: Browser, to: str = "echo") -> FakeCall:
    answer = await browser.request("call", "answer", to=to, sdp=OFFER)
    call = api.calls.last
    assert answer["call"] == call.id
    return call


async def until(condition: Callable[[], object]) -> None:
    """Lets the server run until `condition()` holds."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")
