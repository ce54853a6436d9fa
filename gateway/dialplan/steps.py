"""Owns the steps that a rule may have: every verb of gateway.verbs, and four of the plan's own.

A step is written as one key, its verb, with its parameters: `dial: {user: alice}`. To add a verb,
add its model to gateway.verbs, and a field here.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from gateway import verbs as v
from gateway.dialplan.fields import ContextName, EmptyMapping, Model, Name, ValueText, VariableName
from gateway.dialplan.written import Of, Written
from gateway.errors import Verdict, from_sip_status


class Nothing(Model):
    """No parameters."""


ProgramName = Name
Sets = dict[VariableName, ValueText]


class Step(Model):
    """One step."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    answer: Annotated[Written | None, Of(v.Answer)] = None
    ring: Annotated[Written | None, Of(v.Ring)] = None
    reject: Annotated[Written | None, Of(v.Reject)] = None
    hangup: Annotated[Written | None, Of(v.Hangup)] = None
    dial: Annotated[Written | None, Of(v.Dial)] = None
    bridge: Annotated[Written | None, Of(v.Bridge)] = None
    play: Annotated[Written | None, Of(v.Play)] = None
    say: Annotated[Written | None, Of(v.Say)] = None
    gather: Annotated[Written | None, Of(v.Gather)] = None
    send_dtmf: Annotated[Written | None, Of(v.SendDtmf)] = None
    pause: Annotated[Written | None, Of(v.Pause)] = None
    hold: Annotated[Written | None, Of(v.Hold)] = None
    unhold: Annotated[Written | None, Of(v.Unhold)] = None
    mute: Annotated[Written | None, Of(v.Mute)] = None
    unmute: Annotated[Written | None, Of(v.Unmute)] = None
    record: Annotated[Written | None, Of(v.Record)] = None
    http: Annotated[Written | None, Of(v.Http)] = None
    set: Annotated[Sets | None, Field(min_length=1)] = Field(
        default=None, description="Sets call variables, for conditions and `${vars.name}`."
    )
    goto: Annotated[Written | None, Of(v.Goto)] = None
    include: ContextName | None = Field(
        default=None,
        description="Looks at the rules of another context; if none of them matches, goes on here. "
        "Only before verbs.",
    )
    echo: Annotated[Nothing | None, EmptyMapping] = Field(
        default=None, description="Answers, and sends back what it hears."
    )
    ivr: Annotated[Nothing | None, EmptyMapping] = Field(
        default=None, description="Answers, and runs the built-in menu."
    )
    app: ProgramName | None = Field(
        default=None, description="Runs a call program of the node's `apps`."
    )

    @model_validator(mode="after")
    def _one_verb(self) -> Self:
        given = self.model_fields_set
        if len(given) != 1:
            raise ValueError(f"{len(given)} verbs in one step: write one in each step of the list")
        return self

    def verb(self) -> tuple[str, Any]:
        """The verb, and what its model made of its parameters."""
        (name,) = self.model_fields_set
        return name, getattr(self, name)


SHORT = ("set", "dial", "echo", "ivr", "app", "reject", "goto", "include")
"""What a rule may have as its own keys, in the order in which they run."""

BUILT_IN = frozenset({"echo", "ivr"})
"""Programs that are verbs of their own; all others are the values of `app`."""

DECIDING = frozenset({"dial", "echo", "ivr", "app", "reject"})
"""With one of these as the last step and no other verb before it, a rule decides at once."""

ENDING = frozenset({"echo", "ivr", "app", "reject", "hangup", "goto"})
"""Verbs behind which no step runs."""


def refusal(reject: v.Reject) -> Verdict:
    """The verdict of a call that a plan refuses."""
    return from_sip_status(reject.status, reject.reason).ours()
