"""The program of docs/client.md, against a running API."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.api.steps import until
from tests.client.conftest import Clients

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
[PROGRAM] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
async def environment(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gateway is."""
    monkeypatch.setenv("GATEWAY_URL", clients.url)
    monkeypatch.setenv("GATEWAY_KEY", await clients.token())


@pytest.mark.usefixtures("environment")
async def test_the_pages_program_follows_a_call(
    clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"__name__": "page"}
    exec(compile(PROGRAM, "page", "exec"), names)
    await names["main"]()  # type: ignore[operator]
    assert "It cannot be: " in capsys.readouterr().out  # alice has no tab open
    browser = await clients.stand.browser(clients.stand.token("alice"))
    running = asyncio.create_task(names["main"]())  # type: ignore[operator]
    call = str((await browser.receive("call"))["call"])
    await until(lambda: "call.created" in capsys.readouterr().out)
    await browser.send("hangup", call=call)
    async with asyncio.timeout(5):  # only ever reached by a failing test
        await running
    assert "call.ended" in capsys.readouterr().out
