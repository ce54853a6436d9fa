"""A node's events and webhooks without its calls, and a receiver of notices that can fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from standardwebhooks import Webhook

from gateway.app.records import Records
from gateway.clock import SystemClock
from gateway.config.model import RecordsConfig, WebConfig
from gateway.storage import event_writer
from gateway.storage.deliveries import Deliveries
from gateway.storage.event_log import EventLog
from gateway.storage.webhooks import DeliveryRecord, WebhookRecord, Webhooks
from gateway.terms import DeliveryState
from gateway.web.client import HttpClient
from gateway.web.webhooks import NoticeSender, new_secret
from gateway.webhooks import BackOff, Deliverer
from tests.storage.conftest import postgres, url
from tests.web.conftest import ALLOWED

__all__ = ["postgres", "url"]
QUICK = BackOff(first=0.01, longest=0.05, patience=60.0)


@dataclass(frozen=True, slots=True)
class Notice:
    """One attempt, as the receiver has seen it."""

    id: str
    at: float
    type: str
    call: str
    sequence: int
    taken: bool


@dataclass
class Receiver:
    """`answer`: the response to each attempt; `seen`: all of them."""

    url: str = ""
    secret: str = ""
    seen: list[Notice] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], web.Response] = lambda _: web.Response()

    async def handle(self, request: web.Request) -> web.Response:
        """Checks the signature and answers."""
        body = await request.read()
        Webhook(self.secret).verify(body, dict(request.headers))
        told = json.loads(body)
        assert set(told) == {"type", "timestamp", "data"}
        response = self.answer(told)
        data = told["data"]
        now = asyncio.get_running_loop().time()
        self.seen.append(
            Notice(
                request.headers["webhook-id"],
                now,
                told["type"],
                data.get("call", ""),  # a ping has neither
                data.get("sequence", 0),
                response.status == 200,
            )
        )
        return response

    @property
    def taken(self) -> list[Notice]:
        """What it has answered 200."""
        return [notice for notice in self.seen if notice.taken]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    found = Receiver(secret=new_secret())
    app = web.Application()
    app.router.add_post("/hook", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, ALLOWED, 0)
    await site.start()
    found.url = f"http://{ALLOWED}:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches follow each other at once."""
    monkeypatch.setattr(event_writer, "GATHER", 0.0)


@dataclass
class Part:
    """What of a node has to do with webhooks."""

    log: EventLog
    records: Records
    store: Webhooks
    deliverer: Deliverer

    async def hook(
        self, receiver: Receiver, name: str = "wh_1", project: str = "default", types: str = ""
    ) -> str:
        """A webhook to the receiver."""
        await self.store.add(
            WebhookRecord(
                name,
                project,
                receiver.url,
                receiver.secret,
                tuple(types.split()),
                True,
                None,
                SystemClock().now().wall,
            )
        )
        return name

    async def states(self, hook: str = "wh_1") -> dict[DeliveryState, int]:
        """How many deliveries there are of each kind."""
        found: dict[DeliveryState, int] = {}
        for delivery in await self.deliveries(hook):
            found[delivery.state] = found.get(delivery.state, 0) + 1
        return found

    async def deliveries(self, hook: str = "wh_1", **which: Any) -> list[DeliveryRecord]:
        """All of them, page by page."""
        found: list[DeliveryRecord] = []
        cursor = None
        while True:
            some, cursor = await self.store.deliveries(hook, **which, cursor=cursor)
            found += some
            if cursor is None:
                return found


@asynccontextmanager
async def part(
    url: str,
    folder: Path,
    back_off: BackOff = QUICK,
    client: HttpClient | None = None,
) -> AsyncIterator[Part]:
    """It runs."""
    clock = SystemClock()
    log = EventLog(clock)
    config = RecordsConfig(url=url, node="here", journal=str(folder / "journal"))
    records = Records(config, folder, log, clock)
    await records.start()
    http = client or HttpClient(WebConfig.model_validate({"allow_private": [f"{ALLOWED}/32"]}))
    store = Webhooks(records.database)
    outbox = Deliveries(records.database, "here")
    deliverer = Deliverer(outbox, NoticeSender(http, clock), clock, back_off)
    assert records.events is not None
    records.events.on_enqueued = deliverer.enqueued
    deliverer.start()
    try:
        yield Part(log, records, store, deliverer)
    finally:
        await deliverer.close()
        await http.close()
        await records.stop()
