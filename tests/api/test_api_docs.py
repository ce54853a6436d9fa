"""The examples of docs/http-api.md do what the page says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.config.identity import Scope
from gateway.media.archive import RecordingArchive
from tests.api.conftest import StartApi
from tests.api.known import PLAN, Stand, known
from tests.api.test_recordings import put
from tests.storage.test_queries import record, store

PAGE = Path(__file__).parents[2] / "docs" / "http-api.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines() if "curl " in line]
SOURCE = json.dumps({"source": PLAN})


@dataclass
class Curl:
    """What a command line asks for."""

    path: str = ""
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    data: str | None = None

    @classmethod
    def of(cls, line: str, known: dict[str, str]) -> Curl:
        """Reads a line whose variables are `known`."""
        for name, value in known.items():
            line = line.replace(f"${name}", value)
        words = iter(shlex.split(line[line.index("curl ") :])[1:])
        found = cls()
        for word in words:
            match word:
                case "-s":
                    pass
                case "-o":
                    next(words)
                case "-X":
                    found.method = next(words)
                case "-H":
                    name, _, value = next(words).partition(": ")
                    found.headers[name] = value
                case "-r":
                    found.headers["Range"] = f"bytes={next(words)}"
                case "-d":
                    found.method, found.data = "POST", next(words)
                    if found.data == "@-":
                        found.data = SOURCE
                case _:
                    assert not word.startswith("-"), word
                    found.path = word
        return found


@pytest.fixture
async def stand(start_api: StartApi, tmp_path: Path) -> AsyncIterator[Stand]:
    """A node with a record, a recording, and alice."""
    put(tmp_path, "c-000-1")
    async with known(start_api, archive=RecordingArchive(tmp_path)) as made:
        await store(made.database, record(0))
        await made.browser(made.token("alice"))
        yield made


def test_there_are_examples() -> None:
    routes = {re.sub(r"[?\"].*", "", line.split("$URL", 1)[1]) for line in LINES}
    assert {"/v1/cdrs", "/v1/trunks", "/v1/users", "/v1/node", "/v1/dialplan"} <= routes
    assert len(routes) > 10


@pytest.mark.parametrize("line", LINES)
async def test_each_example_is_answered(stand: Stand, line: str) -> None:
    key = await stand.key(Scope.ADMIN)
    [session] = stand.node.directory.sessions_of("default")
    variables = {
        "URL": "",
        "AUTH": f"Authorization: {key['Authorization']}",
        "CALL": "c-000",
        "NAME": "c-000-1",
        "SESSION": session.id,
    }
    asked = Curl.of(line, variables)
    async with stand.api.client.request(
        asked.method, asked.path, headers=asked.headers, data=asked.data
    ) as response:
        assert response.status in (200, 204, 206), await response.text()
