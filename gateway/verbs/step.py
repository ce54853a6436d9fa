"""Owns the written form of verbs, `{verb: parameters}`: for YAML, REST and webhooks alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, TypeAdapter, ValidationError

from gateway.errors import BAD_REQUEST, GatewayError
from gateway.verbs.audio import (
    Gather,
    Hold,
    Mute,
    Play,
    Record,
    Say,
    SendDtmf,
    Unhold,
    Unmute,
)
from gateway.verbs.dialling import Dial
from gateway.verbs.fields import Verb
from gateway.verbs.signalling import Answer, Bridge, Goto, Hangup, Pause, Reject, Ring, Set

MAX_STEPS = 50
"""Verbs in one list."""


class Http(Verb):
    """Fetches the next verbs from a server: a signed POST, whose JSON answer is `{"verbs": [...]}`.

    They are performed before what follows here.
    """

    verb: ClassVar[str] = "http"
    short: ClassVar[str | None] = "url"
    url: str = Field(pattern=r"^https?://[^\s]+$", max_length=2048)
    timeout: float | None = Field(default=None, gt=0, le=60, description="Seconds for each try.")
    attempts: int | None = Field(default=None, ge=1, le=5, description="How often to try.")
    fallback: tuple[dict[str, Any], ...] = Field(
        default=(), max_length=MAX_STEPS, description="Verbs to perform when it fails."
    )


AnyVerb = (
    Answer
    | Ring
    | Reject
    | Hangup
    | Dial
    | Bridge
    | Play
    | Say
    | Gather
    | SendDtmf
    | Pause
    | Hold
    | Unhold
    | Mute
    | Unmute
    | Record
    | Set
    | Goto
    | Http
)

MODELS: Mapping[str, type[Verb]] = {
    model.verb: model for model in cast("tuple[type[Verb], ...]", AnyVerb.__args__)
}
"""The model of each verb, by its name."""

Steps = Annotated[list[dict[str, Any]], Field(max_length=MAX_STEPS)]
_STEPS = TypeAdapter(Steps)


def verb_from(step: object) -> AnyVerb:
    """The verb that `{verb: parameters}` means. Raises GatewayError(BAD_REQUEST) with what is
    wrong and where."""
    if not isinstance(step, Mapping) or len(step) != 1:
        raise GatewayError(BAD_REQUEST, "a step is one verb with its parameters: {verb: ...}")
    ((name, parameters),) = step.items()
    model = MODELS.get(name)
    if model is None:
        raise GatewayError(BAD_REQUEST, f"no verb {str(name)[:64]!r}: use {', '.join(MODELS)}")
    if model is Set and isinstance(parameters, Mapping):
        parameters = {"variables": parameters}
    try:
        return cast("AnyVerb", model.model_validate(parameters))
    except ValidationError as error:
        raise GatewayError(BAD_REQUEST, f"{name}: {told(error)}") from None


def verbs_from(steps: object) -> tuple[AnyVerb, ...]:
    """A list of steps. Raises GatewayError(BAD_REQUEST)."""
    try:
        listed = _STEPS.validate_python(steps)
    except ValidationError as error:
        raise GatewayError(BAD_REQUEST, f"verbs: {told(error)}") from None
    return tuple(map(verb_from, listed))


def step_from(verb: Verb) -> dict[str, Any]:
    """The written form of `verb`, without what is as always. `verb_from` reads it again."""
    parameters = verb.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {verb.verb: parameters["variables"] if isinstance(verb, Set) else parameters}


def told(error: ValidationError) -> str:
    """The first thing that is wrong, and where; values are not quoted: they may be digits."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {message}{more}" if where else f"{message}{more}"
