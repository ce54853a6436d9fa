"""Caps: at once, per second, minutes a day; counted in one step and given back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Instant
from gateway.config.identity import Caps
from gateway.errors import GatewayError
from gateway.identity.ledger import Ledger, Permit, fingerprint
from gateway.identity.values import Grant

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> Instant:
    """So long after noon."""
    return Instant(5000 + seconds, NOON + timedelta(seconds=seconds))


def grants(account: str = "a", **caps: object) -> tuple[Grant, ...]:
    return (Grant.of(account, Caps.model_validate(caps)),)


def code(ledger: Ledger, wanted: tuple[Grant, ...], now: Instant) -> str:
    """Why a call is refused."""
    with pytest.raises(GatewayError) as error:
        ledger.admit(wanted, now)
    assert error.value.verdict.http_status == 429
    return error.value.verdict.code


def test_so_many_at_once() -> None:
    ledger, two = Ledger(), grants(max_calls=2)
    first = ledger.admit(two, at(0))
    ledger.admit(two, at(0))
    assert code(ledger, two, at(1)) == "caller_busy"
    ledger.admit(grants("b", max_calls=2), at(1))  # somebody else
    ledger.release(first, at(2))
    ledger.release(first, at(2))  # the second time counts for nothing
    ledger.admit(two, at(3))
    assert code(ledger, two, at(3)) == "caller_busy"
    assert code(ledger, grants("c", max_calls=0), at(3)) == "caller_busy"


def test_so_many_per_second() -> None:
    ledger, wanted = Ledger(), grants(calls_per_second=0.5)
    ledger.release(ledger.admit(wanted, at(0)), at(0), placed=False)
    assert code(ledger, wanted, at(1.9)) == "calling_too_fast"
    ledger.admit(wanted, at(2))
    assert code(ledger, wanted, at(2)) == "calling_too_fast"


def test_tokens_with_other_rates_share_what_was_taken() -> None:
    ledger = Ledger()
    for rate in (0.5, None, 0.25):
        wanted = grants(calls_per_second=rate, max_calls=9)
        if rate == 0.25:
            assert code(ledger, wanted, at(0)) == "calling_too_fast"
        else:
            ledger.admit(wanted, at(0))


def test_minutes_of_live_calls_count() -> None:
    ledger, wanted = Ledger(), grants(minutes_per_day=10)
    first, second = ledger.admit(wanted, at(0)), ledger.admit(wanted, at(0))
    assert ledger.seconds_left(first, at(0)) == 300  # there are two
    ledger.release(first, at(240))
    assert ledger.seconds_left(second, at(240)) == 120
    assert code(ledger, wanted, at(360)) == "minutes_used_up"
    ledger.release(second, at(360))
    assert code(ledger, wanted, at(361)) == "minutes_used_up"
    half_a_day = 12 * 3600
    ledger.admit(wanted, at(half_a_day))  # the next day


def test_a_call_over_midnight_uses_both_days() -> None:
    ledger, wanted = Ledger(), grants(minutes_per_day=10)
    midnight = 12 * 3600
    call = ledger.admit(wanted, at(midnight - 300))
    assert ledger.seconds_left(call, at(midnight - 1)) == pytest.approx(301)
    assert ledger.seconds_left(call, at(midnight + 60)) == pytest.approx(540)
    ledger.release(call, at(midnight + 60))
    again = ledger.admit(wanted, at(midnight + 60))
    assert ledger.seconds_left(again, at(midnight + 60)) == pytest.approx(540)


def test_what_was_used_elsewhere_is_used_too_until_midnight() -> None:
    ledger, wanted = Ledger(), grants(minutes_per_day=10)
    call = ledger.admit(wanted, at(0))
    today, _ = ledger.counted(at(60))
    ledger.carry(today, {fingerprint("a"): 400, fingerprint("b"): 600})
    assert ledger.seconds_left(call, at(60)) == pytest.approx(140)
    assert code(ledger, grants("b", minutes_per_day=10), at(60)) == "minutes_used_up"
    ledger.carry(today, {fingerprint("a"): 410})
    assert ledger.seconds_left(call, at(60)) == pytest.approx(130)
    midnight = 12 * 3600
    assert ledger.seconds_left(call, at(midnight + 1)) == pytest.approx(599)
    ledger.carry(today, {fingerprint("a"): 500})  # that was yesterday
    assert ledger.seconds_left(call, at(midnight + 1)) == pytest.approx(599)
    ledger.admit(grants("b", minutes_per_day=10), at(midnight + 1))


def test_what_is_counted_is_told_without_names() -> None:
    ledger = Ledger()
    first = ledger.admit(grants("user:default/alice", minutes_per_day=10), at(0))
    ledger.admit(grants("k", max_calls=1), at(0))
    ledger.release(ledger.admit(grants("unused", max_calls=1), at(0)), at(9), placed=False)
    ledger.release(first, at(20))
    day, counted = ledger.counted(at(30))
    assert (day, counted) == (
        NOON.date(),
        {fingerprint("user:default/alice"): 20, fingerprint("k"): 30},
    )
    assert "alice" not in str(counted)


def test_all_grants_must_agree_and_a_refused_call_is_counted_nowhere() -> None:
    ledger = Ledger()
    token, key = grants("token", max_calls=5), grants("key", max_calls=1)
    other = grants("other", max_calls=5)
    ledger.admit(token + key, at(0))
    assert code(ledger, other + key, at(0)) == "caller_busy"
    for _ in range(5):
        ledger.admit(other, at(0))


@settings(max_examples=200)
@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from(["admit", "release"]), st.floats(0, 50_000)), max_size=40),
)
def test_never_more_at_once_and_never_less_time(most: int, steps: list[tuple[str, float]]) -> None:
    ledger, now = Ledger(), 0.0
    wanted = grants(max_calls=most, minutes_per_day=60)
    live: list[Permit] = []
    for step, wait in steps:
        now += wait
        if step == "admit":
            try:
                live.append(ledger.admit(wanted, at(now)))
            except GatewayError:
                continue
            assert ledger.seconds_left(live[-1], at(now)) <= 3600
        elif live:
            ledger.release(live.pop(0), at(now))
        assert len(live) <= most
