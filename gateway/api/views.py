"""Owns how calls and their records look to clients: the models of answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from gateway.api.operations import Answer, Request
from gateway.calls.call import CallView
from gateway.calls.state import Phase
from gateway.calls.translate import quality
from gateway.errors import Blame
from gateway.events import Role
from gateway.ids import LegId
from gateway.ports import LegKind, PortStats
from gateway.storage.cdr import Cdr, CdrState, Party, quality_of

CURSOR = Field(default=None, max_length=256, description="`cursor` of the page before.")


class PageQuery(Request):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=1000, description="How many at most.")
    cursor: str | None = CURSOR


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

    @classmethod
    def of(cls, record: Cdr) -> CallRecord:
        """The view of a record."""
        return cls.model_validate(record)


class CallRecords(_View):
    """Some records, newest first."""

    calls: list[CallRecord]
    cursor: str | None = Field(description="Asks for the next page; null: there is none.")


class LiveLeg(_View):
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

    def with_quality(self, stats: PortStats) -> LiveLeg:
        """The same leg, and what its audio is like."""
        told = quality_of(quality(LegId(self.id), self.media, stats))
        return self.model_copy(update={"quality": QualityView.model_validate(told)})


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

    @classmethod
    def of(cls, call: CallView) -> LiveCall:
        """The view of a call."""
        return cls(
            id=call.id,
            phase=call.state,
            context=call.context,
            caller=call.caller,
            callee=call.callee,
            created_at=call.created.wall,
            answered=call.answered,
            path=call.media_path,
            legs=[LiveLeg.model_validate(leg) for leg in call.legs],
        )


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
