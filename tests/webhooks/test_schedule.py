"""When deliveries are tried again: days of back-off, in no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks import BackOff

BEGUN = datetime(2030, 1, 1, tzinfo=UTC)
PLAN = BackOff()
DAY = 86_400.0


def attempts(chance: float, plan: BackOff = PLAN) -> list[float]:
    """When each attempt is made, seconds from the beginning, where all fail at once."""
    moments, now = [0.0], BEGUN
    while True:
        again = plan.next_at(len(moments), BEGUN, now, chance)
        if again is None:
            return moments
        now = again
        moments.append((now - BEGUN).total_seconds())


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_attempts_go_on_for_about_three_days(chance: float) -> None:
    moments = attempts(chance)
    assert 2.6 * DAY < moments[-1] <= 3 * DAY
    assert 18 < len(moments) < 40


def test_waits_double_up_to_six_hours() -> None:
    waits = [later - earlier for earlier, later in pairwise(attempts(0.5))]
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == 6 * 3600
    assert waits == sorted(waits)


def test_two_that_failed_together_do_not_come_back_together() -> None:
    early, late = (PLAN.next_at(3, BEGUN, BEGUN, chance) for chance in (0.0, 1.0))
    assert early == BEGUN + timedelta(seconds=16)
    assert late == BEGUN + timedelta(seconds=24)


@pytest.mark.parametrize(
    ("asked", "wait"), [(0.0, 5.0), (-7.0, 5.0), (3.0, 5.0), (120.0, 120.0), (10 * DAY, DAY)]
)
def test_a_receiver_may_ask_for_a_longer_wait_of_a_day_at_most(asked: float, wait: float) -> None:
    assert PLAN.next_at(1, BEGUN, BEGUN, 0.5, asked) == BEGUN + timedelta(seconds=wait)


def test_what_is_late_has_one_attempt() -> None:
    """The node was off for a week: the attempt that it then makes is the last one."""
    assert PLAN.next_at(1, BEGUN, BEGUN + timedelta(days=7), 0.5) is None


@given(
    st.integers(1, 10_000),
    st.floats(0, 1),
    st.none() | st.floats(-1e9, 1e9),
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_the_next_attempt_is_later_and_not_too_late(
    number: int, chance: float, asked: float | None, age: timedelta
) -> None:
    now = BEGUN + age
    again = PLAN.next_at(number, BEGUN, now, chance, asked)
    if again is not None:
        assert now + timedelta(seconds=3.9) < again <= BEGUN + timedelta(days=3)
