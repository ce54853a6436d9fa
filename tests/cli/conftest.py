"""Commands that ask a running API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import structlog
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tests.api.conftest import start_api
from tests.client.conftest import Clients, clients

__all__ = ["clients", "start_api"]  # fixtures


@dataclass
class Commands:
    """The command line, told by its environment where the gateway is."""

    clients: Clients
    environment: dict[str, str]

    async def run(self, *words: str, **environment: str) -> Result:
        """One command, on a thread of its own: the gateway is on this one."""
        env = self.environment | environment
        return await asyncio.to_thread(CliRunner().invoke, app, words, env=env)

    async def good(self, *words: str, **environment: str) -> str:
        """What a command prints that ends well."""
        done = await self.run(*words, **environment)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
async def commands(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Commands]:
    """Commands with a key that may do everything."""
    # The tests' own handlers would be gone.
    monkeypatch.setattr("gateway.cli.remote.configure_logs", lambda *_: None)
    key = await clients.token()
    with structlog.testing.capture_logs():  # the gateway's would be among what commands print
        yield Commands(clients, {"GATEWAY_URL": clients.url, "GATEWAY_KEY": key})
