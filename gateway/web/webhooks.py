"""Owns what goes to a customer's web service, signed: questions, with checked JSON back, and
notices."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from standardwebhooks import Webhook
from yarl import URL

from gateway.clock import Clock, SystemClock
from gateway.config.model import WebConfig
from gateway.errors import FETCH_FAILED, GatewayError
from gateway.web.retrying import Patience, persistently
from gateway.web.statuses import failure
from gateway.web.urls import parse_url, shown
from gateway.web.values import Exchanges, TransientError

MAX_REPLY = 256 * 1024
MAX_DEPTH = 32

_SURROGATE = re.compile("[\ud800-\udfff]")


class WebhookClient:
    """POST of JSON, signed as Standard Webhooks has it (https://www.standardwebhooks.com)."""

    def __init__(self, client: Exchanges, config: WebConfig, clock: Clock | None = None) -> None:
        self._client = client
        self._config = config
        self._clock = clock or SystemClock()
        secret = config.secret
        self._signer = None if secret is None else Webhook(secret.get_secret_value())

    async def ask(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        seconds: float | None = None,
        attempts: int | None = None,
    ) -> Any:
        """What the service at `url` replies to `payload`; None: nothing, with a status 2xx.

        seconds: of one attempt; attempts: how many at most. None: as configured.

        An attempt that failed on the way, or with 429 or 5xx, is repeated with the same webhook-id,
        by which the service can tell that it has seen it. Redirects are not followed. Raises
        GatewayError: BAD_REQUEST (no such URL), FORBIDDEN (a private address), FETCH_FAILED.
        """
        target = parse_url(url)
        body = json.dumps(payload, allow_nan=False, separators=(",", ":"))
        patience = Patience(attempts or self._config.attempts, seconds or self._config.timeout)
        message = f"msg_{secrets.token_hex(16)}"

        async def attempt() -> Any:
            return await self._once(target, message, body, patience.seconds)

        return await persistently(attempt, patience, shown(target))

    async def _once(self, url: URL, message: str, body: str, seconds: float) -> Any:
        answer = await self._client.exchange(
            "POST",
            url,
            headers={"Content-Type": "application/json", **self._signature(message, body)},
            body=body.encode(),
            max_bytes=MAX_REPLY,
            seconds=seconds,
        )
        if 300 <= answer.status < 400:
            raise GatewayError(FETCH_FAILED, f"{shown(url)} redirects a POST")
        if not 200 <= answer.status < 300:
            raise failure(shown(url), answer, self._clock.now().wall)
        return read_json(answer.body, shown(url))

    def _signature(self, message: str, body: str) -> dict[str, str]:
        return _signed(self._signer, self._clock, message, body)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a notice. status: of the answer; None: there was none. error: why it is to be
    sent again; None: the receiver has it. retry_after: seconds that the receiver asks for."""

    status: int | None
    error: str | None = None
    retry_after: float | None = None


class NoticeSender:
    """Notices: JSON that nobody need reply to, one attempt at a time."""

    def __init__(self, client: Exchanges, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, url: str, secret: str, message: str, body: str, seconds: float) -> Sent:
        """Posts `body`, signed with `secret`, with the webhook-id `message`. Never raises a
        GatewayError; what a receiver says beside its status is read and forgotten."""
        try:
            target = parse_url(url)
            answer = await self._client.exchange(
                "POST",
                target,
                headers={
                    "Content-Type": "application/json",
                    **_signed(Webhook(secret), self._clock, message, body),
                },
                body=body.encode(),
                max_bytes=MAX_REPLY,
                seconds=seconds,
            )
        except GatewayError as error:
            return Sent(None, error.verdict.text)
        if 200 <= answer.status < 300:
            return Sent(answer.status)
        reason = failure(shown(target), answer, self._clock.now().wall)
        asked = reason.retry_after if isinstance(reason, TransientError) else None
        return Sent(answer.status, reason.verdict.text, asked)


def new_secret() -> str:
    """A secret as Standard Webhooks has them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _signed(signer: Webhook | None, clock: Clock, message: str, body: str) -> dict[str, str]:
    """The headers of a message; signer None: without a signature."""
    now = clock.now().wall
    headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp()))}
    if signer is not None:
        headers["webhook-signature"] = signer.sign(message, now, body)
    return headers


def read_json(body: bytes, where: str) -> Any:
    """JSON that is safe to walk through: UTF-8, at most MAX_DEPTH deep, no NaN, no half characters.

    None for nothing at all. Raises GatewayError(FETCH_FAILED).
    """
    if not body.strip():
        return None
    try:
        value = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise GatewayError(FETCH_FAILED, f"{where} replied something else than JSON") from None
    containers: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        items = [item for container in containers for item in _items(container)]
        if any(isinstance(item, str) and _SURROGATE.search(item) for item in items):
            raise GatewayError(FETCH_FAILED, f"{where} replied with half a character")
        containers = [item for item in items if isinstance(item, dict | list)]
        if not containers:
            return value
    raise GatewayError(FETCH_FAILED, f"{where} replied JSON more than {MAX_DEPTH} levels deep")


def _items(container: dict[str, Any] | list[Any]) -> list[Any]:
    """What is inside, keys too."""
    return [*container, *container.values()] if isinstance(container, dict) else container


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
