"""Owns aiohttp's client: one request at a time under every limit, from sockets that have seen the
address they connect to."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.config.model import WebConfig
from gateway.errors import BAD_REQUEST, FETCH_FAILED, FORBIDDEN, GatewayError
from gateway.web.addresses import AddressGuard, RefusedAddressError
from gateway.web.urls import shown
from gateway.web.values import Answer, TransientError

CONNECTIONS = 128
CONNECTIONS_PER_HOST = 32
"""A server that is slow keeps nobody from asking another."""
CHUNK = 64 * 1024

_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1024}")
_AddrInfo = tuple[int | Any, int | Any, int, str, tuple[Any, ...]]
_log = structlog.get_logger(__name__)


class HttpClient:
    """HTTP requests to the public internet. Belongs to the asyncio thread; close it at the end.

    No redirects, cookies, proxies of the environment, or compressed answers (they could be bombs).
    Who asks for a private address is refused twice: where a name is resolved, and where a socket is
    made. The second sees what the first cannot (literal addresses) and nothing comes after it.
    """

    def __init__(self, config: WebConfig, resolver: AbstractResolver | None = None) -> None:
        """resolver: where names are looked up; None: as the system does."""
        self._config = config
        self._guard = AddressGuard(config.allow_private)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Ends everything that is under way."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def exchange(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int,
        seconds: float | None = None,
    ) -> Answer:
        """One request, one answer of any status, within `seconds` (None: as configured).

        Raises GatewayError: FORBIDDEN for an address that is not allowed, BAD_REQUEST for a header
        or a host that cannot be, FETCH_FAILED for all else; TransientError where the next attempt
        may succeed.
        """
        for name, value in headers.items():
            if not _HEADER_VALUE.fullmatch(value):
                raise GatewayError(BAD_REQUEST, f"the header {name} cannot have this value")
        where = shown(url)
        try:
            async with self._opened().request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds or self._config.timeout),
            ) as response:
                return await self._answer(response, where, max_bytes)
        except (aiohttp.InvalidURL, UnicodeError):
            raise GatewayError(BAD_REQUEST, f"{where} has an impossible host") from None
        except TimeoutError:
            raise TransientError(f"{where} took too long") from None
        except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch) as error:
            raise GatewayError(FETCH_FAILED, f"{where}: no secure connection") from error
        except aiohttp.ClientConnectorError as error:
            refused = _refused(error)
            if refused is not None:
                _log.warning("web.refused", url=where, address=refused.address)
                text = f"{where} is not on the public internet, nor in web.allow_private"
                raise GatewayError(FORBIDDEN, text) from error
            raise TransientError(f"{where} cannot be reached") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            raise TransientError(f"{where} broke off the connection") from error
        except aiohttp.ClientError as error:
            raise GatewayError(FETCH_FAILED, f"{where} did not answer in HTTP") from error

    def _opened(self) -> aiohttp.ClientSession:
        """The session. It is made by the first request, because it needs the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                limit_per_host=CONNECTIONS_PER_HOST,
                resolver=_GuardedResolver(
                    self._resolver or aiohttp.ThreadedResolver(), self._guard
                ),
                # A name that is resolved for each connection is checked for each connection.
                use_dns_cache=False,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": "gateway", "Accept-Encoding": "identity"},
            )
        return self._session

    def _socket(self, info: _AddrInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        self._guard.check(str(address[0]))
        return socket.socket(family, kind, protocol)

    async def _answer(self, response: aiohttp.ClientResponse, where: str, max_bytes: int) -> Answer:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise GatewayError(FETCH_FAILED, f"{where} compressed its answer unasked")
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > max_bytes:
                raise GatewayError(FETCH_FAILED, f"{where} has more than {max_bytes} bytes")
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            headers.setdefault(name.lower(), value)
        return Answer(response.status, headers, bytes(body))


class _GuardedResolver(AbstractResolver):
    """Refuses a name of which any address is private: a mixed answer is an attack or a mistake."""

    def __init__(self, inner: AbstractResolver, guard: AddressGuard) -> None:
        self._inner = inner
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            self._guard.check(result["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


def _refused(error: BaseException | None) -> RefusedAddressError | None:
    """The refusal behind `error`, if that is why."""
    while error is not None:
        if isinstance(error, RefusedAddressError):
            return error
        inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
        error = inner or error.__cause__
    return None
