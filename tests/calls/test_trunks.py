"""How trunks do, by the outcomes of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.trunks import RECENT, STALE, TrunkHealth, TrunkWatch, state_of
from gateway.errors import BUSY, CANCELLED, NORMAL, PEER_UNREACHABLE, Verdict, from_sip_status
from gateway.events import (
    CallAnswered,
    CallCreated,
    CallEnded,
    CallRinging,
    Event,
    LegAdded,
    LegGone,
    Role,
)
from gateway.ids import CallId, LegId
from gateway.ports import LegKind
from gateway.storage.event_log import EventLog
from gateway.terms import TrunkState
from gateway.testing.clock import ManualClock

REFUSED = from_sip_status(503, "Overloaded")


class Stand:
    """A log, and who watches trunks in it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = EventLog(self.clock, size=64)
        self.live: set[CallId] = set()
        self.watch = TrunkWatch(self.log, self.live)

    def tell(self, call: str, *events: Event) -> None:
        for event in events:
            self.log.append(CallId(call), event)

    def dials(self, call: str, leg: str = "b", trunk: str = "out") -> None:
        """A browser's call rings there."""
        self.live.add(CallId(call))
        self.tell(call, CallCreated("browser", "alice", "1"))
        self.tell(call, LegAdded(LegId(f"{call}-{leg}"), Role.CALLEE, LegKind.SIP, trunk, "1"))

    def ends(self, call: str, verdict: Verdict, *, by_peer: bool = True) -> None:
        leg = LegId(f"{call}-b")
        self.live.discard(CallId(call))
        self.tell(call, LegGone(leg, verdict, by_peer), CallEnded(verdict, False, 1, 0))

    def outcome(self, call: str, verdict: Verdict, *, by_peer: bool = True) -> None:
        self.dials(call)
        self.ends(call, verdict, by_peer=by_peer)

    def answered(self, call: str) -> None:
        self.dials(call)
        self.tell(call, CallAnswered(LegId(f"{call}-b")))
        self.ends(call, NORMAL)

    @property
    def health(self) -> TrunkHealth:
        return self.watch.health("out", self.clock.now())


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_nothing_is_known_before_the_first_call(stand: Stand) -> None:
    assert stand.health == TrunkHealth(TrunkState.UNKNOWN, None, None, 0, 0, 0, 0, 0)


def test_an_answer_makes_it_up(stand: Stand) -> None:
    stand.dials("c-1")
    assert (stand.health.state, stand.health.outgoing) == (TrunkState.UNKNOWN, 1)
    stand.tell("c-1", CallAnswered(LegId("c-1-b")))
    assert (stand.health.state, stand.health.answered) == (TrunkState.UP, 1)
    assert stand.health.last_success == stand.clock.now().wall
    stand.ends("c-1", PEER_UNREACHABLE)  # how an answered call ends says nothing
    assert (stand.health.failures_in_row, stand.health.outgoing) == (0, 0)


def test_a_callee_who_was_reached_is_a_success_of_the_trunk(stand: Stand) -> None:
    stand.outcome("c-1", BUSY)
    assert (stand.health.state, stand.health.answered) == (TrunkState.UP, 0)


def test_who_hangs_up_before_anything_happens_says_nothing(stand: Stand) -> None:
    stand.outcome("c-1", CANCELLED, by_peer=False)
    assert stand.health.state == "unknown"
    stand.dials("c-2")
    stand.tell("c-2", CallRinging(LegId("c-2-b")))
    stand.ends("c-2", CANCELLED, by_peer=False)  # but it rang
    assert stand.health.state == "up"


def test_failures_in_a_row_make_it_failing_and_one_success_up(stand: Stand) -> None:
    stand.answered("c-0")
    for number, state in [(1, TrunkState.UP), (2, TrunkState.UP), (3, TrunkState.FAILING)]:
        stand.clock.advance(1)
        stand.outcome(f"c-{number}", REFUSED)
        assert (stand.health.state, stand.health.failures_in_row) == (state, number)
    failure = stand.health.last_failure
    assert failure is not None
    assert (failure.code, failure.sip_status) == ("peer_unreachable", 503)
    assert failure.at == stand.clock.now()
    stand.answered("c-4")
    assert (stand.health.state, stand.health.failures_in_row) == (TrunkState.UP, 0)
    assert (stand.health.answered, stand.health.failed) == (2, 3)


def test_where_nothing_ever_worked_one_failure_is_enough(stand: Stand) -> None:
    stand.outcome("c-1", PEER_UNREACHABLE, by_peer=False)
    assert stand.health.state is TrunkState.FAILING


def test_counts_are_of_the_last_five_minutes_and_an_hour_says_nothing(stand: Stand) -> None:
    stand.answered("c-1")
    stand.clock.advance(RECENT)
    assert stand.health.answered == 1
    stand.clock.advance(1)
    assert (stand.health.answered, stand.health.state) == (0, TrunkState.UP)
    stand.clock.advance(STALE)
    assert stand.health.state is TrunkState.UNKNOWN
    assert stand.health.last_success is not None


def test_incoming_calls_are_counted_apart(stand: Stand) -> None:
    stand.tell("c-1", CallCreated("out", "1", "2", trunk="out"))
    stand.tell("c-1", LegAdded(LegId("c-1-a"), Role.CALLER, LegKind.SIP, "out", "1"))
    stand.dials("c-2", trunk="other")
    # Click-to-call: the caller's leg is one that we called.
    stand.tell("c-3", CallCreated("demo", "key", "2"))
    stand.tell("c-3", LegAdded(LegId("c-3-a"), Role.CALLER, LegKind.SIP, "out", "1"))
    assert (stand.health.incoming, stand.health.outgoing) == (1, 1)
    stand.tell("c-3", CallAnswered(LegId("c-3-a")))
    assert stand.health.state is TrunkState.UP
    stand.tell(
        "c-1", LegGone(LegId("c-1-a"), PEER_UNREACHABLE, True), CallEnded(NORMAL, True, 1, 1)
    )
    assert (stand.health.incoming, stand.health.failures_in_row) == (0, 0)


def test_missed_events_leave_no_call_behind() -> None:
    stand = Stand()
    stand.dials("c-1")
    stand.dials("c-2")
    assert stand.health.outgoing == 2
    stand.live.remove(CallId("c-1"))
    stand.watch._subscription._lose(5, 6)
    assert stand.health.outgoing == 1


@given(
    success=st.none() | st.floats(0, 1e6),
    failure=st.none() | st.floats(0, 1e6),
    in_row=st.integers(0, 10),
    now=st.floats(1e6, 2e6),
)
def test_the_rule(success: float | None, failure: float | None, in_row: int, now: float) -> None:
    state = state_of(success, failure, in_row, now)
    fresh = any(moment is not None and now - moment <= STALE for moment in (success, failure))
    assert (state is TrunkState.UNKNOWN) == (not fresh)
    if success is not None and in_row == 0:
        assert state is not TrunkState.FAILING
    if success is None and failure is not None:
        assert state is not TrunkState.UP
