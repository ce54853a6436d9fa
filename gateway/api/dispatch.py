"""Owns the way of a request to its operation: who asks, how often, and whether it makes sense."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.api.bodies import json_body
from gateway.api.idempotency import Idempotency
from gateway.api.identity import Authenticator
from gateway.api.operations import JSON, Asked, Operation, Reply, as_json
from gateway.api.problems import UNPROCESSABLE, RequestError
from gateway.api.rates import RateLimits
from gateway.api.steps import is_semantic
from gateway.errors import BAD_REQUEST
from gateway.identity.values import Identity
from gateway.verbs.step import told

_MANY = (list, tuple, set, frozenset)


class Dispatcher:
    """Turns operations into routes."""

    def __init__(
        self, authenticator: Authenticator, rates: RateLimits, idempotency: Idempotency
    ) -> None:
        self._authenticator = authenticator
        self._rates = rates
        self._idempotency = idempotency

    def routes(self, operations: Iterable[Operation]) -> list[web.RouteDef]:
        """Their routes; other methods are 405."""
        return [self._route(operation) for operation in operations]

    def _route(self, operation: Operation) -> web.RouteDef:
        handler = self._handler(operation)
        if operation.method == "GET":  # HEAD of a stream would not end
            return web.get(operation.path, handler, allow_head=operation.media == JSON)
        return web.route(operation.method, operation.path, handler)

    def _handler(self, operation: Operation) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            identity = await self._identify(request, operation)
            self._rates.check(identity)
            if operation.body_bytes is not None:
                request = request.clone(client_max_size=operation.body_bytes)
            if not operation.repeatable:
                return await _perform(operation, request, identity)
            return await self._idempotency.once(
                request, identity, lambda: _perform(operation, request, identity)
            )

        return handle

    async def _identify(self, request: web.Request, operation: Operation) -> Identity:
        identity = await self._authenticator.authenticate(request)
        if operation.scope is None:
            return identity
        return self._authenticator.command(identity, operation.scope)


async def _perform(
    operation: Operation, request: web.Request, identity: Identity
) -> web.StreamResponse:
    query = body = None
    found = _query(request, operation.query)
    if operation.query is not None:
        query = _validated(operation.query, found, "query")
    if operation.body is not None:
        left_out = operation.optional_body and not request.can_read_body
        body = _validated(operation.body, {} if left_out else await json_body(request), "body")
    answer = await operation.handler(Asked(request, identity, query, body))
    if isinstance(answer, web.StreamResponse):
        return answer
    if isinstance(answer, Reply):
        return _response(answer.answer, answer.status, answer.headers)
    return _response(answer, operation.status, {})


def _response(
    answer: BaseModel | bytes | None, status: int, more: Mapping[str, str]
) -> web.Response:
    headers = {"Cache-Control": "no-store", **more}
    if answer is None:
        return web.Response(status=status if status != 200 else 204, headers=headers)
    return web.Response(
        body=answer if isinstance(answer, bytes) else as_json(answer),
        status=status,
        content_type=JSON,
        charset="utf-8",
        headers=headers,
    )


def _query(request: web.Request, model: type[BaseModel] | None) -> dict[str, Any]:
    """The query as a model reads it: a list where it wants one, else one value."""
    fields = {} if model is None else model.model_fields
    if model is None and request.query:
        raise RequestError(BAD_REQUEST.because("This route has no query parameters"))
    found: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        many = name in fields and _takes_many(fields[name].annotation)
        found[name] = values if many or len(values) > 1 else values[0]
    return found


def _takes_many(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _takes_many(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(map(_takes_many, get_args(annotation)))
    return origin in _MANY


def _validated(model: type[BaseModel], value: Any, where: str) -> BaseModel:
    try:
        # Queries are text, which lax mode reads as numbers; JSON has types of its own.
        return model.model_validate(value)
    except ValidationError as error:
        verdict = UNPROCESSABLE if is_semantic(error) else BAD_REQUEST
        raise RequestError(
            verdict.because(told(error)), more={"errors": _errors(error, where)}
        ) from None


def _errors(error: ValidationError, where: str) -> Sequence[dict[str, Any]]:
    """Everything that is wrong, and where. Values are not quoted: they may be digits."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        {
            "in": where,
            "path": [str(part) for part in each["loc"]],
            "message": each["msg"].removeprefix("Value error, "),
        }
        for each in found
    ]
