"""An API that knows keys, in front of a node's real events and webhooks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse

from gateway.api.event_streams import EventStreams, StreamLimits
from gateway.api.identity import TokenAuthenticator, Trust
from gateway.app.records import Records
from gateway.app.telling import Telling
from gateway.clock import SystemClock
from gateway.config.identity import Caps, Scope
from gateway.config.model import RecordsConfig, WebConfig
from gateway.identity.hashing import Hashing
from gateway.identity.keys import KeyRing, new_key
from gateway.storage.api_keys import ApiKeys
from gateway.storage.event_log import EventLog
from tests.api.conftest import Api, StartApi
from tests.web.conftest import ALLOWED

READ, HOOKS = Scope.EVENTS_READ, Scope.WEBHOOKS_WRITE


@dataclass
class Told:
    """The running thing."""

    api: Api
    log: EventLog
    records: Records
    telling: Telling
    streams: EventStreams
    keys: ApiKeys

    async def key(
        self, *scopes: Scope, project: str = "default", name: str = "crm", lasts: Any = None
    ) -> dict[str, str]:
        """A new key, as the header that brings it."""
        now = SystemClock().now().wall
        expires = None if lasts is None else now + lasts
        text, record = new_key(name, scopes, Caps(), now, project=project, expires=expires)
        await self.keys.add(record)
        return {"Authorization": f"Bearer {text}"}

    async def ask(
        self, method: str, path: str, headers: dict[str, str], **more: Any
    ) -> tuple[int, Any]:
        """A request, and what its answer says."""
        async with self.api.client.request(method, path, headers=headers, **more) as response:
            return response.status, await response.json(content_type=None)

    @asynccontextmanager
    async def stream(
        self, headers: dict[str, str], query: str = "", last: int | None = None
    ) -> AsyncIterator[Stream]:
        """A stream of server-sent events."""
        if last is not None:
            headers = headers | {"Last-Event-ID": str(last)}
        path = f"/v1/events?{query}"
        async with self.api.client.get(path, headers=headers, timeout=None) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            yield Stream(response)


class Stream:
    """Blocks of a stream, each by its fields."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def block(self) -> dict[str, str] | None:
        """The next one; None: the stream is over."""
        found: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            if line == "\n":
                return found
            name, _, value = line.rstrip("\n").partition(":")
            found[name] = value.strip()
        return None

    async def event(self) -> dict[str, Any]:
        """The JSON of the next event, whose id and type are right."""
        while (block := await self.block()) is not None:
            if "data" in block:
                data: dict[str, Any] = json.loads(block["data"])
                assert block["event"] == data["type"]
                assert block["id"] == str(data.get("sequence", data.get("last")))
                return data
        raise AssertionError("the stream ended")

    async def events(self, count: int) -> list[int]:
        """The numbers of the next ones."""
        return [(await self.event())["sequence"] for _ in range(count)]


@asynccontextmanager
async def told(
    start_api: StartApi,
    folder: Path,
    limits: StreamLimits | None = None,
    url: str = "sqlite:///events.sqlite3",
) -> AsyncIterator[Told]:
    """It runs; twice in one folder it is a restart."""
    clock, hashing, log = SystemClock(), Hashing(), EventLog(SystemClock())
    records = Records(RecordsConfig(url=url, node="here"), folder, log, clock)
    await records.start()
    telling = Telling(
        records, WebConfig.model_validate({"allow_private": [f"{ALLOWED}/32"]}), clock
    )
    keys = ApiKeys(records.database)
    authenticator = TokenAuthenticator(Trust(KeyRing(keys, clock, hashing)))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(records.stop)
        stack.callback(hashing.close)
        telling.start(stack)
        operations = telling.operations(authenticator)
        assert telling.streams is not None
        telling.streams._limits = limits or StreamLimits()
        api = await start_api(
            demo=False,
            authenticator=authenticator,
            operations=operations,
            clock=clock,
            closing=(telling.close_streams,),
        )
        stack.push_async_callback(api.client.close)
        yield Told(api, log, records, telling, telling.streams, keys)
