"""Owns the events of one call over HTTP, page by page."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from pydantic import Field, create_model

from gateway.api.event_streams import TAG
from gateway.api.operations import JSON, Asked, Operation
from gateway.config.identity import Scope
from gateway.contract.base import Answer
from gateway.contract.events import CallEventsQuery
from gateway.errors import NOT_FOUND, GatewayError
from gateway.storage.event_feed import EventFeed
from gateway.storage.event_schema import any_event

_CALL = re.compile(r"[A-Za-z0-9_-]{1,64}")
PATH = "/v1/calls/{call}/events"

_EVENT: Any = any_event()
EventList = create_model(
    "EventList",
    __base__=Answer,
    __doc__="Some events of a call, oldest first.",
    events=(list[_EVENT], Field()),
    cursor=(str | None, Field(description="Asks for the next page; null: there is none yet.")),
)


class CallEvents:
    """The operation."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    def operations(self) -> list[Operation]:
        """The one."""
        return [
            Operation(
                "GET", PATH, "listCallEvents", "The events of a call", TAG, Scope.EVENTS_READ,
                self.list, query=CallEventsQuery, answer=EventList,
            )
        ]  # fmt: skip

    async def list(self, asked: Asked) -> web.StreamResponse:
        """Oldest first, also of a call that lives."""
        query: CallEventsQuery = asked.query
        after = int(query.cursor or 0)
        call = asked.path["call"]
        if not _CALL.fullmatch(call):
            raise GatewayError(NOT_FOUND, "No such call")
        found = await self._feed.of_call(asked.project, call, after, query.limit + 1)
        if not found and not after:
            raise GatewayError(NOT_FOUND, "No such call")
        page = found[: query.limit]
        cursor = f'"{page[-1].sequence}"' if len(found) > len(page) else "null"
        events = ",".join(event.text for event in page)
        # They are JSON already.
        return web.Response(
            text=f'{{"events":[{events}],"cursor":{cursor}}}',
            content_type=JSON,
            headers={"Cache-Control": "no-store"},
        )
