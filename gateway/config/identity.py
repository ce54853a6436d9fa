"""Owns what a configuration says about identities: issuers of tokens, caps, TURN credentials."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

MIN_SECRET = 32
"""Bytes of a secret that signs tokens (RFC 7518 3.2: as long as the hash)."""
OWN_ISSUER = "gateway"
"""`iss` of the tokens that nodes sign themselves."""
MAX_PATTERNS = 64
TOKEN_SECONDS = 3_600
MAX_TOKEN_SECONDS = 86_400
"""How long a browser token is good: usually, and at most."""

NAME = r"^[A-Za-z0-9_-]{1,64}$"
Name = Annotated[str, Field(pattern=NAME)]
"""Of keys, issuers and projects."""
PatternText = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
Patterns = Annotated[tuple[PatternText, ...], Field(max_length=MAX_PATTERNS)]
Countries = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...], Field(max_length=300)
]


class Scope(enum.StrEnum):
    """What a key or a token of another issuer may do."""

    CALLS_READ = "calls:read"  # live ones, and the records of calls
    CALLS_WRITE = "calls:write"  # start and command calls
    CALLS_CAPTURE = "calls:capture"  # packets of calls, with what is said in them
    RECORDS_DELETE = "records:delete"
    RECORDINGS_READ = "recordings:read"
    RECORDINGS_DELETE = "recordings:delete"
    TRUNKS_READ = "trunks:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"  # sign them out
    DIALPLAN_READ = "dialplan:read"  # the whole node's
    DIALPLAN_WRITE = "dialplan:write"
    EVENTS_READ = "events:read"  # of every call of the project, digits and numbers included
    WEBHOOKS_WRITE = "webhooks:write"
    NODE_READ = "node:read"
    TOKENS_MINT = "tokens:mint"  # for any user of the project
    METRICS_READ = "metrics:read"  # of the whole node
    ADMIN = "admin"  # all of these


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Caps(_Model):
    """How much an identity may call, and where. What is absent is not limited here."""

    destinations: Patterns | None = Field(
        default=None,
        description="dialplan patterns of what may be dialled; for keys also of trunks' numbers",
    )
    caller_ids: Patterns | None = Field(
        default=None, description="patterns of what may be shown; the first exact one is usual"
    )
    countries: Countries | None = Field(
        default=None, description="ISO 3166-1: where trunks may be asked to call"
    )
    max_calls: int | None = Field(default=None, ge=0, le=1000, description="at once")
    calls_per_second: float | None = Field(default=None, gt=0, le=1000)
    minutes_per_day: float | None = Field(default=None, ge=0, description="of all calls; UTC day")


def _long_enough(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and len(secret.get_secret_value().encode()) < MIN_SECRET:
        raise ValueError(
            f"a secret shorter than {MIN_SECRET} bytes: write ${{ENV:NAME}} and put what "
            "`openssl rand -base64 48` prints into that variable"
        )
    return secret


class Issuer(_Model):
    """Who else signs tokens (JWT, RFC 7519), and how much they are believed."""

    name: Name = Field(description="calls of its tokens enter the context of the key of this name")
    issuer: str = Field(min_length=1, max_length=256, description="`iss`")
    audience: str = Field(min_length=1, max_length=256, description="`aud`")
    algorithm: Literal["HS256", "RS256", "ES256"] = Field(description="the only one accepted")
    secret: SecretStr | None = Field(default=None, description="of HS256")
    keys: str | None = Field(
        default=None, description="file with public keys, PEM or JWKS; relative to this file"
    )
    jwks: str | None = Field(
        default=None, pattern=r"^https://", description="URL of public keys (RFC 7517 5)"
    )
    project: Name = "default"
    scopes: tuple[Scope, ...] = Field(
        default=(), description="most that its tokens get of what their `scope` says"
    )
    user_claim: str = Field(default="sub", min_length=1, max_length=64)
    leeway: int = Field(default=30, ge=0, le=300, description="seconds, of exp and nbf")
    caps: Caps = Field(default=Caps(), description="of each user, besides the token's own")

    _secret = field_validator("secret")(_long_enough)

    @model_validator(mode="after")
    def _has_one_key(self) -> Issuer:
        wanted = ("secret",) if self.algorithm == "HS256" else ("keys", "jwks")
        given = [name for name in ("secret", "keys", "jwks") if getattr(self, name) is not None]
        if len(given) != 1 or given[0] not in wanted:
            raise ValueError(
                f"{self.algorithm} needs one source of keys: write {' or '.join(wanted)}, and no "
                "other"
            )
        if self.issuer == OWN_ISSUER:
            raise ValueError(f"{OWN_ISSUER!r} is the gateway's own issuer: use another")
        return self


class IdentityConfig(_Model):
    """Who may use the gateway, besides API keys (`gateway keys`)."""

    secret: SecretStr | None = Field(
        default=None, description="signs browser tokens; the same on all nodes"
    )
    issuers: list[Issuer] = []

    _secret = field_validator("secret")(_long_enough)

    @model_validator(mode="after")
    def _issuers_differ(self) -> IdentityConfig:
        for what in ("name", "issuer"):
            values = [getattr(issuer, what) for issuer in self.issuers]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"two issuers have the {what} {value!r}: change one")
        return self


class TurnConfig(_Model):
    """A TURN server that shares a secret with us (draft-uberti-behave-turn-rest-00)."""

    urls: list[Annotated[str, Field(pattern=r"^turns?:")]] = Field(min_length=1)
    secret: SecretStr = Field(description="coturn: static-auth-secret")
    ttl: int = Field(default=43_200, ge=60, le=86_400, description="seconds that they are good")
