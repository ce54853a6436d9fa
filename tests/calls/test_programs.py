"""The built-in programs as a caller meets them, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.calls.programs import PROGRAMS, ProgramContext
from gateway.calls.programs.ivr import ASK, GOODBYE, NOTHING_CAME, READ_BACK
from gateway.calls.programs.playing import PLAY_SLACK_SECONDS
from gateway.errors import MEDIA_FAILED, NORMAL
from gateway.events import CallEnded, DigitDropped, ProgramStarted
from gateway.testing import FakeLeg, virtual_time
from gateway.testing.media import SentDigit
from gateway.testing.prompts import text_of
from tests.calls.conftest import Stand, breathe, ended

Entries = list[MutableMapping[str, Any]]


def heard(stand: Stand) -> list[str]:
    return [text_of(played) for played in stand.media.played]


async def phone(stand: Stand, to: str) -> tuple[FakeLeg, Any]:
    leg, call = stand.phone_calls(to)
    await breathe()
    return leg, call


# ---- echo -----------------------------------------------------------------------------------


@virtual_time
async def test_echo_loops_the_audio_and_returns_each_digit_with_its_duration(
    stand: Stand,
) -> None:
    leg, call = await phone(stand, "echo")
    assert leg.port is not None
    assert call.state == "program"
    assert leg.asked == ["answer"]
    assert stand.media.connections == {(leg.port, leg.port)}
    for digit, duration in (("1", 40), ("1", 40), ("A", 500), ("#", 6000)):
        stand.media.press(leg.port, digit, duration)
    await breathe()
    assert [(sent.digit, sent.duration_ms) for sent in stand.media.sent] == [
        ("1", 40),
        ("1", 40),
        ("A", 500),
        ("#", 6000),
    ]
    assert not stand.media.relays
    leg.ends(NORMAL)
    await ended(call)
    stand.assert_nothing_is_left()


@virtual_time
async def test_echo_keeps_durations_within_what_can_be_sent(stand: Stand) -> None:
    leg, call = await phone(stand, "echo")
    stand.media.press(leg.port or 0, "1", 5)
    stand.media.press(leg.port or 0, "2", 90_000)
    await breathe()
    assert [sent.duration_ms for sent in stand.media.sent] == [20, 60_000]
    call.hangup()
    await ended(call)


@virtual_time
async def test_echo_returns_digits_that_came_by_signalling(stand: Stand) -> None:
    leg, call = stand.browser_calls("echo")
    leg.media(early=True)
    await breathe()
    call.press(leg.id, "8", 150)
    await breathe()
    assert stand.media.sent == [SentDigit(leg.port or 0, "8", 150, 70)]
    call.hangup()
    await ended(call)
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_digit_that_cannot_be_echoed_is_told_and_the_call_goes_on(stand: Stand) -> None:
    leg, call = await phone(stand, "echo")
    stand.media.broken.add("send_digit")
    stand.media.press(leg.port or 0, "A")
    await breathe()
    stand.media.broken.clear()
    stand.media.press(leg.port or 0, "1")
    await breathe()
    assert DigitDropped(leg.id, "A", "send_digit is broken") in stand.events(call)
    assert [sent.digit for sent in stand.media.sent] == ["1"]
    assert call.state == "program"
    call.hangup()
    await ended(call)


@pytest.mark.parametrize("program", ["echo", "ivr"])
@virtual_time
async def test_a_hook_flash_is_an_event_but_no_key(stand: Stand, program: str) -> None:
    leg, call = await phone(stand, program)
    number = stand.media.key_down(leg.port or 0, "flash")  # RFC 4733 3.2: event 16
    stand.media.key_up(leg.port or 0, "flash", number, 100)
    await breathe()
    assert call.state == "program"
    assert not stand.media.sent
    assert any(getattr(event, "digit", "") == "flash" for event in stand.events(call))
    call.hangup()
    await ended(call)
    assert leg.verdict is not None
    assert leg.verdict.code == "normal"


# ---- ivr ------------------------------------------------------------------------------------


@virtual_time
async def test_the_ivr_asks_reads_back_and_says_goodbye(stand: Stand) -> None:
    leg, call = await phone(stand, "ivr")
    assert ProgramStarted("ivr") in stand.events(call)
    await breathe(2)  # the question is over
    stand.media.press(leg.port or 0, "4*#")
    await ended(call)
    assert heard(stand) == [ASK, READ_BACK, "four star", GOODBYE]
    assert leg.verdict is not None
    assert leg.verdict.code == "normal"
    stand.assert_nothing_is_left()


@virtual_time
async def test_four_digits_need_no_pound(stand: Stand) -> None:
    leg, call = await phone(stand, "ivr")
    stand.media.press(leg.port or 0, "0000")
    await ended(call)
    assert heard(stand) == [ASK, READ_BACK, "zero zero zero zero", GOODBYE]


@virtual_time
async def test_the_first_key_stops_the_question_at_once(stand: Stand) -> None:
    leg, call = await phone(stand, "ivr")
    await breathe(0.3)
    assert len(stand.media.players()) == 1
    number = stand.media.key_down(leg.port or 0, "5")
    await breathe()
    assert not stand.media.players()  # while the key is still down
    stand.media.key_up(leg.port or 0, "5", number, 2000)
    await breathe()
    stand.media.press(leg.port or 0, "#")
    await ended(call)
    assert heard(stand) == [ASK, READ_BACK, "five", GOODBYE]


@virtual_time
async def test_who_types_nothing_is_asked_three_times(stand: Stand) -> None:
    _, call = await phone(stand, "ivr")
    await ended(call)
    assert heard(stand) == [ASK, NOTHING_CAME, ASK, NOTHING_CAME, ASK, GOODBYE]
    last = stand.events(call)[-1]
    assert isinstance(last, CallEnded)
    assert last.duration_ms == 30_000  # 6 prompts of a second, 3 times 8 seconds of patience
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_pause_after_a_digit_is_enough(stand: Stand) -> None:
    leg, call = await phone(stand, "ivr")
    stand.media.press(leg.port or 0, "9")
    await ended(call)
    assert heard(stand) == [ASK, READ_BACK, "nine", GOODBYE]


@virtual_time
async def test_digits_for_the_ivr_are_never_relayed(stand: Stand) -> None:
    leg, call = await phone(stand, "ivr")
    stand.media.press(leg.port or 0, "12#")
    assert not stand.media.relays
    assert not stand.media.sent
    await ended(call)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5, 4.0, 12.0])
@virtual_time
async def test_a_caller_who_leaves_the_ivr_leaves_no_player(stand: Stand, seconds: float) -> None:
    leg, call = await phone(stand, "ivr")
    await breathe(seconds)
    leg.ends(NORMAL)
    await ended(call)
    stand.assert_nothing_is_left()


@virtual_time
async def test_the_log_shows_no_digits_of_the_ivr(stand: Stand, logs: Entries) -> None:
    leg, call = await phone(stand, "ivr")
    stand.media.press(leg.port or 0, "7391")
    await ended(call)
    assert "7391" not in repr(logs)
    assert "seven" not in repr(logs)


# ---- failures -------------------------------------------------------------------------------


@virtual_time
async def test_a_player_that_fails_ends_the_call(stand: Stand) -> None:
    stand.media.broken.add("play")
    leg, call = await phone(stand, "ivr")
    await ended(call)
    assert leg.verdict is not None
    assert leg.verdict.code == "media_failed"
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_prompt_that_never_ends_fails_the_call(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand.media, "_play_done", lambda port: None)
    started = asyncio.get_running_loop().time()
    leg, call = await phone(stand, "ivr")
    await ended(call)
    assert leg.verdict is not None
    assert leg.verdict.code == MEDIA_FAILED.code
    waited = asyncio.get_running_loop().time() - started
    assert waited == pytest.approx(1 + PLAY_SLACK_SECONDS, abs=0.1)
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_bug_in_a_program_ends_that_call_only(
    stand: Stand, logs: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: ProgramContext) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(PROGRAMS, "echo", broken)
    _, _, living = await stand.talking()
    leg, call = await phone(stand, "echo")
    await ended(call)
    assert leg.verdict is not None
    assert leg.verdict.code == "internal"
    assert [entry for entry in logs if entry["event"] == "program.bug" and entry["exc_info"]]
    assert living.state == "connected"
    living.hangup()
    await ended(living)
    stand.assert_nothing_is_left()
