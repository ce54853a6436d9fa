"""The WebSocket `/v1/signal`: upgrade, reading and writing, and closing all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from functools import partial
from typing import Any

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.api.directory import Farewell
from gateway.api.identity import SUBPROTOCOL
from gateway.api.outbox import Outbox
from gateway.api.services import IceServers, Services
from gateway.api.session import Session
from gateway.api.watch import IDENTITY_WATCH
from gateway.errors import SHUTTING_DOWN, Blame, GatewayError, Verdict

log = structlog.get_logger(__name__)

TOO_MANY_SESSIONS = Verdict(
    "too_many_sessions", 503, 503, 42, Blame.GATEWAY, "Too many signalling sessions"
)


class SignalServer:
    """All signalling sessions of this node."""

    def __init__(self, services: Services, ice_servers: IceServers) -> None:
        self._services = services
        self._ice_servers = ice_servers
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._closing = False
        self._closings: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """GET /v1/signal. Raises GatewayError before the upgrade only."""
        identity = await self._services.authenticator.authenticate(request)
        limits = self._services.limits
        if self._closing:
            raise GatewayError(SHUTTING_DOWN)
        if len(self._sockets) >= limits.sessions:
            raise GatewayError(TOO_MANY_SESSIONS)
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=limits.heartbeat,
            max_msg_size=limits.message_bytes,
            timeout=limits.close_wait,
            compress=False,  # saves its memory, and a small frame cannot inflate
        )
        session_id = "s-" + secrets.token_urlsafe(12)
        self._sockets[session_id] = socket
        try:
            await socket.prepare(request)
            outbox = Outbox(limits.outgoing_messages, lambda: _drop(request, session_id))
            async with _Tasks() as tasks:
                session = Session(
                    session_id,
                    identity,
                    self._services,
                    self._ice_servers,
                    outbox,
                    tasks.spawn,
                    partial(self._say_farewell, socket),
                )
                unfollow = request.app[IDENTITY_WATCH].follow(session)
                try:
                    tasks.spawn(outbox.run(socket.send_str))
                    await _read(socket, session)
                finally:
                    unfollow()
                    session.close(SHUTTING_DOWN if self._closing else None)
        finally:
            del self._sockets[session_id]
        return socket

    def _say_farewell(self, socket: web.WebSocketResponse, farewell: Farewell) -> None:
        text = farewell.verdict.text.encode()
        closing = asyncio.create_task(_close(socket, farewell.close_code, text))
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    async def close(self) -> None:
        """Closes every session with 1001 (RFC 6455 7.4.1) and ends its calls."""
        self._closing = True
        await asyncio.gather(
            *(
                socket.close(code=WSCloseCode.GOING_AWAY, message=b"Gateway is shutting down")
                for socket in tuple(self._sockets.values())
            ),
            *self._closings,
        )


async def _close(socket: web.WebSocketResponse, code: int, text: bytes) -> None:
    await socket.close(code=code, message=text)


async def _read(socket: web.WebSocketResponse, session: Session) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            if not session.receive(message.data):
                log.warning("signal.flooded", session=session.id)
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many messages")
        else:
            await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"Text messages only")


def _drop(request: web.Request, session_id: str) -> None:
    log.warning("signal.client_does_not_read", session=session_id)
    if request.transport is not None:
        request.transport.abort()


class _Tasks:
    """The tasks of one session; leaving cancels those that still run and waits for them."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> _Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
