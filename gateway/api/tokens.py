"""Owns `POST /v1/tokens`: servers get tokens for the browsers of their users."""

from __future__ import annotations

from gateway.api.operations import Asked, Operation
from gateway.api.problems import UNPROCESSABLE
from gateway.api.services import IceServers
from gateway.config.identity import Caps, Scope
from gateway.contract.tokens import NewToken, Token
from gateway.errors import BAD_REQUEST, Blame, GatewayError, Verdict
from gateway.identity.tokens import NO_SECRET, BrowserTokens
from gateway.identity.values import Identity

PATH = "/v1/tokens"
NOT_CONFIGURED = Verdict("tokens_not_configured", 500, 501, 41, Blame.GATEWAY, NO_SECRET)


class TokenEndpoint:
    """The operations."""

    def __init__(self, tokens: BrowserTokens | None, ice_servers: IceServers) -> None:
        self._tokens = tokens
        self._ice_servers = ice_servers

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation(
                "POST", PATH, "createToken", "A token for the browser of a user", "tokens",
                Scope.TOKENS_MINT, self.create, body=NewToken, answer=Token, status=201,
                problems=(NOT_CONFIGURED,),
            )
        ]  # fmt: skip

    async def create(self, asked: Asked) -> Token:
        """Short-lived, bound to the user, to the destinations and caller ids that it says, and to
        the caps of who asks for it."""
        wanted: NewToken = asked.body
        if self._tokens is None:
            raise GatewayError(NOT_CONFIGURED)
        caps = Caps.model_validate(wanted.model_dump(exclude={"user", "seconds"}))
        try:
            minted = self._tokens.mint(
                wanted.user,
                caps,
                seconds=wanted.seconds,
                project=asked.project,
                minter=asked.identity,
            )
        except GatewayError as error:
            if error.verdict.code != BAD_REQUEST.code:
                raise
            raise GatewayError(UNPROCESSABLE, error.verdict.text) from None
        servers = self._ice_servers(Identity(user=minted.user, project=asked.project))
        return Token(
            token=minted.text, user=minted.user, expires=minted.expires, ice_servers=servers
        )
