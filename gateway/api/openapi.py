"""Owns the OpenAPI 3.1 document of the API, made of its operations and of their models."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from openapi_pydantic import (
    Components,
    Header,
    Info,
    MediaType,
    OpenAPI,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
    Tag,
)
from openapi_pydantic import Operation as Described
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.api import idempotency, request_ids
from gateway.api.operations import JSON, Operation
from gateway.api.problems import CONTENT_TYPE
from gateway.contract.problems import Problem

TITLE = "Gateway control API"
ABOUT = (
    "Calls, users, trunks, the dialplan, recordings and records of a gateway that puts phone calls "
    "into browsers and programs. Every failure is a problem (RFC 9457) with a `code`."
)
_KEY = "key"
_IDEMPOTENCY_KEY = (
    "A POST that is sent again with the same key within 24 hours is performed once, and answered "
    "with what it was answered first."
)


def document(operations: Sequence[Operation], tags: Iterable[Tag] = ()) -> dict[str, Any]:
    """The document, ready for JSON."""
    paths: dict[str, PathItem] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, PathItem())
        setattr(item, operation.method.lower(), _described(operation))
    api = OpenAPI(
        openapi="3.1.1",
        info=Info(title=TITLE, version=__version__, description=ABOUT),
        tags=list(tags),
        paths=paths,
        components=Components(
            securitySchemes={
                _KEY: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An API key (`gateway keys create`), or a token of a trusted "
                    "issuer. What an operation needs is the scope in its security requirement.",
                )
            },
            responses={
                "Problem": Response(
                    description="It was refused, or failed.",
                    content={
                        CONTENT_TYPE: MediaType(
                            media_type_schema=PydanticSchema(schema_class=Problem)
                        )
                    },
                    headers=_headers(),
                )
            },
        ),
    )
    whole = construct_open_api_with_schema_class(api)
    found: dict[str, Any] = json.loads(
        whole.model_dump_json(by_alias=True, exclude_none=True, exclude_unset=True)
    )
    _lift(found["components"]["schemas"])
    _name_keys(found)
    return found


def _name_keys(node: Any) -> None:
    """Says of objects with free keys that no others are taken: `patternProperties` alone would
    leave those open."""
    if isinstance(node, dict):
        if len(node.get("patternProperties", ())) == 1:
            ((pattern, values),) = node.pop("patternProperties").items()
            node |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            _name_keys(each)


def _lift(schemas: dict[str, Any]) -> None:
    """Gives each object that is one of several forms a name of its own, for generated clients."""
    for owner, schema in list(schemas.items()):
        for kind in ("anyOf", "oneOf"):
            for place, form in enumerate(schema.get(kind, ())):
                if form.get("type") != "object":
                    continue
                name = form["title"] if form["title"] != owner else f"{owner}Parameters"
                if name in schemas:
                    raise ValueError(f"two schemas are called {name}")
                schemas[name] = form
                schema[kind][place] = {"$ref": f"#/components/schemas/{name}"}


def _described(operation: Operation) -> Described:
    about = inspect.getdoc(operation.handler) or ""
    return Described(
        operationId=operation.id,
        summary=operation.summary,
        description=about,
        tags=[operation.tag],
        parameters=list(_parameters(operation)) or None,
        requestBody=_body(operation),
        responses=_responses(operation),
        security=[{_KEY: [] if operation.scope is None else [operation.scope.value]}],
    )


def _parameters(operation: Operation) -> Iterator[Parameter]:
    for name in operation.path_parameters:
        yield _parameter(name, "path", {"type": "string"}, required=True)
    if operation.query is not None:
        _, made = models_json_schema([(operation.query, "validation")])
        model = made["$defs"][operation.query.__name__]
        for name, schema in model["properties"].items():
            told = {key: value for key, value in schema.items() if key != "title"}
            required = name in model.get("required", ())
            yield _parameter(name, "query", _inlined(told, made["$defs"]), required=required)
    if operation.repeatable:
        schema = {"type": "string", "pattern": "^[!#-~]{1,255}$", "description": _IDEMPOTENCY_KEY}
        yield _parameter(idempotency.HEADER, "header", schema, required=False)


def _parameter(name: str, where: str, schema: dict[str, Any], *, required: bool) -> Parameter:
    about = schema.pop("description", None)
    forms = [form for form in schema.get("anyOf", ()) if form != {"type": "null"}]
    if len(forms) == 1:  # there is no null in a query: what is absent is none
        schema = forms[0]
    return Parameter.model_validate(
        {
            "name": name,
            "in": where,
            "required": required,
            "schema": schema,
            **({"description": about} if about else {}),
        }
    )


def _inlined(schema: Any, known: dict[str, Any]) -> Any:
    """A schema without references: those of parameters have no place of their own."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(known[schema["$ref"].rpartition("/")[2]], known)
        return {
            name: _inlined(value, known)
            for name, value in schema.items()
            if name != "default" or value is not None
        }
    if isinstance(schema, list):
        return [_inlined(each, known) for each in schema]
    return schema


def _body(operation: Operation) -> RequestBody | None:
    if operation.body is None:
        return None
    schema: Schema = PydanticSchema(schema_class=operation.body)
    return RequestBody(
        required=not operation.optional_body,
        content={JSON: MediaType(media_type_schema=schema)},
    )


def _responses(operation: Operation) -> dict[str, Response | Reference]:
    found: dict[str, Response | Reference] = {}
    answers = {operation.status: operation.answer, **operation.also}
    for status, model in answers.items():
        content = None
        if model is not None:
            content = {
                operation.media: MediaType(media_type_schema=PydanticSchema(schema_class=model))
            }
        elif operation.media != JSON:
            content = {operation.media: MediaType(media_type_schema=Schema(type="string"))}
            if not operation.media.startswith("text/"):
                content = {operation.media: MediaType()}
        empty = operation.status == 200 and content is None
        found["204" if empty else str(status)] = Response(
            description=_said(model), content=content, headers=_headers()
        )
    problem = {"$ref": "#/components/responses/Problem"}
    for verdict in operation.problems:
        told = {**problem, "description": verdict.text}
        found[str(verdict.http_status)] = Reference.model_validate(told)
    found["default"] = Reference.model_validate(problem)
    return found


def _said(model: type[BaseModel] | None) -> str:
    return "Done." if model is None else (inspect.getdoc(model) or model.__name__).split("\n")[0]


def _headers() -> dict[str, Header | Reference]:
    return {
        request_ids.HEADER: Header(
            description="Names the request: give it with a report, look for it in the log.",
            param_schema=Schema(type="string"),
        )
    }
