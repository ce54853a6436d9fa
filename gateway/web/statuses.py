"""Owns what an HTTP status that is no success means for the next attempt. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.errors import FETCH_FAILED, GatewayError
from gateway.web.values import Answer, TransientError


def failure(where: str, answer: Answer, now: datetime) -> GatewayError:
    """The error for an answer. 429 and 5xx may pass (TransientError); all else is final."""
    text = f"{where} answered {answer.status}"
    if answer.status == 429 or 500 <= answer.status < 600:
        return TransientError(text, retry_after(answer.headers.get("retry-after", ""), now))
    return GatewayError(FETCH_FAILED, text)


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds until the moment of Retry-After (RFC 9110 10.2.3); None: it says nothing usable."""
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
