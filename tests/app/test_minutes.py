"""Minutes of a key that are used up stay so when the node is started again, or was killed."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.identified import gateway, running, silent_carrier, written
from tests.support.processes import wait_until

SECONDS = 3.0
NUMBER = "+12125550100"


@dataclass
class Keyed:
    """A configuration with two keys, and the address of its trunk."""

    config: str
    capped: str
    other: str
    trunk: socket.socket

    def invites(self) -> int:
        """How many calls the trunk was asked for since the last time; repeated requests count
        once."""
        branches: set[str] = set()
        while True:
            try:
                message = self.trunk.recv(65535).decode()
            except BlockingIOError:
                return len(branches)
            if message.startswith("INVITE "):
                branches.add(message.partition("branch=")[2].splitlines()[0])


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    with silent_carrier() as (carrier, trunk):
        config = written(tmp_path, trunks=[carrier])
        create = ("keys", "create", config, "--name", "crm", "--scope", "admin")
        cap = ("--minutes-per-day", str(SECONDS / 60))
        capped, other = (gateway(*create, *more).stdout.strip() for more in (cap, ()))
        yield Keyed(config, capped, other, trunk)


async def asked(url: str, key: str) -> tuple[int, str]:
    """A call of a phone that never answers: status, and the code of a refusal."""
    body = {"to": {"trunk": "carrier", "number": NUMBER}, "program": "echo"}
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(url) as client,
        client.post("/v1/calls", json=body, headers=headers) as response,
    ):
        return response.status, (await response.json()).get("code", "")


def kept(folder: Path) -> float:
    """Seconds that the database knows of."""
    with closing(sqlite3.connect(folder / "gateway.sqlite3")) as database:
        found = database.execute("SELECT sum(seconds) FROM day_use").fetchone()[0]
    return float(found or 0)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
async def test_a_new_process_is_no_new_day(keyed: Keyed, tmp_path: Path, killed: bool) -> None:
    async with running(keyed.config, tmp_path) as (url, node):
        assert await asked(url, keyed.capped) == (201, "")
        # As users wait for their own minutes, so does the test: they pass in real time.
        await wait_until(lambda: kept(tmp_path) >= SECONDS, 20, "the minutes to be used up")
        assert await asked(url, keyed.capped) == (429, "minutes_used_up")
        if killed:
            os.kill(node.pid, signal.SIGKILL)
            await node.wait(5)
    assert keyed.invites() == 1
    node.log_path.rename(tmp_path / "first.log")
    async with running(keyed.config, tmp_path) as (url, _):
        assert await asked(url, keyed.capped) == (429, "minutes_used_up")
        assert keyed.invites() == 0
        assert await asked(url, keyed.other) == (201, "")
        await wait_until(keyed.invites, 5, "the other key's call")
