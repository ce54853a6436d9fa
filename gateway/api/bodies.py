"""Owns reading the bodies of requests."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gateway.api.problems import bad_media_type
from gateway.errors import BAD_REQUEST, GatewayError


async def json_body(request: web.Request) -> Any:
    """The body as JSON. Raises GatewayError: BAD_REQUEST, or 415 for another media type."""
    if request.content_type != "application/json":
        raise bad_media_type("application/json")
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError):
        raise GatewayError(BAD_REQUEST, "The body is no JSON") from None
