"""What the API stands on: the concrete services that `gateway.app` gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.api.directory import Directory
from gateway.api.identity import Authenticator
from gateway.api.limits import Limits
from gateway.api.metrics import RequestMeter
from gateway.api.operations import Operation
from gateway.api.ports import CallService, WebRtcService
from gateway.clock import Clock, SystemClock
from gateway.config.model import NodeConfig
from gateway.contract.tokens import IceServerInfo
from gateway.identity.turn import turn_credentials
from gateway.identity.values import Identity
from gateway.storage.idempotency import IdempotencyKeys

Pages = Callable[[Callable[[], Mapping[str, Any]]], Iterable[web.AbstractRouteDef]]
"""The routes of web pages, for the OpenAPI document that one of them shows."""


def _always_ready() -> str | None:
    return None


def _no_pages(_: Callable[[], Mapping[str, Any]]) -> Iterable[web.AbstractRouteDef]:
    return ()


@dataclass(frozen=True)
class Services:
    """Everything that a request may need."""

    calls: CallService
    webrtc: WebRtcService
    directory: Directory
    authenticator: Authenticator
    idempotency: IdempotencyKeys
    pages: Pages = _no_pages  # of gateway.console
    operations: Sequence[Operation] = ()
    origins: Sequence[str] = ()  # besides our own, as `https://app.example`
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)
    meter: RequestMeter | None = None  # None: requests are not measured
    closing: Sequence[Callable[[], None]] = ()  # ends what would go on for ever, at shutdown
    not_ready: Callable[[], str | None] = _always_ready  # why not, in words; None: ready


IceServers = Callable[[Identity], list[IceServerInfo]]
"""The ICE servers that a client is told to use."""


def ice_servers(config: NodeConfig, clock: Clock) -> IceServers:
    """Those of the configuration, and TURN with credentials of the client's own."""
    fixed = _fixed_servers(config)
    turn = config.turn
    if turn is None:
        return lambda _: list(fixed)

    def servers(identity: Identity) -> list[IceServerInfo]:
        found = turn_credentials(turn, identity.address, clock.now().wall)
        own = IceServerInfo(
            urls=list(found.urls), username=found.username, credential=found.credential
        )
        return [*fixed, own]

    return servers


def _fixed_servers(config: NodeConfig) -> list[IceServerInfo]:
    return [
        IceServerInfo(
            urls=server.urls,
            username=server.username,
            credential=server.credential.get_secret_value() if server.credential else None,
        )
        for server in config.webrtc.ice_servers
    ]
