"""Owns what an operation of the API is: one route, who may use it, what it takes and gives.

Routes, the OpenAPI document and the checks of requests all come from it, so that they cannot drift
apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from gateway.config.identity import Scope
from gateway.errors import Verdict
from gateway.identity.values import Identity

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for an operation: who asks, and what was asked, validated.

    `query` and `body` are of the operation's models; None where it has none. `path`: its
    parameters.
    """

    request: web.Request
    identity: Identity
    query: Any = None
    body: Any = None

    @property
    def path(self) -> Mapping[str, str]:
        """The parameters in the path."""
        return self.request.match_info

    @property
    def project(self) -> str:
        """Whose resources there are."""
        return self.identity.project


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that has more to it than its model."""

    answer: BaseModel | None
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(answer: BaseModel) -> bytes:
    """An answer as it is sent."""
    return answer.model_dump_json(by_alias=True).encode()


Handler = Callable[[Asked], Awaitable[BaseModel | bytes | Reply | web.StreamResponse | None]]
"""None is 204. bytes are the JSON of an answer. A StreamResponse is sent as it is."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route.

    scope: None for anybody who is known. media: of an answer that is no JSON. also: what it answers
    besides, by status. problems: what can be wrong with it in particular. body_bytes: the most of
    its body; None: what the application takes. Its handler's docstring describes it.
    """

    method: str
    path: str
    id: str
    summary: str
    tag: str
    scope: Scope | None
    handler: Handler = field(repr=False)
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = HTTPStatus.OK
    media: str = JSON
    also: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    problems: tuple[Verdict, ...] = ()
    optional_body: bool = False
    body_bytes: int | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        return self.method == "POST"

    @property
    def path_parameters(self) -> list[str]:
        """The names in the path, in order."""
        parts = self.path.split("/")
        return [part[1:-1] for part in parts if part.startswith("{") and part.endswith("}")]
