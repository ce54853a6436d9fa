"""Owns the body that asks for a verb, `{verb: parameters}`, and its schema."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    ValidationError,
    create_model,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.api.problems import UNPROCESSABLE
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
        """What is asked for. Raises GatewayError: BAD_REQUEST; UNPROCESSABLE for parameters that do
        not go together."""
        try:
            return verb_from(self.root)
        except GatewayError as refused:
            if _cannot_be(self.root):
                raise GatewayError(UNPROCESSABLE, refused.verdict.text) from None
            raise

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
        told["examples"] = [{"say": {"text": "Hello."}}]
        told["oneOf"] = [handler(written.__pydantic_core_schema__) for written in _BY_NAME.values()]
        return told


def is_semantic(error: ValidationError) -> bool:
    """Whether all that is wrong is what no schema says: a rule of ours, about parts that are well
    each."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return all(each["type"] == "value_error" for each in found)


def _cannot_be(step: dict[str, Any]) -> bool:
    if len(step) != 1 or (name := next(iter(step))) not in _BY_NAME:
        return False
    try:
        _BY_NAME[name].model_validate(step)
    except ValidationError as error:
        return is_semantic(error)
    return False


def _written(name: str, model: type[Verb]) -> type[BaseModel]:
    """The model of a step with one verb, for its schema."""
    parameters: Any = (model, ...)
    if model is Set:  # written without its field
        variables = Set.model_fields["variables"]
        parameters = (variables.annotation, Field(min_length=1, title="Variables"))
    return create_model(
        f"{model.__name__}Step", __config__=ConfigDict(extra="forbid"), **{name: parameters}
    )


_BY_NAME = {name: _written(name, model) for name, model in MODELS.items()}
