"""Owns the steps that a rule may have: one model each, in one discriminated union.

A step is written as one key, its verb, with its parameters: `dial: {user: alice}`. To add a verb,
add its model here and to `Step`, and say in compiling.py what it becomes.
"""

from __future__ import annotations

from typing import Annotated, Self, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from gateway.dialplan.fields import (
    ContextName,
    EmptyMapping,
    Model,
    Name,
    Target,
    ValueText,
    VariableName,
)

RingTimeout = Annotated[float, Field(gt=0, le=600, description="Seconds that it may ring.")]


class Dial(Model):
    """Call a number at a trunk, or a browser user."""

    trunk: str | None = Field(default=None, description="Name of a configured trunk.")
    number: Target | None = Field(default=None, description="What to call at the trunk.")
    caller: Target | None = Field(
        default=None, description="Caller's identity to show; default: the caller's own."
    )
    withhold: bool = Field(default=False, description="Show no identity of the caller.")
    user: Target | None = Field(default=None, description="Browser user whose tabs ring.")
    ring_timeout: RingTimeout | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.trunk is None) == (self.user is None):
            raise ValueError("dial needs a trunk or a user: write one of the two")
        if self.trunk is not None and self.number is None:
            raise ValueError("no number for the trunk: add number, such as ${callee}")
        if self.user is not None and (self.number or self.caller or self.withhold):
            raise ValueError("number and caller go with a trunk: remove them or name a trunk")
        if self.caller is not None and self.withhold:
            raise ValueError("a caller that is withheld: write caller or withhold, not both")
        return self


class Nothing(Model):
    """No parameters."""


class Reject(Model):
    """Refuse the call."""

    status: int = Field(default=403, ge=400, le=699, description="SIP status (RFC 3261 21).")
    reason: str = Field(
        default="", max_length=100, pattern=r"^[\x20-\x7e]*$", description="Reason phrase."
    )


class Goto(Model):
    """Go on in another context."""

    context: ContextName = Field(description="Name of the context.")
    callee: Target | None = Field(
        default=None, description="What counts as dialled there; default: as it is."
    )


class DialStep(Model):
    """Calls a number at a trunk, or a browser user."""

    dial: Dial


class EchoStep(Model):
    """Answers, and sends back what it hears."""

    echo: Annotated[Nothing, EmptyMapping]


class IvrStep(Model):
    """Answers, and runs the built-in menu."""

    ivr: Annotated[Nothing, EmptyMapping]


ProgramName = Name


class AppStep(Model):
    """Answers, and runs a call program of the node's `apps`."""

    app: ProgramName


class RejectStep(Model):
    """Refuses the call."""

    reject: Annotated[Reject, EmptyMapping]


class SetStep(Model):
    """Sets call variables, for conditions and `${vars.name}` further on."""

    set: dict[VariableName, ValueText] = Field(min_length=1)


class GotoStep(Model):
    """Goes on in another context, with that context's rules and settings; it does not come back."""

    goto: ContextName | Goto


class IncludeStep(Model):
    """Looks at the rules of another context; if none of them matches, goes on behind this rule."""

    include: ContextName


def verb_of(step: AnyStep) -> str:
    """The verb of a step."""
    return next(iter(type(step).model_fields))


def _verb(value: object) -> str | None:
    """Which model a step is for: its first key that is a verb."""
    if isinstance(value, dict):
        return next((key for key in value if key in VERBS), next(iter(value), None))
    return next((verb for verb in VERBS if hasattr(value, verb)), None)


AnyStep = SetStep | DialStep | EchoStep | IvrStep | AppStep | RejectStep | GotoStep | IncludeStep

Step = Annotated[
    Annotated[SetStep, Tag("set")]
    | Annotated[DialStep, Tag("dial")]
    | Annotated[EchoStep, Tag("echo")]
    | Annotated[IvrStep, Tag("ivr")]
    | Annotated[AppStep, Tag("app")]
    | Annotated[RejectStep, Tag("reject")]
    | Annotated[GotoStep, Tag("goto")]
    | Annotated[IncludeStep, Tag("include")],
    Discriminator(_verb),
]

MODEL_OF: dict[str, type[AnyStep]] = {
    next(iter(model.model_fields)): model for model in get_args(AnyStep)
}
"""The model of each verb."""

VERBS = tuple(MODEL_OF)
"""All verbs, in the order in which a rule that has them as its own keys runs them."""

BUILT_IN = frozenset({"echo", "ivr"})
"""Programs that are verbs of their own; all others are the values of `app`."""

ENDING = frozenset({"dial", "echo", "ivr", "app", "reject", "goto"})
"""Verbs behind which no step runs."""
