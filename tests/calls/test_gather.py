"""Gathering digits: pure, time is an argument."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.programs.gather import Gathering, Reason, Rules

RULES = Rules(
    max_digits=4, terminators="#", first_timeout=8, inter_digit_timeout=4, total_timeout=30
)


def type_digits(state: Gathering, digits: str, at: float) -> Gathering:
    for digit in digits:
        state = state.key_pressed(at).key_released(digit, at)
    return state


def test_four_digits_are_complete_without_a_terminator() -> None:
    state = type_digits(Gathering(RULES), "1234", 1)
    assert (state.digits, state.reason) == ("1234", Reason.COMPLETE)


def test_pound_ends_early_and_is_no_digit() -> None:
    state = type_digits(Gathering(RULES), "42#", 1)
    assert (state.digits, state.reason) == ("42", Reason.TERMINATED)


def test_star_and_letters_are_digits() -> None:
    assert type_digits(Gathering(RULES), "*AD#", 1).digits == "*AD"


def test_no_clock_runs_while_the_prompt_plays() -> None:
    state = Gathering(RULES)
    assert state.deadline is None
    assert state.time_passed(1e9).reason is None


def test_the_first_key_must_come_in_time_after_the_prompt() -> None:
    state = Gathering(RULES).prompt_ended(100)
    assert state.deadline == 108
    assert state.time_passed(107.9).reason is None
    assert state.time_passed(108).reason is Reason.TIMEOUT


def test_the_pause_between_digits_is_measured_from_the_release() -> None:
    state = Gathering(RULES).prompt_ended(100).key_pressed(101)
    assert state.deadline == 130  # while the key is down only the total runs
    state = state.key_released("1", 107)
    assert state.deadline == 111
    over = state.time_passed(111)
    assert (over.digits, over.reason) == ("1", Reason.TIMEOUT)


def test_the_total_time_ends_even_a_busy_typist() -> None:
    rules = Rules(max_digits=100, total_timeout=30, inter_digit_timeout=4)
    state = Gathering(rules).prompt_ended(100)
    for second in range(101, 130, 2):
        state = type_digits(state, "1", second).time_passed(second)
    assert state.reason is None
    assert state.time_passed(130).reason is Reason.TIMEOUT


def test_a_key_during_the_prompt_starts_the_clock_and_the_prompts_end_does_not_reset_it() -> None:
    state = type_digits(Gathering(RULES), "1", 100)
    assert state.deadline == 104
    assert state.prompt_ended(103).deadline == 104


def test_nothing_counts_after_the_end() -> None:
    state = type_digits(Gathering(RULES), "12#34", 1)
    assert state.digits == "12"
    assert state.deadline is None
    assert state.time_passed(1e9) == state


def test_the_digits_are_not_in_the_repr() -> None:
    assert "42" not in repr(type_digits(Gathering(RULES), "42", 1))


keys = st.lists(st.tuples(st.sampled_from("0123456789*#ABCD"), st.floats(0, 6)), max_size=12)


@given(keys)
@settings(deadline=None)
def test_any_typing_ends_with_a_prefix_of_what_was_typed(typed: list[tuple[str, float]]) -> None:
    state, now = Gathering(RULES).prompt_ended(0), 0.0
    for digit, pause in typed:
        now += pause
        state = state.time_passed(now).key_pressed(now).key_released(digit, now)
    state = state.time_passed(now + 100)
    assert state.reason is not None
    assert len(state.digits) <= 4
    assert "#" not in state.digits
    assert "".join(digit for digit, _ in typed).startswith(state.digits)
    if state.reason is Reason.COMPLETE:
        assert len(state.digits) == 4
