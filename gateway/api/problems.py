"""Failures of HTTP requests as RFC 9457 problem+json, for every route and every error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api.limits import TOO_LARGE
from gateway.api.request_ids import request_id
from gateway.errors import INTERNAL, Blame, GatewayError, Verdict

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
_OWN_PHRASES = {488: "Not Acceptable Here"}  # RFC 3261 21.4.26: not an HTTP status
_KEPT_HEADERS = ("Allow", "Accept", "Accept-Post", "Accept-Patch")


UNPROCESSABLE = Verdict("unprocessable", 422, 422, 95, Blame.CALLER, "This cannot be")
"""What the schema of an operation allows, and yet means nothing (RFC 9110 15.5.21)."""


class RequestError(GatewayError):
    """A failure whose response has `headers`, or `more` members, of its own."""

    def __init__(
        self,
        verdict: Verdict,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.headers = dict(headers or {})
        self.more = dict(more or {})
        super().__init__(verdict)


def bad_media_type(wanted: str) -> GatewayError:
    """The error for a body that is not `wanted` (RFC 9110 15.5.16)."""
    verdict = Verdict(
        "unsupported_media_type", 415, 415, 95, Blame.CALLER, f"The body must be {wanted}"
    )
    return GatewayError(verdict)


def problem(
    verdict: Verdict,
    headers: dict[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> web.Response:
    """The response that tells `verdict` (RFC 9457 3.1; `code` and `more` are extension members)."""
    status = verdict.http_status
    title = _phrase(status)
    body = {
        "type": f"urn:gateway:problem:{verdict.code}",
        "title": title,
        "status": status,
        "detail": verdict.text,
        "code": verdict.code,
        "instance": f"urn:gateway:request:{request_id()}",
        **(more or {}),
    }
    response = web.Response(
        status=status, reason=title, text=json.dumps(body), content_type=CONTENT_TYPE
    )
    response.headers.update(headers or {})
    response.headers["Cache-Control"] = "no-store"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 15.5.2
    return response


def problem_of(error: GatewayError) -> web.Response:
    """The response that tells `error`."""
    if isinstance(error, RequestError):
        return problem(error.verdict, error.headers, error.more)
    return problem(error.verdict)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return _OWN_PHRASES.get(status, "Error")


def _of_http(error: web.HTTPException) -> Verdict:
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TOO_LARGE
    phrase = _phrase(error.status)
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return Verdict(code, error.status, error.status, 95, Blame.CALLER, phrase)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into a problem; the details of our own bugs go to the log only."""
    try:
        return await handler(request)
    except GatewayError as error:
        return problem_of(error)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        kept = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
        return problem(_of_http(error), kept)
    except Exception:  # task boundary: one request fails, the server goes on
        log.exception("api.request_failed", method=request.method, route=route_of(request))
        return problem(INTERNAL)


def route_of(request: web.Request) -> str:
    """The pattern that a request met, not its path: paths hold destinations and call ids. Empty:
    there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
