"""Owns streams of events: server-sent events (WHATWG HTML 9.2) and the same by WebSocket.

A stream has a position in the feed and reads on from there when its client has taken what it got.
Nothing is queued for it, so that one that is slow or dead costs nobody anything.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiohttp import WSCloseCode, web

from gateway.api.identity import SUBPROTOCOL, Authenticator
from gateway.api.operations import Asked, Operation
from gateway.api.problems import RequestError
from gateway.clock import Clock
from gateway.config.identity import Scope
from gateway.contract.events import StreamQuery
from gateway.errors import BAD_REQUEST, SHUTTING_DOWN, Blame, GatewayError, Verdict
from gateway.identity.values import UNAUTHORIZED, Identity
from gateway.storage.event_feed import EventFeed
from gateway.storage.event_log import EventsLost
from gateway.storage.event_schema import any_event
from gateway.storage.published import Published, Wanted

PATH = "/v1/events"
TAG = "events"
LOST = "events.lost"
"""The type of what tells of a gap; it is no event and has no place."""
TOO_MANY_STREAMS = Verdict(
    "too_many_streams", 503, 429, 42, Blame.CALLER, "Too many streams of events"
)
LIVES = "still here"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Times in seconds. per_key: streams of one identity; check: how often it is asked again who
    it is; write: how long a client may take nothing."""

    per_key: int = 16
    per_node: int = 500
    heartbeat: float = 15.0
    check: float = 30.0
    write: float = 10.0
    retry_ms: int = 3_000
    retry_after: int = 30


class _Client(Protocol):
    """Who reads. All methods raise ConnectionError when nobody does any more."""

    @property
    def gone(self) -> bool: ...

    async def event(self, event: Published) -> None: ...

    async def lost(self, lost: EventsLost) -> None: ...

    async def heartbeat(self, position: int) -> None: ...


