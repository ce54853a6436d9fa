"""Owns the client's HTTP: one request at a time, with its key, its retries and its errors."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, TypeAdapter, ValidationError
from yarl import URL

from gateway import __version__
from gateway.client.errors import NO_ANSWER, NOT_ITS_ANSWER, GatewayApiError, error_of
from gateway.web.retrying import Patience, persistently
from gateway.web.statuses import retry_after
from gateway.web.values import TransientError

SECONDS = 10.0
"""How long one attempt may take, beside what it was asked to wait for."""
ATTEMPTS = 3
CHUNK = 64 * 1024
SILENCE = 60.0
"""Seconds without a byte after which a stream counts as broken; the gateway is never so quiet."""
REQUEST_ID = "X-Request-Id"
_IDEMPOTENCY_KEY = "Idempotency-Key"
_FROM_PROXIES = (502, 503, 504)
_TOKEN = re.compile(r"[!-~]{1,8192}")

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Asking:
    """One request. query: the parameters that are written. again: what makes it the same request
    when it is sent again; None: a new key for each POST. seconds: how long an answer may take."""

    method: str
    path: str
    query: BaseModel | None = None
    body: BaseModel | Mapping[str, Any] | None = None
    again: str | None = None
    seconds: float = SECONDS

    def parameters(self) -> list[tuple[str, str]]:
        """The query as it is written into the URL."""
        if self.query is None:
            return []
        told = self.query.model_dump(mode="json", by_alias=True, exclude_none=True)
        return [
            (name, value if isinstance(value, str) else json.dumps(value))
            for name, values in told.items()
            for value in (values if isinstance(values, list) else [values])
        ]

    def content(self) -> bytes | None:
        """The body as JSON."""
        if isinstance(self.body, BaseModel):
            return self.body.model_dump_json(by_alias=True, exclude_unset=True).encode()
        return None if self.body is None else json.dumps(self.body).encode()


class _PassingError(TransientError):
    """What may be different at the next attempt. error: what it is if there is none."""

    def __init__(self, error: GatewayApiError) -> None:
        super().__init__(str(error), error.wait)
        self.error = error


class Transport:
    """Requests to one gateway. Belongs to the asyncio thread; close it at the end."""

    def __init__(self, url: str, token: str | None, attempts: int) -> None:
        """Raises ValueError: the URL is not one of http or https, or the token is no token."""
        base = URL(url)
        if base.scheme not in ("http", "https") or not base.host or base.query_string:
            raise ValueError("the gateway's address is written as https://gateway.example")
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError("the key has a character that no key has")
        self._base = str(base.with_user(None).with_fragment(None)).rstrip("/")
        self._token = token
        self._attempts = attempts
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Ends everything that is under way."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, asking: Asking, answer: type[M] | TypeAdapter[M]) -> M:
        """The answer, as what it is. Raises GatewayApiError."""
        status, text = await self._persistently(asking)
        reads: TypeAdapter[M] = answer if isinstance(answer, TypeAdapter) else TypeAdapter(answer)
        try:
            return reads.validate_json(text)
        except ValidationError as error:
            said = f"an answer of another kind: {error.error_count()} fields do not fit"
            raise GatewayApiError(NOT_ITS_ANSWER, said, status=status) from error

    async def text(self, asking: Asking) -> str:
        """The answer, as text. Raises GatewayApiError."""
        return (await self._persistently(asking))[1].decode(errors="replace")

    async def tell(self, asking: Asking) -> None:
        """Of the answer nobody wants to know more than that it is good. Raises GatewayApiError."""
        await self._persistently(asking)

    @asynccontextmanager
    async def streamed(
        self, asking: Asking, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is read piece by piece; it is asked for once. Raises GatewayApiError, also
        when it breaks off."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SECONDS, sock_read=SILENCE)
        try:
            async with self._request(asking, timeout, headers or {}) as response:
                if not 200 <= response.status < 300:
                    raise await _failure(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreached(error) from error

    async def _persistently(self, asking: Asking) -> tuple[int, bytes]:
        key = asking.again or str(uuid.uuid4())
        headers = {_IDEMPOTENCY_KEY: key} if asking.method == "POST" else {}
        unanswered = 0

        async def sent(
            request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            # aiohttp sends some requests again by itself (RFC 9112 9.3.1): only here is it seen.
            nonlocal unanswered
            unanswered += 1
            return await send(request)

        async def attempt() -> tuple[int, bytes]:
            nonlocal unanswered
            try:
                return await self._once(asking, headers, sent)
            except GatewayApiError as error:
                unanswered -= bool(error.problem)
                if unanswered and asking.method == "DELETE" and error.status == 404:
                    return 204, b""  # the attempt whose answer was lost has done it
                if error.wait is None:
                    raise
                raise _PassingError(error) from error

        patience = Patience(self._attempts, asking.seconds)
        try:
            return await persistently(attempt, patience, "the gateway")
        except _PassingError as passing:
            raise passing.error from passing.error.__cause__
        except TransientError as error:
            raise GatewayApiError(NO_ANSWER, "the gateway took too long") from error

    async def _once(
        self, asking: Asking, headers: Mapping[str, str], sent: aiohttp.ClientMiddlewareType
    ) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=asking.seconds)
        try:
            async with self._request(asking, timeout, headers, [sent]) as response:
                if 200 <= response.status < 300:
                    return response.status, await response.read()
                raise await _failure(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as lost:
            raise self._unreached(lost) from lost

    def _request(
        self,
        asking: Asking,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str],
        middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
    ) -> aiohttp.client._RequestContextManager:
        content = asking.content()
        typed = {} if content is None else {"Content-Type": "application/json"}
        url = URL(self._base + asking.path, encoded=True).extend_query(asking.parameters())
        return self._opened().request(
            asking.method,
            url,
            data=content,
            headers={**typed, **headers},
            timeout=timeout,
            allow_redirects=False,  # a key is for the server that it was given for
            middlewares=middlewares,
        )

    def _opened(self) -> aiohttp.ClientSession:
        """The session. It is made by the first request, because it needs the running loop."""
        if self._session is None:
            headers = {"User-Agent": f"gateway-client/{__version__}"}
            if self._token is not None:
                headers["Authorization"] = f"Bearer {self._token}"
            self._session = aiohttp.ClientSession(
                headers=headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _unreached(self, error: Exception) -> GatewayApiError:
        if isinstance(error, TimeoutError):
            said = "took too long"
        elif isinstance(error, aiohttp.ClientSSLError):
            said = "has no secure connection that is good"
        elif isinstance(error, aiohttp.ClientConnectorError):
            said = "cannot be reached"
        else:
            said = "broke off the connection"
        return GatewayApiError(NO_ANSWER, f"{self._base} {said}", wait=0.0)


async def _failure(response: aiohttp.ClientResponse) -> GatewayApiError:
    told: object = None
    if response.content_type.endswith("json"):
        try:
            told = json.loads(await response.read())
        except ValueError:
            told = None
    error = error_of(
        response.status,
        response.headers.get(REQUEST_ID),
        told,
        response.reason or "no problem document",
    )
    error.wait = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
    if error.wait is None and not error.problem and error.status in _FROM_PROXIES:
        error.wait = 0.0
    return error


def place(*segments: str) -> str:
    """The path of a resource: `/v1/` and `segments`, which may hold anything.

    Raises ValueError: a segment that no resource is called by.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} is no name")
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)
