"""Owns the id of a request: who reports a failure names it, and its log lines carry it."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

HEADER = "X-Request-Id"
_GOOD = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OF_REQUEST = web.RequestKey("request_id", str)
_CURRENT: ContextVar[str] = ContextVar("request_id", default="none")


def request_id() -> str:
    """That of the request which is being answered."""
    return _CURRENT.get()


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Takes the client's id, if it is a plain word, or makes one; the response names it too."""
    given = request.headers.get(HEADER, "")
    name = given if _GOOD.fullmatch(given) else "r-" + secrets.token_urlsafe(12)
    token = _CURRENT.set(name)
    request[_OF_REQUEST] = name
    try:
        with structlog.contextvars.bound_contextvars(request_id=name):
            return await handler(request)
    finally:
        _CURRENT.reset(token)


async def tell_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """A signal for `on_response_prepare`: also streams and WebSockets name their request."""
    if _OF_REQUEST in request:
        response.headers[HEADER] = request[_OF_REQUEST]
