"""The demo IVR in YAML and in Python: whoever calls cannot tell which of the two it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.demo_ivr import app
from gateway.calls.programs import PROGRAMS, Program
from gateway.config.loader import read_plan
from gateway.dialplan import Plan, plan_from
from gateway.errors import Verdict
from gateway.events import DigitReceived, DigitStarted, VerbStarted
from gateway.testing import Rehearsal, virtual_time
from gateway.testing.clock import run_virtual
from gateway.testing.prompts import text_of

ROOT = Path(__file__).resolve().parents[2]
IN_YAML = plan_from(read_plan(ROOT / "dialplans" / "demo-ivr.yaml"))
IN_PYTHON = app.programs["demo-ivr"]
ASK = "Please enter up to four digits. Press pound when you are done."
AGAIN = "Sorry, I did not get any digits."
LONGEST = 200.0  # seconds; the IVR gives up long before

Keys = Sequence[tuple[float, str]]
"""Seconds to wait, and the keys that are pressed then."""


@dataclass(frozen=True)
class Trace:
    """What a call was, for the caller and for the event log. Times in seconds, from its begin."""

    heard: tuple[tuple[float, str], ...]
    verbs: tuple[str, ...]
    events: tuple[tuple[float, str, str], ...]
    verdict: Verdict


async def trace(face: Program | Plan, keys: Keys, hang_up: bool = False) -> Trace:
    """Calls, presses keys, and hangs up after the last of them, or waits for the end."""
    async with Rehearsal(face, callee="ivr") as caller:
        began = caller.now.monotonic
        for seconds, pressed in keys:
            await asyncio.sleep(seconds)
            if caller.call.verdict is None:
                caller.press(pressed)
        if hang_up:
            await asyncio.sleep(0.1)
            await caller.hang_up()
        async with asyncio.timeout(LONGEST):
            await caller.call.wait_ended()
        told = caller.log.replay(0, caller.call.id)
    assert caller.call.verdict is not None
    events = []
    for item in told:
        digits = item.event if isinstance(item.event, DigitStarted | DigitReceived) else None
        verb = item.event.verb if isinstance(item.event, VerbStarted) else ""
        what = digits.digit if digits is not None else verb
        events.append((round(item.at.monotonic - began, 2), item.event.name, what))
    heard = [(round(one.at - began, 2), text_of(one)) for one in caller.media.played]
    return Trace(tuple(heard), tuple(caller.verbs), tuple(events), caller.call.verdict)


def without_gotos(found: Trace) -> Trace:
    """A plan branches by the verb `goto`, a program by `if`: the one difference that there is."""
    verbs = tuple(verb for verb in found.verbs if verb != "goto")
    events = tuple(event for event in found.events if event[2] != "goto")
    return replace(found, verbs=verbs, events=events)


async def both(keys: Keys, hang_up: bool = False) -> Trace:
    """The trace, which is that of both faces."""
    in_yaml = without_gotos(await trace(IN_YAML, keys, hang_up))
    in_python = await trace(IN_PYTHON, keys, hang_up)
    assert in_python == in_yaml
    return in_python


def texts(found: Trace) -> list[str]:
    return [text for _, text in found.heard]


@pytest.mark.parametrize(
    ("keys", "spoken"),
    [
        ([(2, "42#")], "four two"),
        ([(0.2, "1"), (1, "2"), (1, "3"), (1, "4")], "one two three four"),
        ([(2, "12345")], "one two three four"),
        ([(2, "*A#")], "star A"),
        ([(5, "7")], "seven"),
    ],
    ids=["pound", "barge-in", "more-than-four", "star-and-A", "time-out"],
)
@virtual_time
async def test_digits_are_read_back(keys: Keys, spoken: str) -> None:
    found = await both(keys)
    assert texts(found) == [ASK, "You entered:", spoken, "Thank you. Goodbye."]
    assert found.verbs == ("gather", "say", "say", "say", "hangup")
    assert (found.verdict.code, found.verdict.text) == ("normal", "The demo is over")


@virtual_time
async def test_silence_is_asked_about_twice() -> None:
    found = await both([])
    # a second for each prompt, and eight seconds of silence behind each question
    assert found.heard == (
        (0.0, ASK),
        (9.0, AGAIN),
        (10.0, ASK),
        (19.0, AGAIN),
        (20.0, ASK),
        (29.0, "Thank you. Goodbye."),
    )
    assert found.verbs == ("gather", "say", "hangup")


@virtual_time
async def test_a_pound_alone_is_no_digit_and_later_ones_count() -> None:
    found = await both([(2, "#"), (3, "9#")])
    assert texts(found) == [ASK, AGAIN, ASK, "You entered:", "nine", "Thank you. Goodbye."]
    found = await both([(2, "#")] * 3)
    assert texts(found) == [ASK, AGAIN, ASK, AGAIN, ASK, "Thank you. Goodbye."]


@pytest.mark.parametrize("seconds", [0.5, 4, 9.5])
@virtual_time
async def test_a_caller_who_hangs_up_ends_it_there(seconds: float) -> None:
    found = await both([(seconds, "1")], hang_up=True)
    assert found.verbs == ("gather",)
    assert found.events[-1][1] == "call.ended"
    assert found.events[-1][0] == pytest.approx(seconds + 0.1, abs=0.01)


# Never at the moment of a time-out: which of the two would be first is nobody's promise.
MOMENTS = st.integers(0, 100).map(lambda tenths: tenths / 10 + 0.03)


@settings(deadline=None)
@given(
    st.lists(st.tuples(MOMENTS, st.text("0123456789*#ABCD", max_size=3)), max_size=6),
    st.booleans(),
)
def test_no_keys_at_any_time_tell_the_faces_apart(keys: Keys, hang_up: bool) -> None:
    run_virtual(both(keys, hang_up))


@pytest.mark.parametrize("keys", [[], [(2, "42#")], [(0.5, "*")]], ids=str)
@virtual_time
async def test_it_is_what_the_step_ivr_runs(keys: Keys) -> None:
    built_in, found = await trace(PROGRAMS["ivr"], keys), await both(keys)
    assert built_in.heard == found.heard
    assert (*built_in.verbs, "hangup") == found.verbs