class EventStreams:
    """All streams of a node."""

    def __init__(
        self,
        feed: EventFeed,
        authenticator: Authenticator,
        clock: Clock,
        limits: StreamLimits = StreamLimits(),  # frozen
    ) -> None:
        self._feed = feed
        self._authenticator = authenticator
        self._clock = clock
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._closing = False

    def operations(self) -> list[Operation]:
        """Both."""
        return [
            Operation(
                "GET", PATH, "streamEvents", "Events as they happen (SSE)", TAG,
                Scope.EVENTS_READ, self.sse, query=StreamQuery, answer=any_event(),
                media="text/event-stream",
                problems=(TOO_MANY_STREAMS,),
            ),
            Operation(
                "GET", PATH + "/ws", "streamEventsOverWebSocket",
                "Events as they happen (WebSocket)", TAG, Scope.EVENTS_READ, self.websocket,
                query=StreamQuery, status=101, problems=(TOO_MANY_STREAMS,),
            ),
        ]  # fmt: skip

    @property
    def open(self) -> int:
        """How many there are."""
        return self._open.total()

    def close(self) -> None:
        """Ends all of them; clients come back, and go on where they were."""
        self._closing = True
        self._feed.wake()

    async def sse(self, asked: Asked) -> web.StreamResponse:
        """Each event has its sequence number as `id`, its type as `event` and its JSON as `data`.
        A client that comes back with `Last-Event-ID`, as browsers' EventSource does, misses
        nothing, also across a restart of the gateway."""
        position = self._start(asked)
        with self._place(asked.identity):
            response = web.StreamResponse(
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            )
            response.content_type = "text/event-stream"
            response.charset = "utf-8"
            await response.prepare(asked.request)
            client = _SseClient(asked.request, response, self._limits.write)
            with suppress(ConnectionError):
                await client.write(f"retry: {self._limits.retry_ms}\n\n")
                await self._pump(asked, client, position)
                await response.write_eof()
        return response

    async def websocket(self, asked: Asked) -> web.StreamResponse:
        """Each event is a text message, its JSON. Browsers, which can give a WebSocket no header,
        say who they are by `Sec-WebSocket-Protocol: gateway, token.TOKEN`. What a client sends is
        an error."""
        position = self._start(asked)
        with self._place(asked.identity):
            socket = web.WebSocketResponse(
                protocols=(SUBPROTOCOL,), heartbeat=self._limits.heartbeat, max_msg_size=1024,
                timeout=2.0, compress=False,
            )  # fmt: skip
            await socket.prepare(asked.request)
            client = _SocketClient(asked.request, socket, self._limits.write)
            reading = asyncio.create_task(self._hear(socket, client), name="events: client")
            why = WSCloseCode.GOING_AWAY, b""
            try:
                if not await self._pump(asked, client, position):
                    why = WSCloseCode.POLICY_VIOLATION, b"Authentication is required"
            except ConnectionError:
                client.gone = True
            finally:
                if not client.gone:
                    await socket.close(code=why[0], message=why[1])
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        return socket

    async def _hear(self, socket: web.WebSocketResponse, client: _SocketClient) -> None:
        """Answers pings, and notices when the client goes or speaks."""
        async for _ in socket:
            await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"Nothing to say here")
        client.gone = True
        self._feed.wake()

    async def _pump(self, asked: Asked, client: _Client, position: int) -> bool:
        """Sends events until there is nobody to send them to, or no reason. False: it is not known
        any more who reads them. Raises ConnectionError."""
        query = asked.query
        wanted = Wanted(asked.project, query.call, tuple(query.type))
        loop = asyncio.get_running_loop()
        check_at = loop.time() + self._limits.check
        while not self._closing and not client.gone:
            if loop.time() >= check_at or asked.identity.expired(self._clock.now().wall):
                if not await self._still_known(asked):
                    return False
                check_at = loop.time() + self._limits.check
            try:
                portion = await self._feed.read(position, wanted)
            except GatewayError as error:
                _log.warning("events.stream_failed", reason=str(error))
                return True
            if portion.lost is not None:
                await client.lost(portion.lost)
            for event in portion.events:
                await client.event(event)
            if portion.position == position:
                await self._wait(asked, client, position)
            position = portion.position
        return True

    async def _wait(self, asked: Asked, client: _Client, position: int) -> None:
        """For news; meanwhile it shows that the connection lives."""
        seconds = min(self._limits.heartbeat, self._limits.check)
        if asked.identity.expires is not None:
            left = asked.identity.expires - self._clock.now().wall
            seconds = min(seconds, max(left.total_seconds(), 0.0))
        try:
            async with asyncio.timeout(seconds):
                await self._feed.news()
        except TimeoutError:
            await client.heartbeat(position)

    async def _still_known(self, asked: Asked) -> bool:
        """Whether the token is good, and the key behind it not revoked."""
        try:
            identity = await self._authenticator.authenticate(asked.request)
            self._authenticator.command(identity, Scope.EVENTS_READ)
        except GatewayError as error:
            # Where it cannot be asked now (database, JWKS), it is asked the next time.
            expired = asked.identity.expired(self._clock.now().wall)
            return error.verdict.code != UNAUTHORIZED.code and not expired
        return identity.project == asked.project

    def _start(self, asked: Asked) -> int:
        """Where to begin."""
        if self._closing:
            raise GatewayError(SHUTTING_DOWN)
        last = asked.request.headers.get("Last-Event-ID", "")
        if last:
            if not (last.isascii() and last.isdecimal() and len(last) <= 16):
                raise GatewayError(BAD_REQUEST, "Last-Event-ID must be a sequence number")
            return int(last)
        since: int | None = asked.query.since
        return self._feed.last if since is None else since

    @contextmanager
    def _place(self, identity: Identity) -> Iterator[None]:
        """Counts a stream. Raises RequestError(TOO_MANY_STREAMS)."""
        account = identity.key_id or f"{identity.address} {identity.account} {identity.key}"
        limits = self._limits
        if self._open[account] >= limits.per_key or self.open >= limits.per_node:
            raise RequestError(TOO_MANY_STREAMS, headers={"Retry-After": str(limits.retry_after)})
        self._open[account] += 1
        try:
            yield
        finally:
            self._open[account] -= 1
            if not self._open[account]:
                del self._open[account]


class _SseClient:
    """Reads server-sent events."""

    def __init__(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        self._request = request
        self._response = response
        self._seconds = seconds

    @property
    def gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    async def event(self, event: Published) -> None:
        await self.write(f"id: {event.sequence}\nevent: {event.type}\ndata: {event.text}\n\n")

    async def lost(self, lost: EventsLost) -> None:
        await self.write(f"id: {lost.last}\nevent: {LOST}\ndata: {_gap(lost)}\n\n")

    async def heartbeat(self, position: int) -> None:
        # A block without data is no event, but moves the client's Last-Event-ID.
        await self.write(f": {LIVES}\nid: {position}\n\n")

    async def write(self, text: str) -> None:
        await _within(self._seconds, self._request, self._response.write(text.encode()))


class _SocketClient:
    """Reads messages of a WebSocket."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, seconds: float) -> None:
        self._request = request
        self._socket = socket
        self._seconds = seconds
        self.gone = False

    async def event(self, event: Published) -> None:
        await self._send(event.text)

    async def lost(self, lost: EventsLost) -> None:
        await self._send(_gap(lost))

    async def heartbeat(self, position: int) -> None:
        """The socket has pings of its own."""

    async def _send(self, text: str) -> None:
        await _within(self._seconds, self._request, self._socket.send_str(text))


def _gap(lost: EventsLost) -> str:
    return json.dumps({"type": LOST, "first": lost.first, "last": lost.last})


async def _within(seconds: float, request: web.Request, writing: Coroutine[Any, Any, None]) -> None:
    """Writes, or gives up on a client that takes nothing for so long. Raises ConnectionError."""
    try:
        async with asyncio.timeout(seconds):
            await writing
    except TimeoutError:
        _log.info("events.client_does_not_read")
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client does not read") from None
