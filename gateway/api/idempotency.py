"""Owns `Idempotency-Key`: a POST that is made twice is performed once
(draft-ietf-httpapi-idempotency-key-header).

What was answered is kept 24 hours, sealed with the client's key: it may be a token, or digits. Who
asks does not wait until it is written; who asks again does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from http import HTTPStatus

import structlog
from aiohttp import web
from multidict import CIMultiDict

from gateway.api.problems import RequestError, problem_of
from gateway.clock import Clock
from gateway.errors import BAD_REQUEST, Blame, GatewayError, Verdict
from gateway.identity.sealing import opened, sealed
from gateway.identity.values import Identity
from gateway.storage.idempotency import IdempotencyKeys, KnownRequest, RequestState

_log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
PATIENCE = 5.0
"""Seconds for writing the last answers when the node stops."""
_KEY = re.compile(r'"?([\x21\x23-\x7e]{1,255})"?')  # a string of RFC 9651, or the bare word
_KEPT_HEADERS = (
    "Content-Type", "Location", "Cache-Control", "Retry-After", "ETag", "Accept-Patch", "Link",
)  # fmt: skip
_NOT_PERFORMED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

BAD_KEY = BAD_REQUEST.because(f"{HEADER}: 1 to 255 printable ASCII characters, without spaces")
REUSED = Verdict(
    "idempotency_key_reused", 422, 422, 95, Blame.CALLER,
    "This key was used for another request: take a new one",
)  # fmt: skip
RUNNING = Verdict(
    "idempotency_key_in_use", 409, 409, 95, Blame.CALLER,
    "The first request with this key is not answered yet",
)  # fmt: skip
LOST = Verdict(
    "request_interrupted", 500, 500, 41, Blame.GATEWAY,
    "The gateway stopped while it performed this request: look what became of it, and take a new "
    "key to ask again",
)  # fmt: skip

Performs = Callable[[], Awaitable[web.StreamResponse]]


class Idempotency:
    """Performs requests once."""

    def __init__(self, keys: IdempotencyKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._writing: dict[str, asyncio.Task[None]] = {}

    async def once(
        self, request: web.Request, identity: Identity, perform: Performs
    ) -> web.StreamResponse:
        """The response of `perform`, or what it was when it was performed under the same key.

        Raises GatewayError: BAD_REQUEST (no key), REUSED, RUNNING, LOST; and what `perform` raises.
        """
        given = request.headers.getall(HEADER, [])
        if not given:
            return await perform()
        key = _KEY.fullmatch(given[0])
        if key is None or len(given) > 1:
            raise GatewayError(BAD_KEY)
        secret = f"{identity.project}\n{_account(identity)}\n{key[1]}"
        name = hashlib.sha256(secret.encode()).hexdigest()
        now, fingerprint = self._clock.now().wall, await _fingerprint(request)
        if name in self._writing:
            await asyncio.wait([self._writing[name]])
        known = await self._keys.begin(name, fingerprint, now, now - KEPT)
        if known is not None:
            return _again(known, fingerprint, secret)
        return await self._perform(name, secret, perform)

    async def _perform(self, name: str, secret: str, perform: Performs) -> web.StreamResponse:
        try:
            response = await perform()
        except GatewayError as error:
            if error.verdict.http_status in _NOT_PERFORMED:
                self._write(name, self._keys.release(name))
            else:
                self._keep(name, secret, problem_of(error))
            raise
        except BaseException:  # a bug, or the end of the node: what came of it is not known
            self._keep(name, secret, problem_of(GatewayError(LOST)))
            raise
        if isinstance(response, web.Response):
            self._keep(name, secret, response)
        else:
            self._write(name, self._keys.release(name))
        return response

    def _keep(self, name: str, secret: str, response: web.Response) -> None:
        self._write(name, self._keys.finish(name, sealed(_written(response), secret)))

    def _write(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(_told(work), name="idempotency")
        self._writing[name] = task
        task.add_done_callback(lambda _: self._writing.pop(name))

    async def close(self) -> None:
        """Returns when what was answered is written, or could not be."""
        if self._writing:
            await asyncio.wait(self._writing.values(), timeout=PATIENCE)


async def _told(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except GatewayError as error:  # the key stays taken: it is the safe side
        _log.warning("idempotency.not_written", reason=str(error))


def _account(identity: Identity) -> str:
    return identity.key_id or f"{identity.account} {identity.key} {identity.user}"


async def _fingerprint(request: web.Request) -> str:
    asked = f"{request.method} {request.rel_url}\n".encode() + await request.read()
    return hashlib.sha256(asked).hexdigest()


def _again(known: KnownRequest, fingerprint: str, secret: str) -> web.Response:
    if known.fingerprint not in (fingerprint, ""):
        raise GatewayError(REUSED)
    if known.state is RequestState.LOST:
        raise GatewayError(LOST)
    if known.state is RequestState.RUNNING or known.answer is None:
        raise RequestError(RUNNING, headers={"Retry-After": "1"})
    told = json.loads(opened(known.answer, secret))
    response = web.Response(
        status=told["status"],
        text=told["text"],
        headers=CIMultiDict(told["headers"]),
    )
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _written(response: web.Response) -> str:
    headers = [
        (name, value) for name in _KEPT_HEADERS for value in response.headers.getall(name, [])
    ]
    return json.dumps({"status": response.status, "text": response.text, "headers": headers})
