"""The WHIP-shaped endpoint (RFC 9725): one HTTP request makes a call, another ends it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, assert_never

import structlog
from aiohttp import web

from gateway.api import sdpfrag
from gateway.api.directory import Farewell
from gateway.api.idempotency import Idempotency
from gateway.api.ports import (
    BrowserLeg,
    CallService,
    CallState,
    CallUpdate,
    DigitHeard,
    StateChanged,
    Unsubscribe,
)
from gateway.api.problems import bad_media_type
from gateway.api.rates import RateLimits
from gateway.api.services import IceServers, Services
from gateway.api.session import NO_SUCH_CALL, digit_message
from gateway.api.watch import IDENTITY_WATCH
from gateway.contract.tokens import IceServerInfo
from gateway.errors import (
    BAD_REQUEST,
    BAD_SDP,
    SHUTTING_DOWN,
    Blame,
    GatewayError,
    Verdict,
)
from gateway.identity.values import Identity
from gateway.ids import CallId

log = structlog.get_logger(__name__)

SDP = "application/sdp"
PATH = "/v1/webrtc/calls"
_MAX_DESTINATION = 256

IF_MATCH_MISSING = Verdict(
    "precondition_required", 400, 428, 95, Blame.CALLER, "PATCH needs If-Match with the ETag"
)
IF_MATCH_FAILED = Verdict(
    "precondition_failed", 412, 412, 95, Blame.CALLER, "If-Match is not this session's ETag"
)
NO_ICE_RESTART = Verdict(
    "ice_restart_unsupported", 422, 422, 95, Blame.CALLER, "ICE restart is not supported"
)


@dataclass
class _WhipCall:
    """A `watch.Connected`, as long as it lives."""

    id: CallId
    leg: BrowserLeg
    identity: Identity  # who made it; the same user may change it
    calls: CallService
    etag: str  # of the ICE session (RFC 9725 4.3.1)
    ufrag: str  # the client's
    candidates: int = 0
    unsubscribe: Unsubscribe | None = None
    unfollow: Callable[[], None] | None = None
    busy: ClassVar[bool] = True

    def leave(self, farewell: Farewell) -> None:
        self.calls.hangup(self.id, farewell.verdict)


class WhipEndpoint:
    """Calls made by HTTP, until they end."""

    def __init__(
        self,
        services: Services,
        ice_servers: IceServers,
        rates: RateLimits,
        idempotency: Idempotency,
    ) -> None:
        self._services = services
        self._rates = rates
        self._idempotency = idempotency
        self._ice_servers = ice_servers
        self._calls: dict[str, _WhipCall] = {}
        self._closing = False

    def routes(self) -> list[web.RouteDef]:
        """The endpoint and its sessions; other methods are 405."""
        return [
            web.post(PATH, self.create),
            web.options(PATH, self.endpoint_options),
            web.patch(PATH + "/{call}", self.trickle),
            web.delete(PATH + "/{call}", self.end),
            web.options(PATH + "/{call}", self.session_options),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST ?to=DESTINATION with an SDP offer: 201, the answer, and the call's Location."""
        identity = await self._identify(request)
        return await self._idempotency.once(
            request, identity, lambda: self._create(request, identity)
        )

    async def _create(self, request: web.Request, identity: Identity) -> web.Response:
        to = _destination(request)
        offer = await _body(request, SDP, BAD_SDP)
        if self._closing:
            raise GatewayError(SHUTTING_DOWN)
        with self._services.calls.admit(identity, to) as admission:
            leg, answer = await self._services.webrtc.answer_offer(offer)
            call_id = await self._services.calls.place(leg, admission)
        tag = f'"{secrets.token_urlsafe(9)}"'
        call = _WhipCall(
            call_id, leg, identity, self._services.calls, tag, sdpfrag.ice_ufrag(offer)
        )
        self._calls[call_id] = call
        call.unfollow = request.app[IDENTITY_WATCH].follow(call)
        call.unsubscribe = self._services.calls.subscribe(
            call_id, lambda update: self._tell(call, update)
        )
        response = web.Response(status=201, text=answer, content_type=SDP)
        response.headers["Location"] = f"{PATH}/{call_id}"
        response.headers["ETag"] = call.etag
        response.headers["Accept-Patch"] = sdpfrag.CONTENT_TYPE  # RFC 5789 3.1
        for server in self._ice_servers(identity):
            for url in server.urls:
                response.headers.add("Link", _link(url, server))
        return response

    async def trickle(self, request: web.Request) -> web.Response:
        """PATCH with candidates: 204. An ICE restart is 422 (RFC 9725 4.3.1)."""
        call = await self._call(request)
        match = request.headers.get("If-Match")
        if match is None:
            raise GatewayError(IF_MATCH_MISSING)
        fragment = sdpfrag.parse_fragment(await _body(request, sdpfrag.CONTENT_TYPE, BAD_REQUEST))
        if match.strip() == "*" or (fragment.ufrag and fragment.ufrag != call.ufrag):
            raise GatewayError(NO_ICE_RESTART)
        if call.etag not in (tag.strip() for tag in match.split(",")):
            raise GatewayError(IF_MATCH_FAILED)
        call.candidates += len(fragment.candidates)
        if call.candidates > self._services.limits.candidates_per_call:
            raise GatewayError(BAD_REQUEST, "Too many candidates")
        for item in fragment.candidates:
            call.leg.add_candidate(item.candidate, item.mid)
        if fragment.end:
            call.leg.add_candidate(None, None)
        return web.Response(status=204)

    async def end(self, request: web.Request) -> web.Response:
        """DELETE: the call is hung up (RFC 9725 4.2)."""
        call = await self._call(request)
        self._services.calls.hangup(call.id, by=call.leg.id)
        return web.Response(status=200)

    async def endpoint_options(self, request: web.Request) -> web.Response:
        """What may be posted (RFC 9725 4.2); cross-origin headers are not given."""
        return web.Response(status=204, headers={"Allow": "POST, OPTIONS", "Accept-Post": SDP})

    async def session_options(self, request: web.Request) -> web.Response:
        """What a session takes."""
        headers = {"Allow": "PATCH, DELETE, OPTIONS", "Accept-Patch": sdpfrag.CONTENT_TYPE}
        return web.Response(status=204, headers=headers)

    def close(self) -> None:
        """Ends every call that was made here."""
        self._closing = True
        for call in tuple(self._calls.values()):
            self._services.calls.hangup(call.id, SHUTTING_DOWN)

    async def _identify(self, request: web.Request) -> Identity:
        identity = await self._services.authenticator.authenticate(request)
        self._rates.check(identity)
        return self._services.authenticator.caller(identity)

    async def _call(self, request: web.Request) -> _WhipCall:
        identity = await self._identify(request)
        call = self._calls.get(request.match_info["call"])
        if call is None or _client(call.identity) != _client(identity):
            raise GatewayError(NO_SUCH_CALL)
        return call

    def _tell(self, call: _WhipCall, update: CallUpdate) -> None:
        match update:
            case StateChanged():
                if update.state is CallState.ENDED:
                    self._calls.pop(call.id, None)
                    if call.unfollow is not None:
                        call.unfollow()
            case DigitHeard():
                if update.leg != call.leg.id:
                    call.leg.send_message(digit_message(call.id, update).text())
            case _:
                assert_never(update)


def _client(identity: Identity) -> tuple[str, str, str]:
    return (identity.project, identity.account, identity.user)


def _destination(request: web.Request) -> str:
    to = request.query.get("to", "")
    if not to or len(to) > _MAX_DESTINATION or not to.isprintable():
        raise GatewayError(BAD_REQUEST, "Give the destination as ?to=")
    return to


async def _body(request: web.Request, content_type: str, malformed: Verdict) -> str:
    if request.content_type != content_type:
        raise bad_media_type(content_type)
    try:
        text = (await request.read()).decode()
    except UnicodeDecodeError as error:
        raise GatewayError(malformed, "The body is not UTF-8") from error
    if not text.strip():
        raise GatewayError(malformed, "The body is empty")
    return text


def _link(url: str, server: IceServerInfo) -> str:
    # RFC 9725 4.6
    link = f'<{url}>; rel="ice-server"'
    if server.username is not None and server.credential is not None:
        link += f'; username="{server.username}"; credential="{server.credential}"'
        link += '; credential-type="password"'
    return link
