"""Whole calls under any behaviour of the far ends: every call ends, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BUSY, DECLINED, NORMAL, GatewayError
from gateway.events import CallEnded, LegAdded, LegGone
from gateway.ports import LegKind
from gateway.terms import Phase
from gateway.testing import FakeLeg, run_virtual
from tests.calls.conftest import Stand, breathe, ended

DESTINATIONS = ["phone", "quick", "alice", "echo", "ivr", "no", "nowhere"]
FAULTS = ["connect", "relay_digits", "subscribe", "play", "send_digit"]

MOVES: dict[str, Callable[[Stand, FakeLeg], object]] = {
    "ring": lambda stand, leg: leg.rings(),
    "early": lambda stand, leg: leg.media(early=True),
    "media": lambda stand, leg: leg.media(),
    "answer": lambda stand, leg: leg.answers(),
    "hold": lambda stand, leg: leg.holds(),
    "resume": lambda stand, leg: leg.holds(False),
    "leave": lambda stand, leg: leg.ends(NORMAL),
    "refuse": lambda stand, leg: leg.ends(DECLINED),
    "busy": lambda stand, leg: leg.ends(BUSY),
    "press": lambda stand, leg: stand.media.press(leg.port or leg.media(), "1#"),
    "silent": lambda stand, leg: stand.media.silence(leg.port or leg.media()),
    "back": lambda stand, leg: stand.media.resume(leg.port or leg.media()),
    "break": lambda stand, leg: leg.broken.add("answer"),
}

moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 7, 40])),
        st.tuples(st.just("fault"), st.sampled_from(range(len(FAULTS)))),
    ),
    max_size=15,
)


async def play(kind: LegKind, to: str, tabs: int, steps: list[tuple[str, int]]) -> None:
    stand = Stand()
    stand.browsers.sessions["alice"] = tabs
    caller, call = stand.browser_calls(to) if kind is LegKind.WEBRTC else stand.phone_calls(to)
    await breathe()
    for step, number in steps:
        legs = [caller, *stand.sip.legs, *stand.browsers.legs]
        leg = legs[number % len(legs)]
        if step == "wait":
            await breathe(number)
        elif step == "fault":
            stand.media.broken ^= {FAULTS[number]}
        elif not leg.ended and "hangup" not in leg.asked:
            MOVES[step](stand, leg)
        if number % 2:
            await breathe()

    stand.media.broken.clear()
    call.hangup()
    await breathe(20)
    assert call.state is Phase.ENDED
    for leg in (caller, *stand.sip.legs, *stand.browsers.legs):
        assert leg.ended
        assert leg.asked.count("hangup") <= 1
    events = await ended(call)
    assert [type(event) for event in events].count(CallEnded) == 1
    assert isinstance(events[-1], CallEnded)
    added = [event.leg for event in events if isinstance(event, LegAdded)]
    gone = [event.leg for event in events if isinstance(event, LegGone)]
    assert sorted(added) == sorted(gone)
    stand.assert_nothing_is_left()


@given(
    kind=st.sampled_from(LegKind),
    to=st.sampled_from(DESTINATIONS),
    tabs=st.integers(0, 3),
    steps=moves,
)
@settings(max_examples=250, deadline=None)
def test_any_far_end_leaves_nothing_behind(
    kind: LegKind, to: str, tabs: int, steps: list[tuple[str, int]]
) -> None:
    with structlog.testing.capture_logs() as logs:
        run_virtual(play(kind, to, tabs, steps))
    if "break" not in {step for step, _ in steps}:
        assert not [entry for entry in logs if "bug" in entry["event"]]


@pytest.mark.parametrize("late", ["answer", "leave"])
def test_a_callee_that_reacts_while_the_call_is_ending(late: str) -> None:
    async def main() -> None:
        stand = Stand()
        _, call = stand.browser_calls("phone")
        await breathe()
        callee = stand.sip.legs[0]
        callee._confirms = False
        call.hangup()
        await breathe()
        if late == "answer":
            callee.answers()
            await breathe()
            with pytest.raises(GatewayError):
                call.press(callee.id, "1")
        callee.ends(NORMAL)
        await ended(call)
        stand.assert_nothing_is_left()

    with structlog.testing.capture_logs():
        run_virtual(main())
