"""Owns following the event log: a stream that is taken up again where it broke off."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.client.errors import NOT_ITS_ANSWER, GatewayApiError
from gateway.client.sse import Message, SseParser
from gateway.client.transport import Asking, Transport, place
from gateway.events import wants_type

FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
"""Seconds before a new connection; the server may ask for another first wait."""
ENDED = "call.ended"
LOST = "events.lost"
EVENTS_LOST = "events_lost"
"""Code of the error that tells of a gap; its `problem` has `first` and `last`."""


class CallEvent(BaseModel):
    """Something that has happened to a call; what its type holds besides is in `data`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    sequence: int = Field(description="Its place in the log; `since` takes it.")
    call: str
    type: str
    time: datetime

    @property
    def data(self) -> dict[str, Any]:
        """The fields of the event's type (docs/events.md)."""
        return dict(self.model_extra or {})


class EventsQuery(BaseModel):
    """Which events, as the API takes it; a gateway may know types that this client does not."""

    call: str | None = None
    type: list[str] = []
    since: int | None = None


class EventPage(BaseModel):
    """Some events of a call."""

    events: list[CallEvent]
    cursor: str | None


async def follow(
    transport: Transport, call: str | None, types: Iterable[str], since: int | None
) -> AsyncIterator[CallEvent]:
    """The events, without end, or until `call` has ended. Connections that break are made again;
    what happened meanwhile comes then.

    Raises GatewayApiError: the gateway refuses, or cannot be reached at all to begin with; or what
    comes next is not kept any more (EVENTS_LOST).
    """
    if call is not None and since is None:
        since = 0
    wanted = tuple(types)
    asked = [*wanted, ENDED] if call is not None and wanted else [*wanted]
    query = EventsQuery(call=call, type=asked, since=since)
    parser, wait, connected = SseParser(), FIRST_WAIT, False
    while True:
        headers = {"Accept": "text/event-stream"}
        if parser.last_id:
            headers["Last-Event-ID"] = parser.last_id
        try:
            asking = Asking("GET", place("events"), query=query)
            async with transport.streamed(asking, headers) as response:
                connected = True
                async for chunk in response.content.iter_any():
                    for message in parser.feed(chunk):
                        wait = parser.retry or FIRST_WAIT
                        if message.event == LOST:
                            raise _lost(message)
                        event = _event(message)
                        if wants_type(wanted, event.type):
                            yield event
                        if event.type == ENDED and call is not None:
                            return
        except GatewayApiError as error:
            if not connected or not _passes(error):
                raise
        await asyncio.sleep(random.uniform(wait / 2, wait))
        wait = min(wait * 2, LONGEST_WAIT)
        parser = SseParser(parser.last_id)


def _lost(message: Message) -> GatewayApiError:
    gap = json.loads(message.data)
    said = f"events {gap.get('first')} to {gap.get('last')} are not kept any more"
    return GatewayApiError(EVENTS_LOST, said, problem=gap)


def _event(message: Message) -> CallEvent:
    try:
        return CallEvent.model_validate_json(message.data)
    except ValidationError as error:
        raise GatewayApiError(
            NOT_ITS_ANSWER, "the stream has something that is no event"
        ) from error


def _passes(error: GatewayApiError) -> bool:
    status = error.status or 0
    return error.wait is not None or status == 429 or status >= 500
