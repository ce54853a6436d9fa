"""Owns the models of tokens for browsers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from gateway.config.identity import MAX_TOKEN_SECONDS, TOKEN_SECONDS, Caps
from gateway.contract.base import Answer, shown


class IceServerInfo(BaseModel):
    """One entry of RTCConfiguration.iceServers."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class NewToken(Caps):
    """A token for the browser of a user. Its caps come on top of those of who asks for it."""

    model_config = shown({"user": "alice"})

    user: str = Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$", description="The name that it is for.")
    seconds: int = Field(
        default=TOKEN_SECONDS, ge=1, le=MAX_TOKEN_SECONDS, description="How long it is good."
    )


class Token(Answer):
    """A token for a browser."""

    token: str
    user: str
    expires: datetime
    ice_servers: list[IceServerInfo] = Field(description="STUN and TURN servers of the user's own.")
