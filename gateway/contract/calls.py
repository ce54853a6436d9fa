"""Owns the models of live calls, and of what they are asked to do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.contract.base import Answer, PageQuery, Request, shown
from gateway.contract.records import QualityView
from gateway.events import Role
from gateway.ports import LegKind
from gateway.terms import Phase
from gateway.verbs import Target

WAIT_SECONDS = 30.0
"""How long a request waits for its verb to end, unless it says otherwise."""
LONGEST_WAIT = 300.0


class LiveLeg(Answer):
    """A leg of a live call."""

    id: str
    role: Role
    kind: LegKind
    media: str = Field(description="`opus/48000 + telephone-event/48000`; empty: no audio yet.")
    held: bool
    ended: bool
    quality: QualityView | None = Field(
        default=None, description="Of its audio until now; null: there is none."
    )


class LiveCall(Answer):
    """A call that lives."""

    id: str
    phase: Phase = Field(description="Where it is.")
    context: str
    caller: str
    callee: str
    created_at: datetime
    answered: bool
    path: str = Field(description="The way of its audio.")
    legs: list[LiveLeg] = Field(description="The caller first.")


class LiveCalls(Answer):
    """Some live calls, newest first."""

    calls: list[LiveCall]
    cursor: str | None = Field(description="Asks for the next page; null: there is none.")


class NewCallId(Answer):
    """A call that was made."""

    id: str


class Running(Answer):
    """The verb goes on."""

    state: Literal["running"] = "running"


class Done(Answer):
    """The verb has ended."""

    state: Literal["done"] = "done"
    outcome: dict[str, str] = Field(description="What it gave: the call's variables of it.")


class NewCall(Request):
    """Calls somebody; who answers is the caller of a new call, with which the dialplan deals."""

    model_config = shown({"to": {"user": "alice"}, "callee": "2125550100"})

    to: Target = Field(description="Whom to call.")
    callee: str | None = Field(
        default=None, min_length=1, max_length=64, description="What the new call then dials."
    )
    program: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        default=None, description="The call program that speaks with who answers."
    )
    variables: dict[str, str] = Field(default={}, description="Call variables.")


class CallsQuery(PageQuery):
    """Which of the live calls."""

    phase: Phase | None = Field(default=None, description="Where they are.")
    context: str | None = Field(default=None, description="Of the dialplan: `browser`, a trunk.")
    caller: str | None = Field(default=None, description="Who calls; compared whole.")
    callee: str | None = Field(default=None, description="What was dialled; compared whole.")
    answered: bool | None = Field(default=None, description="Whether anybody took them.")


class WaitQuery(Request):
    """How long to wait for a verb."""

    wait: float = Field(
        default=WAIT_SECONDS, ge=0, le=LONGEST_WAIT, description="Seconds; 202 when it goes on."
    )


class NewBridge(Request):
    """Joins the call with another one."""

    model_config = shown({"call": "c-7BvMpQ2rXk0aTzYe"})

    call: str = Field(min_length=1, max_length=64, description="The other call's id.")
