"""Owns what the client hands over: answers, fetched files, and failures that may pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from yarl import URL

from gateway.errors import FETCH_FAILED, GatewayError


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response. headers: names in lower case; the first of each name."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Exchanges(Protocol):
    """One request, one answer (HttpClient; tests bring their own)."""

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
        """See HttpClient.exchange."""
        ...


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server can tell by whether its file has changed (RFC 9110 8.8). url: whose they are,
    after all redirects."""

    url: str = field(repr=False)
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file of the web. unchanged: it is still what its validators were given for, and has no
    body. fresh_seconds: how long nobody need ask again. storable: it may be kept (RFC 9111)."""

    body: bytes = field(repr=False)
    content_type: str
    validators: Validators
    fresh_seconds: float = 0.0
    storable: bool = True
    unchanged: bool = False

    @property
    def etag(self) -> str | None:
        """The entity tag (RFC 9110 8.8.3)."""
        return self.validators.etag


class TransientError(GatewayError):
    """FETCH_FAILED, but the next attempt may succeed. retry_after: seconds that the server asks
    for."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(FETCH_FAILED, detail)
        self.retry_after = retry_after
