"""Owns how programs learn of a node's events: streams, lists, webhooks; built and wired up."""

from __future__ import annotations

from contextlib import AsyncExitStack

from gateway.api.call_events import CallEvents
from gateway.api.event_streams import EventStreams
from gateway.api.identity import Authenticator
from gateway.api.operations import Operation
from gateway.api.webhooks import WebhookEndpoint
from gateway.app.records import Records
from gateway.clock import Clock
from gateway.config.model import WebConfig
from gateway.storage.deliveries import Deliveries
from gateway.storage.webhooks import Webhooks
from gateway.web.client import HttpClient
from gateway.web.webhooks import NoticeSender
from gateway.webhooks import Backlog, Deliverer


class Telling:
    """What tells programs of events. Its webhooks need a database that is kept."""

    def __init__(self, records: Records, config: WebConfig, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        # Receivers that are slow must take no connection from what calls ask of the web.
        self._http = HttpClient(config)
        self._sender = NoticeSender(self._http, clock)
        self._store: Webhooks | None = None
        self.deliverer: Deliverer | None = None
        if records.events is not None:
            self._store = Webhooks(records.database)
            outbox = Deliveries(records.database, records.node)
            self.deliverer = Deliverer(outbox, self._sender, clock)
            records.events.on_enqueued = self.deliverer.enqueued
        self.streams: EventStreams | None = None

    def start(self, stack: AsyncExitStack) -> None:
        """Begins to deliver, and ends with `stack`."""
        stack.push_async_callback(self._http.close)
        if self.deliverer is not None:
            self.deliverer.start()
            stack.push_async_callback(self.deliverer.close)

    def operations(self, authenticator: Authenticator) -> list[Operation]:
        """What the API has of it."""
        self.streams = EventStreams(self._records.feed, authenticator, self._clock)
        hooks = WebhookEndpoint(self._store, self.deliverer, self._sender, self._clock)
        return [
            *self.streams.operations(),
            *CallEvents(self._records.feed).operations(),
            *hooks.operations(),
        ]

    @property
    def open_streams(self) -> int:
        """How many streams there are."""
        return 0 if self.streams is None else self.streams.open

    @property
    def deliveries(self) -> Backlog:
        """How many deliveries to webhooks wait, and are dead."""
        return Backlog() if self.deliverer is None else self.deliverer.backlog

    def close_streams(self) -> None:
        """Ends every stream: nothing else would."""
        if self.streams is not None:
            self.streams.close()
