"""Owns events as programs get them: JSON, with numbers and digits as far as they are kept. Pure.

An event reads the same wherever it is read: streams, webhooks, the database and the journal on the
way there have one text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.clock import Instant
from gateway.events import (
    CallCreated,
    CallEnded,
    DigitDropped,
    DigitReceived,
    DigitSent,
    DigitStarted,
    Event,
    LegAdded,
    LegGone,
    wants_type,
)
from gateway.ids import CallId
from gateway.storage.cdr import KEEP, Numbers
from gateway.storage.event_log import Envelope, encode
from gateway.storage.event_schema import event_from

HIDDEN_DIGIT = "X"


@dataclass(frozen=True, slots=True)
class Published:
    """An event in its place. `text` is its JSON."""

    sequence: int
    project: str
    call: CallId
    type: str
    at: Instant
    text: str = field(repr=False)

    def envelope(self) -> Envelope:
        """The event itself, as it was published. Raises ValueError: nobody knows its type now."""
        values = json.loads(self.text)
        return Envelope(
            self.sequence, self.call, self.at, event_from(self.type, values), self.project
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events. types: names, or their beginnings with the dot (`call.`); empty: all."""

    project: str
    call: str | None = None
    types: tuple[str, ...] = ()

    def matches(self, event: Published) -> bool:
        """Whether it is one of them."""
        return (
            event.project == self.project
            and (self.call is None or event.call == self.call)
            and wants_type(self.types, event.type)
        )


def publish(envelope: Envelope, numbers: Numbers = KEEP) -> Published:
    """The event for everybody outside. Never raises: JSON takes any text in its escapes."""
    if numbers is not KEEP:
        envelope = replace(envelope, event=_hidden(envelope.event, numbers))
    text = _dumped(encode(envelope))
    return Published(
        envelope.sequence, envelope.project, envelope.call, envelope.event.name, envelope.at, text
    )


def line(event: Published) -> bytes:
    """One line of a journal."""
    at = f'"wall":"{event.at.wall.isoformat()}","monotonic":{event.at.monotonic!r}'
    about = f'"project":{_dumped(event.project)},{at}'
    return f'{{{about},"event":{event.text}}}\n'.encode("ascii")


def read_line(text: bytes) -> Published:
    """The event of a journal's line. Raises ValueError: it is none, or not whole."""
    try:
        told: Mapping[str, Any] = json.loads(text)
        event = told["event"]
        at = Instant(float(told["monotonic"]), datetime.fromisoformat(told["wall"]))
        return Published(
            int(event["sequence"]),
            str(told["project"]),
            CallId(event["call"]),
            str(event["type"]),
            at,
            _dumped(event),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("no line of a journal") from error


_dumped = json.JSONEncoder(separators=(",", ":")).encode


def _hidden(event: Event, numbers: Numbers) -> Event:
    """Without what is not to be kept. Peers write numbers into verdicts' texts."""
    match event:
        case CallCreated():
            return replace(event, caller=_shown(event.caller, numbers),
                           callee=_shown(event.callee, numbers))  # fmt: skip
        case LegAdded():
            return replace(event, number=_shown(event.number, numbers))
        case LegGone() | CallEnded() if not numbers.text:
            return replace(event, verdict=event.verdict.because(""))
        case DigitStarted() | DigitReceived() | DigitSent() | DigitDropped() if not numbers.text:
            return replace(event, digit=HIDDEN_DIGIT)
        case _:
            return event


def _shown(number: str, numbers: Numbers) -> str:
    return numbers.shown(number) or ""
