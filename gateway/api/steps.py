"""Owns the body that asks for a verb, `{verb: parameters}`, and its schema."""

from __future__ import annotations

from typing import Any

from pydantic import GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.errors import BAD_REQUEST, GatewayError
from gateway.verbs import (
    MODELS,
    AnyVerb,
    Gather,
    Hold,
    Mute,
    Play,
    Say,
    SendDtmf,
    Set,
    Side,
    Sides,
    Unhold,
    Unmute,
    Verb,
    verb_from,
)

_ABOUT_LEGS = (Play, Say, Gather, SendDtmf, Hold, Unhold, Mute, Unmute)


class Step(RootModel[dict[str, Any]]):
    """One verb with its parameters, as in a dialplan: `{say: {text: Hello}}`."""

    @property
    def verb(self) -> AnyVerb:
        """What is asked for. Raises GatewayError(BAD_REQUEST)."""
        return verb_from(self.root)

    def verb_on(self, side: Side) -> AnyVerb:
        """The same, for one side of the call. Raises GatewayError(BAD_REQUEST), also for a verb
        that is about the whole call."""
        verb = self.verb
        if not isinstance(verb, _ABOUT_LEGS):
            raise GatewayError(BAD_REQUEST, f"{verb.verb} is about the whole call, not about a leg")
        sides = Sides if isinstance(verb, Play | Say) else Side
        return verb.model_copy(update={"leg": sides(side)})

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        told = handler.resolve_ref_schema(handler(core))
        told.pop("additionalProperties", None)
        told["oneOf"] = [
            {
                "type": "object",
                "title": f"{model.__name__}Step",
                "properties": {name: _parameters(model, handler)},
                "required": [name],
                "additionalProperties": False,
            }
            for name, model in MODELS.items()
        ]
        return told


def _parameters(model: type[Verb], handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    if model is Set:  # written without its field
        written: JsonSchemaValue = Set.model_json_schema()["properties"]["variables"]
        return written
    return handler(model.__pydantic_core_schema__)
