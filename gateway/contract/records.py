"""Owns the models of the records of calls."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from gateway.config.identity import Name
from gateway.contract.base import Answer, PageQuery, Request
from gateway.contract.fields import Moment, Text
from gateway.errors import Blame
from gateway.events import Role
from gateway.ports import LegKind
from gateway.terms import CdrState, Party


class _View(Answer):
    model_config = ConfigDict(from_attributes=True)


class QualityView(_View):
    """What a leg's audio was like. Packets and jitter as in RFC 3550 6.4.1."""

    codec: str
    rx_packets: int = Field(description="Heard from the far end.")
    rx_lost: int
    tx_packets: int
    remote_lost: int = Field(description="What the far end says it missed.")
    jitter_ms: float
    rtt_ms: float
    mos: float | None = Field(description="1.0 to 4.5, by the E-model; null: nothing was heard.")


class LegRecord(_View):
    """One leg of a call."""

    id: str
    role: Role
    kind: LegKind
    trunk: str | None
    number: str | None = Field(description="Who calls or is called; a user's name for browsers.")
    created_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    duration_ms: int
    talk_ms: int
    code: str | None = Field(description="How it ended.")
    sip_status: int | None
    q850: int | None
    blame: Blame | None
    by_peer: bool | None
    quality: QualityView | None
    dtmf_received: int
    dtmf_sent: int


class CallRecord(_View):
    """The record of a call. Durations are of the monotonic clock."""

    id: str
    project: str
    state: CdrState
    context: str
    caller: str | None
    callee: str | None
    trunk: str | None = Field(description="That it came from.")
    rule: str | None = Field(description="Of the dialplan, that matched.")
    program: str | None
    path: str | None = Field(description="The way of its audio.")
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    duration_ms: int
    talk_ms: int
    code: str | None = Field(description="How it ended.")
    sip_status: int | None
    q850: int | None
    blame: Blame | None
    text: str | None
    hung_up_by: Party | None
    dtmf_received: int = Field(description="How many digits; never which.")
    dtmf_sent: int
    recorded: bool
    incomplete: bool = Field(description="Some of its events were missed.")
    legs: list[LegRecord]


class CallRecords(_View):
    """Some records, newest first."""

    calls: list[CallRecord]
    cursor: str | None = Field(description="Asks for the next page; null: there is none.")


class RecordFilters(Request):
    """Which records. All that is given must hold; texts are compared whole."""

    since: Moment | None = Field(default=None, description="Calls that began then or later.")
    until: Moment | None = Field(default=None, description="Calls that began before.")
    caller: Text | None = Field(default=None, description="Who called.")
    callee: Text | None = Field(default=None, description="What was dialled.")
    trunk: Name | None = Field(
        default=None, description="That the call came from, or one of its legs went to."
    )
    code: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{1,64}$", description="How it ended: `normal`, `busy`."
    )
    state: CdrState | None = Field(default=None, description="How far it has come.")


class RecordsQuery(RecordFilters, PageQuery):
    """Which records, and which part of their list."""


class DeletedRecords(Answer):
    """What was deleted."""

    deleted: int = Field(description="How many records; those of live calls stay.")
