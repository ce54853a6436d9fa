"""Owns `POST /v1/tokens`: servers get tokens for the browsers of their users."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field, ValidationError

from gateway.api.bodies import json_body
from gateway.api.identity import Authenticator
from gateway.api.services import IceServers
from gateway.config.identity import Caps, Scope
from gateway.errors import BAD_REQUEST, Blame, GatewayError, Verdict
from gateway.identity.tokens import MAX_SECONDS, NO_SECRET, SECONDS, BrowserTokens
from gateway.identity.values import Identity
from gateway.verbs.step import told

PATH = "/v1/tokens"
NOT_CONFIGURED = Verdict("tokens_not_configured", 500, 501, 41, Blame.GATEWAY, NO_SECRET)


class NewToken(Caps):
    """A token for the browser of a user. Its caps come on top of those of who asks for it."""

    user: str = Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$", description="The name that it is for.")
    seconds: int = Field(default=SECONDS, ge=1, le=MAX_SECONDS, description="How long it is good.")


class TokenEndpoint:
    """The routes. Only who has the scope tokens:mint gets in."""

    def __init__(
        self, tokens: BrowserTokens | None, authenticator: Authenticator, ice_servers: IceServers
    ) -> None:
        self._tokens = tokens
        self._authenticator = authenticator
        self._ice_servers = ice_servers

    def routes(self) -> list[web.RouteDef]:
        """The routes; other methods are 405."""
        return [web.post(PATH, self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """POST of a NewToken: 201 with the token, its end, and ICE servers of the user's own."""
        identity = await self._authenticator.authenticate(request)
        minter = self._authenticator.command(identity, Scope.TOKENS_MINT)
        try:
            wanted = NewToken.model_validate(await json_body(request))
        except ValidationError as error:
            raise GatewayError(BAD_REQUEST, told(error)) from None
        if self._tokens is None:
            raise GatewayError(NOT_CONFIGURED)
        caps = Caps.model_validate(wanted.model_dump(exclude={"user", "seconds"}))
        minted = self._tokens.mint(
            wanted.user, caps, seconds=wanted.seconds, project=minter.project, minter=minter
        )
        servers = self._ice_servers(Identity(user=minted.user, project=minter.project))
        told_back = {
            "token": minted.text,
            "user": minted.user,
            "expires": minted.expires.isoformat(timespec="seconds"),
            "ice_servers": [server.model_dump(exclude_none=True) for server in servers],
        }
        return web.json_response(told_back, status=201, headers={"Cache-Control": "no-store"})
