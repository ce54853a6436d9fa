"""Owns fetching files from URLs that others wrote: redirects, validators, freshness."""

from __future__ import annotations

import re
from collections.abc import Mapping

from yarl import URL

from gateway.clock import Clock, SystemClock
from gateway.config.model import WebConfig
from gateway.errors import FETCH_FAILED, GatewayError
from gateway.web.retrying import Patience, persistently
from gateway.web.statuses import failure
from gateway.web.urls import parse_url, shown
from gateway.web.values import Answer, Exchanges, Fetched, Validators

MAX_REDIRECTS = 3
MAX_FRESH = 86_400.0
"""Seconds: nothing is believed to stay the same for longer than a day."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')  # RFC 9110 8.8.3
_DATE = re.compile(r"[A-Za-z0-9 ,:+-]{1,64}")


class Fetcher:
    """GET, checked: see HttpClient for what it may reach."""

    def __init__(self, client: Exchanges, config: WebConfig, clock: Clock | None = None) -> None:
        self._client = client
        self._patience = Patience(config.attempts, config.timeout)
        self._clock = clock or SystemClock()

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        accept: str = "*/*",
        known: Validators | None = None,
    ) -> Fetched:
        """The file at `url`, with at most MAX_REDIRECTS redirects, each checked like the first.

        known: what an earlier answer had; `unchanged` is set when that is still good. Raises
        GatewayError: BAD_REQUEST (no such URL), FORBIDDEN (a private address), FETCH_FAILED.
        """
        first = parse_url(url)

        async def attempt() -> Fetched:
            return await self._once(first, max_bytes, accept, known)

        return await persistently(attempt, self._patience, shown(first))

    async def _once(
        self, url: URL, max_bytes: int, accept: str, known: Validators | None
    ) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            headers = {"Accept": accept, **_conditions(url, known)}
            answer = await self._client.exchange("GET", url, headers=headers, max_bytes=max_bytes)
            if answer.status in _REDIRECTS:
                url = _target(url, answer)
                continue
            if answer.status == 304 and len(headers) > 1 and known is not None:
                return _fetched(answer, known, unchanged=True)
            if answer.status != 200:
                raise failure(shown(url), answer, self._clock.now().wall)
            return _fetched(answer, _validators(url, answer.headers), unchanged=False)
        raise GatewayError(FETCH_FAILED, f"{shown(url)} comes after {MAX_REDIRECTS} redirects")


def _target(url: URL, answer: Answer) -> URL:
    try:
        target = str(url.join(URL(answer.headers.get("location", ""))))
    except ValueError:
        raise GatewayError(FETCH_FAILED, f"{shown(url)} leads to no URL") from None
    try:
        return parse_url(target)
    except GatewayError as error:
        text = f"{shown(url)} leads to {error.verdict.text}"
        raise GatewayError(FETCH_FAILED, text) from error


def _conditions(url: URL, known: Validators | None) -> dict[str, str]:
    """Conditional headers (RFC 9110 13.1), for the very resource whose validators are known."""
    if known is None or known.url != str(url):
        return {}
    if known.etag is not None:
        return {"If-None-Match": known.etag}
    return {} if known.last_modified is None else {"If-Modified-Since": known.last_modified}


def _validators(url: URL, headers: Mapping[str, str]) -> Validators:
    tag, changed = headers.get("etag", ""), headers.get("last-modified", "")
    return Validators(
        str(url),
        tag if _TAG.fullmatch(tag) else None,
        changed if _DATE.fullmatch(changed) else None,
    )


def _fetched(answer: Answer, validators: Validators, *, unchanged: bool) -> Fetched:
    directives = _directives(answer.headers.get("cache-control", ""))
    fresh = 0.0
    if "no-cache" not in directives and "no-store" not in directives:
        age = _seconds(answer.headers.get("age", ""))
        fresh = min(max(0.0, _seconds(directives.get("max-age", "")) - age), MAX_FRESH)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()[:100]
    return Fetched(
        b"" if unchanged else answer.body,
        kind,
        validators,
        fresh_seconds=fresh,
        storable="no-store" not in directives,
        unchanged=unchanged,
    )


def _directives(value: str) -> dict[str, str]:
    """Cache-Control (RFC 9111 5.2)."""
    found = {}
    for part in value.lower().split(","):
        name, _, argument = part.strip().partition("=")
        found[name.strip()] = argument.strip().strip('"')
    return found


def _seconds(value: str) -> float:
    """delta-seconds (RFC 9111 1.2.2); what is none counts as 0, which is the careful reading."""
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 12 else 0.0
