"""The schema of events: every event fits its own, and comes back out of its JSON."""

from __future__ import annotations

import json
import typing
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.events import KINDS, Event
from gateway.ids import CallId
from gateway.storage import Envelope, encode
from gateway.storage.event_schema import any_event, event_from, event_models
from gateway.storage.published import line, publish, read_line
from gateway.testing import ManualClock


@st.composite
def events(draw: st.DrawFn, kind: type[Event]) -> Event:
    """Any event of a kind; its numbers are such as JSON has."""
    hints = typing.get_type_hints(kind)
    finite = {
        field.name: st.floats(allow_nan=False, allow_infinity=False)
        for field in fields(kind)
        if hints[field.name] is float
    }
    made: Event = draw(st.builds(kind, **finite))  # type: ignore[assignment]
    return made


def enveloped(event: Event) -> Envelope:
    return Envelope(7, CallId("c-1"), ManualClock().now(), event, "sales")


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_every_event_fits_its_schema_and_comes_back(name: str, data: st.DataObject) -> None:
    event = data.draw(events(KINDS[name]))
    text = json.dumps(encode(enveloped(event)))
    told = event_models()[name].model_validate_json(text)
    assert set(told.model_dump()) == set(json.loads(text))
    any_event().model_validate_json(text)
    assert event_from(name, json.loads(text)) == event


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=5)
@given(data=st.data())
def test_a_line_of_the_journal_is_the_event(name: str, data: st.DataObject) -> None:
    envelope = enveloped(data.draw(events(KINDS[name])))
    written = line(publish(envelope))
    assert (written.count(b"\n"), written[-1:]) == (1, b"\n")
    assert read_line(written).envelope() == envelope


@given(st.binary(max_size=60) | st.text().map(str.encode))
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it says
        read_line(text)


def test_the_schema_says_what_it_holds() -> None:
    schema = any_event().model_json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(KINDS)
    ended = schema["$defs"]["CallEndedEvent"]
    assert set(ended["required"]) == {
        "sequence", "call", "time", "type", "verdict", "answered", "duration_ms", "talk_ms",
        "hung_up_by",
    }  # fmt: skip
    with pytest.raises(ValidationError):
        any_event().model_validate({"type": "call.ended"})
    with pytest.raises(ValueError, match="no event is called"):
        event_from("call.exploded", {})
